/**
 * Whether the manager can be reached, from the socket and from all calls: what the status says must be true also
 * where the socket is cut and calls get through, or the other way round.
 */
import type { AgentStatus } from "../client/agent-status.ts";
import type { ManagerError } from "../client/manager-answer.ts";
import type { OutageWatch } from "../client/manager-client.ts";

/**
 * Without a socket, an agent calls every 15 s. When none was answered for three times as long, nobody knows whether
 * calls get through.
 */
const FRESH_MS = 45_000;

export class ConnectionState implements OutageWatch {
  readonly #next: OutageWatch;
  readonly #now: () => number;
  #socketUp = false;
  /** Since when the socket is open, or not. */
  #socketMs: number;
  /** The first try that failed after the newest answer; null when none did. */
  #failedMs: number | null = null;
  /** The newest answer of the manager; null before the first. */
  #answerMs: number | null = null;

  /** `next` is told the same. `now`: the wall clock, because people are shown instants. */
  constructor(next: OutageWatch, now: () => number = () => Date.now()) {
    this.#next = next;
    this.#now = now;
    this.#socketMs = now();
  }

  /** The socket was opened, or has broken. */
  socket(up: boolean): void {
    if (up) this.#answered();
    if (up === this.#socketUp) return;
    this.#socketUp = up;
    this.#socketMs = this.#now();
  }

  failed(call: object, error: ManagerError): void {
    this.#failedMs ??= this.#now();
    this.#next.failed(call, error);
  }

  ended(call: object, answered: boolean): void {
    if (answered) this.#answered();
    this.#next.ended(call, answered);
  }

  get status(): Pick<AgentStatus, "connection" | "connection_since_ms"> {
    const [answerMs, socketMs] = [this.#answerMs, this.#socketMs];
    if (answerMs === null) return { connection: "starting", connection_since_ms: socketMs };
    if (this.#failedMs !== null) return { connection: "none", connection_since_ms: this.#failedMs };
    if (this.#socketUp) return { connection: "connected", connection_since_ms: socketMs };
    // Before the first answer without the socket, nobody knows whether calls get through.
    const http = answerMs > socketMs && this.#now() - answerMs < FRESH_MS;
    return { connection: http ? "http" : "none", connection_since_ms: http ? socketMs : Math.max(socketMs, answerMs) };
  }

  #answered(): void {
    this.#answerMs = this.#now();
    this.#failedMs = null;
  }
}
