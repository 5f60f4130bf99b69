/**
 * Keeps the open marker as the registry says that it must be. One change at a time, so that a
 * removal that is under way cannot take the marker of work that has just come.
 */
import { markOpen, unmarkOpen } from "../files/open-marker.ts";
import { messageOf } from "../lib/errors.ts";

/** After R2 refused. Shorter: an R2 that is down is called for nothing. */
const RETRY_MS = 5_000;

export interface OpenMarkerDependencies {
  bucket: R2Bucket;
  waitUntil(work: Promise<unknown>): void;
  /** Sees to it that `repair` is called at `retryMs`; does not throw. */
  onFailure(): void;
}

export class OpenMarker {
  readonly #dependencies: OpenMarkerDependencies;
  /** Undefined: not known. */
  #there: boolean | undefined;
  #wanted = false;
  #changing: Promise<void> | null = null;
  #retryMs: number | null = null;

  constructor(dependencies: OpenMarkerDependencies) {
    this.#dependencies = dependencies;
  }

  /** When to call `repair`; null when R2 has not refused. */
  get retryMs(): number | null {
    return this.#retryMs;
  }

  /** There is work: see that the marker is there, in the background. Called at every report. */
  opened(): void {
    if (this.#there !== true || this.#changing) this.#dependencies.waitUntil(this.set(true));
  }

  /** From the alarm: try again what R2 has refused. */
  async repair(open: boolean): Promise<void> {
    if (this.#retryMs !== null) await this.set(open);
  }

  /** See that the marker is there while there is work, and only then. Does not throw. */
  async set(open: boolean): Promise<void> {
    this.#wanted = open;
    if (this.#there === open && !this.#changing) return;
    this.#changing ??= this.#change();
    await this.#changing;
  }

  async #change(): Promise<void> {
    try {
      while (this.#there !== this.#wanted) {
        const wanted = this.#wanted;
        this.#there = undefined;
        await (wanted ? markOpen : unmarkOpen)(this.#dependencies.bucket);
        this.#there = wanted;
      }
      this.#retryMs = null;
    } catch (error) {
      console.error(JSON.stringify({ at: "registry", chore: "open marker", error: messageOf(error) }));
      this.#retryMs = Date.now() + RETRY_MS;
      this.#dependencies.onFailure();
    } finally {
      this.#changing = null;
    }
  }
}
