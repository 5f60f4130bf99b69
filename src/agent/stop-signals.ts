/** SIGINT and SIGTERM as the agent understands them. */
import type { Say } from "./say.ts";

/** `process`, or what a test puts in its place. */
export type SignalSource = Pick<NodeJS.EventEmitter, "on" | "off">;

/** A claim that is answered this long after the agent was told to stop is given back; later, its lease runs out by itself. */
const LATE_MS = 2_000;

/** First and second thoughts of the person at the keyboard, and of the service manager. */
export class StopSignals {
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  readonly #late = new AbortController();
  readonly #signals: SignalSource;
  readonly #say: Say;
  /** Somebody asked for it. */
  asked = false;

  constructor(signals: SignalSource, say: Say) {
    this.#signals = signals;
    this.#say = say;
    this.soft.addEventListener("abort", () => setTimeout(() => this.#late.abort(), LATE_MS).unref());
    signals.on("SIGINT", this.#onInterrupt);
    signals.on("SIGTERM", this.#onTerminate);
  }

  /** Begin nothing more. */
  get soft(): AbortSignal {
    return this.#soft.signal;
  }

  /** Give back what runs, at once. */
  get hard(): AbortSignal {
    return this.#hard.signal;
  }

  /** Two seconds after `soft`: do not wait for the answer to a claim any longer. */
  get late(): AbortSignal {
    return this.#late.signal;
  }

  /** Stop without being asked to. */
  now(): void {
    this.#soft.abort();
    this.#hard.abort();
  }

  dispose(): void {
    this.#signals.off("SIGINT", this.#onInterrupt);
    this.#signals.off("SIGTERM", this.#onTerminate);
  }

  readonly #onInterrupt = () => {
    this.asked = true;
    if (this.#soft.signal.aborted) this.#onTerminate();
    else {
      this.#say("stopping: what is being rendered may end, nothing more is begun; Ctrl-C again gives it back at once");
      this.#soft.abort();
    }
  };

  readonly #onTerminate = () => {
    this.asked = true;
    if (this.#hard.signal.aborted) return;
    this.#say("stopping now: giving back what runs");
    this.now();
  };
}
