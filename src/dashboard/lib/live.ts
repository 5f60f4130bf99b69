/**
 * A live socket: one snapshot, then deltas, each with a sequence number.
 *
 * - It reconnects by itself, at once when the page becomes visible or the network returns, else
 *   after a growing pause.
 * - After a reconnection it asks for the messages that it missed, by the last sequence number.
 * - While it is connected, nothing is polled.
 */
import { signal, type ReadonlySignal } from "@preact/signals";
import { CLOSE_GONE, CLOSE_SIGNED_OUT } from "../../protocol/constants.ts";
import { get } from "./api.ts";
import { ApiError } from "./problem.ts";

/**
 * Milliseconds between pings. Proxies close connections that are silent, many of them after 60 s.
 */
const PING_MS = 25_000;
/**
 * Without an answer to a ping for this long, the connection counts as lost: browsers notice that
 * minutes later.
 */
const PONG_WITHIN_MS = 8_000;
/** The first pause before a reconnection; it doubles with every failure. */
const RETRY_FIRST_MS = 400;
/** The longest pause: after an outage a page is live again within about half a minute. */
const RETRY_MAX_MS = 15_000;

export type LiveState = "connecting" | "live" | "lost" | "signed out" | "gone";

interface Message {
  type: "snapshot" | "delta";
  seq: number;
  now_ms: number;
}

export class LiveSocket<M extends Message> {
  readonly state: ReadonlySignal<LiveState>;
  /** The manager's clock minus this machine's clock. */
  skewMs = 0;
  readonly #state = signal<LiveState>("connecting");
  readonly #path: string;
  readonly #take: (message: M) => void;
  readonly #ask: string;
  #socket: WebSocket | null = null;
  #seq: number | null = null;
  #retryMs = RETRY_FIRST_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setInterval> | undefined;
  #pong: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /**
   * `path` may have a query; `after` is added to it. `ask` is an address of the API. When the
   * socket is refused, the answer of that address says why, which browsers do not say about the
   * socket itself.
   */
  constructor(path: string, ask: string, take: (message: M) => void) {
    this.state = this.#state;
    this.#path = path;
    this.#ask = ask;
    this.#take = take;
    addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    clearTimeout(this.#retry);
    this.#drop();
  }

  #connect(): void {
    clearTimeout(this.#retry);
    this.#drop();
    const url = new URL(this.#path, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.#seq !== null) url.searchParams.set("after", String(this.#seq));
    const socket = new WebSocket(url);
    let opened = false;
    this.#socket = socket;
    socket.addEventListener("message", (event: MessageEvent<unknown>) => {
      if (socket !== this.#socket || typeof event.data !== "string") return;
      clearTimeout(this.#pong);
      if (event.data === "pong") return;
      const message = JSON.parse(event.data) as M;
      // A message that came over an earlier connection, too, is taken once.
      if (message.type === "delta" && this.#seq !== null && message.seq <= this.#seq) return;
      this.#seq = message.seq;
      this.skewMs = message.now_ms - Date.now();
      this.#retryMs = RETRY_FIRST_MS;
      this.#take(message);
      this.#state.value = "live";
    });
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      opened = true;
      // With `after` the manager sends nothing when no message was missed.
      if (this.#seq !== null) this.#state.value = "live";
      this.#ping = setInterval(() => this.#check(), PING_MS);
    });
    socket.addEventListener("close", (event) => {
      if (socket !== this.#socket) return;
      this.#drop();
      if (event.code === CLOSE_SIGNED_OUT) this.#end("signed out");
      else if (event.code === CLOSE_GONE) this.#end("gone");
      else {
        this.#later();
        if (!opened) void this.#whyNot();
      }
    });
  }

  async #whyNot(): Promise<void> {
    try {
      await get(this.#ask);
    } catch (thrown) {
      // 0 when the manager did not answer: then the socket is tried again.
      const status = thrown instanceof ApiError ? thrown.status : 0;
      if (this.#closed || this.#state.value === "live") return;
      if (status === 401 || status === 403) this.#end("signed out");
      else if (status === 404) this.#end("gone");
    }
  }

  #end(state: LiveState): void {
    this.close();
    this.#state.value = state;
  }

  #later(): void {
    if (this.#closed) return;
    this.#state.value = "lost";
    // A random part, so that not all pages reconnect in the same moment after an outage.
    const wait = this.#retryMs * (0.5 + Math.random());
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  /** The page has become visible, or the network is back. */
  readonly #wake = (): void => {
    if (this.#closed || document.hidden) return;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#check();
    else if (this.#socket === null) this.#connect();
  };

  #check(): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    socket.send("ping");
    clearTimeout(this.#pong);
    this.#pong = setTimeout(() => {
      if (socket !== this.#socket) return;
      this.#drop();
      this.#later();
    }, PONG_WITHIN_MS);
  }

  #drop(): void {
    clearInterval(this.#ping);
    clearTimeout(this.#pong);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}
