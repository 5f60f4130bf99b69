/**
 * The one HTTP client of the agent and the command line.
 *
 * - The long-lived secret is traded for a short-lived access token when that is first needed. The
 *   token is kept in memory only. Nothing here puts a token into an error or a log line.
 * - Failures that may pass (no answer of the manager, 429, 5xx) are tried again with full jitter
 *   until `retryForMs` is over, and once more where the first answer took that long. That is safe:
 *   every call of the protocol is idempotent.
 * - An answer that is not the manager's counts as none (`ForeignAnswer`), whatever its status is.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { backoffMs } from "../lib/retry.ts";
import { isNoFile } from "../protocol/answer-origin.ts";
import { accessSchema } from "../protocol/token.ts";
import { headOf, managerUrl, ManagerError, readJson, refusalOf, unreachable } from "./manager-answer.ts";
import { Network } from "./network.ts";
import { tokenFault } from "./secret-text.ts";

export { managerUrl, ManagerError } from "./manager-answer.ts";

/** Not HEAD: its refusals have no body, so the manager's could not be told from those of others. */
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** What `fetch` sends. */
export type Body = NonNullable<RequestInit["body"]>;

export interface CallOptions {
  /** Sent as JSON. */
  json?: unknown;
  /** Makes the raw body, for every try. Pass a `content-length` header when the size is known. */
  body?: () => Body | Promise<Body>;
  headers?: Record<string, string>;
  /** Limit of one try, until the head of the answer has come, and with `call` its body. */
  timeoutMs?: number;
  /** Keep trying this long after the first failure; 0 for a single try, Infinity for ever. */
  retryForMs?: number;
  signal?: AbortSignal | undefined;
  /**
   * Told when each try goes out (`performance.now()`): a lease counts from the moment of asking,
   * not of the answer.
   */
  onTry?: (startedMs: number) => void;
  /** Told before each wait for another try. */
  onRetry?: ((error: ManagerError) => void) | undefined;
}

/** Follows the calls that do not get through. `call` is the same object for all tries of a call. */
export interface OutageWatch {
  /** A try of this call failed, and another one follows. */
  failed(call: object, error: ManagerError): void;
  /** The call is over; `answered` says whether the manager answered it, be it with a refusal. */
  ended(call: object, answered: boolean): void;
}

export interface ManagerClientOptions {
  /** The manager's address, e.g. `https://farm.example.com`; a path prefix is kept. */
  url: string;
  /** Long-lived token or worker secret. Absent: calls go out without credentials (healthz). */
  secret?: string | undefined;
  /**
   * `exchange` (default): trade the secret for access tokens. `bearer`: send it as it is; join
   * tokens cannot be traded.
   */
  auth?: "exchange" | "bearer";
  userAgent?: string;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** Default of `CallOptions.retryForMs`. */
  retryForMs?: number;
  outage?: OutageWatch;
  /** A file with further certificate authorities, in PEM; by default that of `TABLAO_CA`. */
  ca?: string | undefined;
  /** In the place of the one of `Network`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * Longer than a cold start of the manager; without a bound, a dead connection holds a call for
 * ever.
 */
const TIMEOUT_MS = 30_000;
/** A deploy of the manager takes seconds; a person who waits wants to know after this. */
const RETRY_FOR_MS = 30_000;
/** At most 15 s between tries: a manager that is back is found within that. */
const RETRY = { baseMs: 250, capMs: 15_000, random: Math.random };
/** Clocks that differ by less are taken to agree: `Date` has whole seconds. */
const CLOCKS_AGREE_MS = 5_000;
/** An access token this close to its end is not used: it could expire while the request travels. */
const TOKEN_MARGIN_MS = 10_000;

export class ManagerClient {
  /** Address without a trailing slash. */
  readonly url: string;
  readonly userAgent: string;
  /** Sent with every request; for the WebSocket, too. */
  readonly headers: Readonly<Record<string, string>>;
  /** Also for callers that repeat calls by themselves (`retryForMs: 0`). */
  readonly outage: OutageWatch | undefined;
  /** The way to the manager; for the WebSocket, too. */
  readonly network: Network;
  readonly #options: ManagerClientOptions;
  readonly #fetch: NonNullable<ManagerClientOptions["fetch"]>;
  /** How far the manager's clock is ahead of ours. */
  #aheadMs = 0;
  #access: { token: string; untilMs: number } | undefined;
  #exchange: Promise<string> | undefined;

