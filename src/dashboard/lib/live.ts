/**
 * A live socket: one snapshot, then deltas, each with a sequence number. It comes back by itself, at once after a sleep, and
 * asks for what it missed. While it is up nothing is polled.
 */
import { signal, type ReadonlySignal } from "@preact/signals";
import { CLOSE_GONE, CLOSE_SIGNED_OUT } from "../../protocol/constants.ts";
import { get } from "./api.ts";
import { ApiError } from "./problem.ts";

const PING_MS = 25_000;
/** Silent for this long after a ping, a connection is dead, whatever the browser believes. */
const PONG_WITHIN_MS = 8_000;
const RETRY_FIRST_MS = 400;
const RETRY_MAX_MS = 15_000;

export type LiveState = "connecting" | "live" | "lost" | "signed out" | "gone";

interface Message {
  type: "snapshot" | "delta";
  seq: number;
  now_ms: number;
}

export class LiveSocket<M extends Message> {
  readonly state: ReadonlySignal<LiveState>;
  /** The manager's clock less ours. */
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
   * `path` may have a query; `after` is added to it. `ask` is an address of the API whose refusal tells why there is no socket:
   * browsers do not say that of the socket itself.
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
      // Once for a message, also when two connections overlap.
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
      // With `after`, nothing comes when nothing was missed.
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
    // Spread over time, so that all pages do not come back in the same moment.
    const wait = this.#retryMs * (0.5 + Math.random());
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  /** Someone looks again, or the network is back. */
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
