/**
 * The WebSocket to the registry. Pings show that the worker is there; the runtime answers them
 * without waking the object. Pushes (work, cancel, drain) come the other way. A socket that breaks
 * is opened again, with jitter; plain HTTP is enough meanwhile.
 */
import type { IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { backoffMs } from "../lib/retry.ts";
import { PING, PING_MS, PONG, pushSchema, type Push } from "../protocol/worker.ts";
import { beginningOf, refusal, whyUnreachable, type ManagerError } from "../client/manager-answer.ts";
import type { ManagerClient } from "../client/manager-client.ts";
import { messageOf } from "../lib/errors.ts";

export interface RegistrySocketOptions {
  client: ManagerClient;
  workerId: number;
  onPush: (push: Push) => void;
  /** The socket is open. Pushes that were sent while it was not are lost: ask once. */
  onUp: () => void;
  /** Called once when it breaks, with the reason, and not again until it was open. */
  onDown: (why: string) => void;
  signal: AbortSignal;
  pingMs?: number;
  retry?: { baseMs: number; capMs: number };
}

const RETRY = { baseMs: 1_000, capMs: 30_000 };
/**
 * Added to each wait: with jitter alone, some workers would come back at once and storm a manager
 * that is being replaced.
 */
const RETRY_FLOOR_MS = 500;
/**
 * Longer than a cold start of the manager takes; without a bound, a proxy that never answers holds
 * the socket for ever.
 */
const HANDSHAKE_MS = 15_000;
/**
 * The body of a refusal is read for this long; without a bound, one that never ends holds the
 * socket for ever.
 */
const REFUSAL_MS = 5_000;
/** A socket that was open this long worked: the next waits are short again. */
const GOOD_MS = 30_000;

/** Ten times a slow round trip: a pong that is later than this after a sleep will not come. */
const PONG_WITHIN_MS = 5_000;

export class RegistrySocket {
  readonly #options: RegistrySocketOptions;
  #socket: WebSocket | undefined;
  #lastPongMs = 0;
  #up = false;
  #announced = false;

  constructor(options: RegistrySocketOptions) {
    this.#options = options;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Keep the socket open until the signal fires. Never rejects. */
  async run(): Promise<void> {
    const { signal, retry = RETRY } = this.#options;
    for (let failures = 0; !signal.aborted;) {
      const beganMs = performance.now();
      const why = await this.#session().catch(messageOf);
      if (signal.aborted) return;
      this.#up = false;
      if (!this.#announced) this.#options.onDown(why);
      this.#announced = true;
      failures = performance.now() - beganMs > GOOD_MS ? 1 : failures + 1;
      const waitMs = Math.min(RETRY_FLOOR_MS, retry.baseMs) + backoffMs(failures, { ...retry, random: Math.random });
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * Find out now whether the other side is still there: the machine may have slept. Closes the
   * socket when no pong comes.
   */
  checkNow(): void {
    const socket = this.#socket;
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    const askedMs = performance.now();
    socket.send(PING);
    setTimeout(() => {
      if (this.#lastPongMs < askedMs) socket.terminate();
    }, PONG_WITHIN_MS).unref();
  }

  /** From handshake to end; resolves or rejects with the reason. */
  async #session(): Promise<string> {
    const { client, workerId, signal, onPush, onUp, pingMs = PING_MS } = this.#options;
    const authorization = await client.authorization(signal);
    const way = await client.network.socketOptions();
    return await new Promise<string>((resolve) => {
      const socket = new WebSocket(`${client.url.replace(/^http/, "ws")}/workers/${workerId}/socket`, {
        ...way,
        // A firewall may refuse clients that do not name themselves.
        headers: { ...client.headers, authorization, "user-agent": client.userAgent },
        handshakeTimeout: HANDSHAKE_MS,
        perMessageDeflate: false,
        maxPayload: 1024 * 1024,
      });
      this.#socket = socket;
      let pings: NodeJS.Timeout | undefined;
      let why: string | undefined;
      const stop = () => socket.close(1000, "stopping");
      signal.addEventListener("abort", stop, { once: true });
      socket.on("open", () => {
        this.#lastPongMs = performance.now();
        this.#up = true;
        this.#announced = false;
        pings = setInterval(() => {
          // Two pings are unanswered.
          if (performance.now() - this.#lastPongMs > 2.5 * pingMs) {
            why = "no answer to pings";
            socket.terminate();
          } else socket.send(PING);
        }, pingMs);
        onUp();
      });
      socket.on("message", (data, isBinary) => {
        if (isBinary || !Buffer.isBuffer(data)) return;
        const text = data.toString();
        if (text === PONG) this.#lastPongMs = performance.now();
        else {
          const push = readPush(text);
          if (push) onPush(push);
        }
      });
      socket.on("unexpected-response", (_request, response) => {
        void refusalOfUpgrade(response, client.url).then((error) => {
          why = error.message;
          // The access token may have expired although our clock says otherwise.
          if (error.status === 401) client.forgetAccess();
          socket.terminate();
        });
      });
      // To end a socket that was refused is an error, too, which says nothing.
      socket.on("error", (error) => (why ??= whyUnreachable(error)));
      socket.on("close", () => {
        clearInterval(pings);
        signal.removeEventListener("abort", stop);
        this.#socket = undefined;
        resolve(why ?? "the connection was closed");
      });
    });
  }
}

/**
 * The error for the answer to a handshake that opened no socket; `url` is the manager's address.
 * Never rejects.
 */
async function refusalOfUpgrade(response: IncomingMessage, url: string): Promise<ManagerError> {
  const timer = setTimeout(() => response.destroy(), REFUSAL_MS);
  const text = await beginningOf(response);
  clearTimeout(timer);
  response.destroy();
  const header = (name: string) => {
    const value = response.headers[name];
    return Array.isArray(value) ? value.join(", ") : (value ?? null);
  };
  return refusal({ status: response.statusCode ?? 0, header }, text, url);
}

/** Undefined for a push of a newer manager that this version does not know. */
function readPush(text: string): Push | undefined {
  try {
    return pushSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