  /**
   * Throws a `TypeError` with a clear sentence when the address is not an http(s) URL, or the secret
   * cannot be one, and a `NetworkFault` for a proxy or a file of authorities that cannot be used.
   */
  constructor(options: ManagerClientOptions) {
    this.url = managerUrl(options.url);
    const fault = options.secret === undefined ? undefined : tokenFault(options.secret);
    if (fault !== undefined) throw new TypeError(`the token cannot be used: ${fault}`);
    this.userAgent = options.userAgent ?? "tablao";
    this.headers = options.headers ?? {};
    this.outage = options.outage;
    this.network = new Network(this.url, process.env, options.ca);
    this.#options = options;
    this.#fetch = options.fetch ?? (async (url, init) => await this.network.fetch(url, init));
  }

  /** A JSON call. The answer must fit `schema`; a 204 is parsed as null. Throws `ManagerError`. */
  async call<S extends z.ZodType>(
    schema: S,
    method: Method,
    path: string,
    options: CallOptions = {},
  ): Promise<z.output<S>> {
    return await this.#retry(options, async () => {
      const response = await this.#try(
        method,
        path,
        options,
        AbortSignal.timeout(Math.ceil(options.timeoutMs ?? TIMEOUT_MS)),
      );
      const value = response.status === 204 ? null : await readJson(response, this.url);
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      // A manager of another version, or the JSON of something else. The second may pass.
      throw new ManagerError(
        0,
        "bad_answer",
        `${method} ${path} at ${this.url} answered ${response.status} with JSON that this version does not understand: ${z.prettifyError(parsed.error).slice(0, 300)}`,
      );
    });
  }

  /**
   * A call whose answer is a file, which the caller reads as a stream. The timeout covers the head
   * only. Throws `ManagerError`.
   */
  async send(method: Method, path: string, options: CallOptions = {}): Promise<Response> {
    return await this.#retry(options, async () => {
      const head = new AbortController();
      const timer = setTimeout(
        () => head.abort(new DOMException("timed out", "TimeoutError")),
        options.timeoutMs ?? TIMEOUT_MS,
      );
      try {
        const response = await this.#try(method, path, options, head.signal);
        if (isNoFile(headOf(response))) throw await refusalOf(response, this.url);
        return response;
      } finally {
        clearTimeout(timer);
      }
    });
  }

  /**
   * Now by the manager's clock, from the newest answer: ages of what it names are counted by it. By
   * this machine's clock before there was an answer, and where the clocks agree.
   */
  nowMs(): number {
    return Date.now() + this.#aheadMs;
  }

  /** The same, once the manager has answered: for a span that a first call names. Throws `ManagerError`. */
  async askNowMs(): Promise<number> {
    await this.#retry({}, async () => await this.authorization());
    return this.nowMs();
  }

  /** The `Authorization` header's value, for the WebSocket. Throws `ManagerError`. */
  async authorization(signal?: AbortSignal): Promise<string | undefined> {
    const { secret, auth } = this.#options;
    if (secret === undefined) return undefined;
    if (auth === "bearer") return `Bearer ${secret}`;
    if (this.#access && performance.now() < this.#access.untilMs) return `Bearer ${this.#access.token}`;
    // One exchange serves all callers, so it must not end with the signal of the first one.
    this.#exchange ??= this.#exchangeSecret(secret).finally(() => (this.#exchange = undefined));
    const token = await this.#exchange;
    signal?.throwIfAborted();
    return `Bearer ${token}`;
  }

  /**
   * The access token was refused (the socket learns that by itself): the next call gets a new one.
   */
  forgetAccess(): void {
    this.#access = undefined;
  }

  /** The header `Date` is in whole seconds, and an answer travels for a while. */
  #noteClock(date: string | null): void {
    const aheadMs = Date.parse(date ?? "") - Date.now();
    if (!Number.isNaN(aheadMs)) this.#aheadMs = Math.abs(aheadMs) > CLOCKS_AGREE_MS ? aheadMs : 0;
  }

  async #exchangeSecret(secret: string): Promise<string> {
    const before = performance.now();
    const response = await this.#fetchOnce(
      "POST",
      "/auth/access",
      { authorization: `Bearer ${secret}` },
      {},
      AbortSignal.timeout(TIMEOUT_MS),
    );
    const access = accessSchema.safeParse(await readJson(response, this.url));
    if (!access.success || tokenFault(access.data.access_token) !== undefined)
      throw new ManagerError(0, "bad_answer", `POST /auth/access at ${this.url} did not answer as a manager does`);
    const { access_token: token, expires_in_ms } = access.data;
    this.#access = { token, untilMs: before + expires_in_ms - Math.min(TOKEN_MARGIN_MS, expires_in_ms / 2) };
    return token;
  }

  async #retry<T>(options: CallOptions, attempt: () => Promise<T>): Promise<T> {
    const call = {};
    let answered = false;
    try {
      const value = await this.#untilAnswered(call, options, attempt);
      answered = true;
      return value;
    } catch (error) {
      answered = error instanceof ManagerError && !error.transient;
      throw error;
    } finally {
      this.outage?.ended(call, answered);
    }
  }

  async #untilAnswered<T>(call: object, options: CallOptions, attempt: () => Promise<T>): Promise<T> {
    const forMs = options.retryForMs ?? this.#options.retryForMs ?? RETRY_FOR_MS;
    const untilMs = performance.now() + forMs;
    for (let tries = 1; ; tries++) {
      options.signal?.throwIfAborted();
      try {
        return await attempt();
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof ManagerError) || !error.transient) throw error;
        const waitMs = Math.max(backoffMs(tries, RETRY), error.retryAfterMs ?? 0);
        // A first answer that took longer than the time itself is no reason to give up: somebody is there.
        const triesOnceMore = tries === 1 && error.status !== 0 && waitMs < forMs;
        if (!triesOnceMore && performance.now() + waitMs >= untilMs) throw error;
        this.outage?.failed(call, error);
        options.onRetry?.(error);
        await delay(waitMs, undefined, { signal: options.signal });
      }
    }
  }

  /** One try; one more with a fresh access token when the manager does not take the present one. */
  async #try(method: Method, path: string, options: CallOptions, timeout: AbortSignal): Promise<Response> {
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    for (let fresh = false; ; fresh = true) {
      const authorization = await this.authorization(options.signal);
      const headers: Record<string, string> = { ...options.headers };
      if (authorization !== undefined) headers["authorization"] = authorization;
      if (!options.body && options.json !== undefined) headers["content-type"] = "application/json";
      try {
        return await this.#fetchOnce(method, path, headers, options, signal);
      } catch (error) {
        const stale = error instanceof ManagerError && error.status === 401 && !fresh && this.#access !== undefined;
        if (!stale) throw error;
        if (`Bearer ${this.#access?.token}` === authorization) this.#access = undefined;
      }
    }
  }

  async #fetchOnce(
    method: Method,
    path: string,
    headers: Record<string, string>,
    { body, json, onTry }: Pick<CallOptions, "body" | "json" | "onTry">,
    signal: AbortSignal,
  ): Promise<Response> {
    const init: RequestInit = {
      method,
      signal,
      redirect: "manual",
      headers: headersOf({ accept: "application/json", "user-agent": this.userAgent, ...this.headers, ...headers }),
    };
    let response: Response | undefined;
    while (!response) {
      const content = body ? await body() : json === undefined ? undefined : JSON.stringify(json);
      if (content !== undefined) Object.assign(init, { body: content, duplex: "half" });
      onTry?.(performance.now());
      const canGoOn = this.network.beforeTry();
      try {
        response = await this.#fetch(this.url + path, init);
      } catch (error) {
        if (!canGoOn(error)) throw unreachable(this.url, error);
      }
    }
    this.#noteClock(response.headers.get("date"));
    if (response.ok) return response;
    throw await refusalOf(response, this.url);
  }
}

/**
 * The headers of a request. A value that no header can hold is a fault of ours, or of the manager that
 * named it, and not of the connection; the error does not show it, since it may be a secret.
 */
function headersOf(values: Record<string, string>): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(values)) {
    try {
      headers.set(name, value);
    } catch {
      throw new TypeError(`the header ${name} cannot be sent: a character in its value is none of a header`);
    }
  }
  return headers;
}
