/** The signals that stop the agent: what each of them ends is described in `worker.ts`. */
import type { Logger } from "./log.ts";

/** `process`, or what a test puts in its place. */
export type SignalSource = Pick<NodeJS.EventEmitter, "on" | "off">;

/**
 * A claim that is answered this long after the request to stop is released; a later one is not
 * waited for, and runs out.
 */
const LATE_MS = 2_000;

/**
 * SIGHUP: the terminal is gone; on Windows its window is closed, and the system ends the process some
 * seconds later. `nohup` changes nothing: Node undoes it. SIGBREAK: Ctrl-Break on Windows, where nothing
 * sends SIGTERM.
 */
const AT_ONCE = ["SIGTERM", "SIGHUP", "SIGBREAK"] as const;

/** Two steps of a stop, as abort signals: `soft`, then `hard`. */
export class StopSignals {
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  readonly #late = new AbortController();
  readonly #signals: SignalSource;
  readonly #log: Logger;
  /** Whether a signal came, as opposed to an error that ends the agent. */
  asked = false;

  constructor(signals: SignalSource, log: Logger) {
    this.#signals = signals;
    this.#log = log;
    this.soft.addEventListener("abort", () => setTimeout(() => this.#late.abort(), LATE_MS).unref());
    signals.on("SIGINT", this.#onInterrupt);
    for (const signal of AT_ONCE) signals.on(signal, this.#onTerminate);
  }

  /** Begin nothing more; finish the frames that are being rendered. */
  get soft(): AbortSignal {
    return this.#soft.signal;
  }

  /** Release all leases at once. */
  get hard(): AbortSignal {
    return this.#hard.signal;
  }

  /** Fires `LATE_MS` after `soft`: do not wait for the answer to a claim any longer. */
  get late(): AbortSignal {
    return this.#late.signal;
  }

  /** The first step, for another reason than a signal. */
  finish(): void {
    this.#soft.abort();
  }

  /** As the first Ctrl-C, by an order from this machine. */
  drain(): void {
    this.asked = true;
    if (this.#soft.signal.aborted) return;
    this.#log("draining: what is being rendered may end, nothing more is begun, and then this agent ends");
    this.#soft.abort();
  }

  /** Both steps at once. */
  now(): void {
    this.#soft.abort();
    this.#hard.abort();
  }

  /** Listen to signals no more. */
  dispose(): void {
    this.#signals.off("SIGINT", this.#onInterrupt);
    for (const signal of AT_ONCE) this.#signals.off(signal, this.#onTerminate);
  }

  readonly #onInterrupt = () => {
    this.asked = true;
    if (this.#soft.signal.aborted) this.#onTerminate();
    else {
      this.#log("stopping: what is being rendered may end, nothing more is begun; Ctrl-C again gives it back at once");
      this.#soft.abort();
    }
  };

  readonly #onTerminate = () => {
    this.asked = true;
    if (this.#hard.signal.aborted) return;
    this.#log("stopping now: giving back what runs");
    this.now();
  };
}
