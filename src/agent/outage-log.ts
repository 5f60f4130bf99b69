/**
 * Tells the person at the machine once that calls do not get through, and once that they do again:
 * with a line for each try, an outage of a night would fill the log.
 */
import { ForeignAnswer, type ManagerError } from "../client/manager-answer.ts";
import type { OutageWatch } from "../client/manager-client.ts";
import type { Logger } from "./log.ts";

export class OutageLog implements OutageWatch {
  readonly #log: Logger;
  readonly #now: () => number;
  /** Calls that have failed and are being tried again. */
  readonly #failing = new Set<object>();
  /** The kinds of failure that were told in this outage: each is told once. */
  readonly #told = new Set<string>();
  #sinceMs = 0;

  /** `now` is in monotonic milliseconds. */
  constructor(log: Logger, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  failed(call: object, error: ManagerError): void {
    this.#failing.add(call);
    const kind = error instanceof ForeignAnswer ? `foreign ${error.answered}` : `${error.code} ${error.status}`;
    if (this.#told.has(kind)) return;
    if (this.#told.size === 0) this.#sinceMs = this.#now();
    this.#told.add(kind);
    this.#log(`${error.message.replace(/\.$/, "")}; trying again`);
  }

  ended(call: object, answered: boolean): void {
    this.#failing.delete(call);
    // A call that gets through says nothing about another one that is still stopped on the way.
    if (!answered || this.#failing.size > 0 || this.#told.size === 0) return;
    this.#told.clear();
    this.#log(`the manager answers again, after ${Math.round((this.#now() - this.#sinceMs) / 1_000)} s`);
  }
}
