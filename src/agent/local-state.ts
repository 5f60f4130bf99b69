/**
 * What somebody at the machine has asked of the agent. A pause is kept in a file beside the worker's identity: it
 * holds over restarts, updates and reboots, because the person at the machine has not taken it back. The manager
 * is told, so that its lists are true; the agent does what was asked whether or not it can be reached.
 */
import { existsSync, rmSync } from "node:fs";
import { writePrivateFile } from "../client/private-file.ts";
import type { LocalState as Reported } from "../protocol/worker.ts";

export class LocalState {
  readonly #file: string;
  #paused: boolean;
  #draining = false;
  /** What the manager knows. */
  #told: Reported;
  #telling: Promise<void> | null = null;

  /** `file` exists while the agent is paused. */
  constructor(file: string) {
    this.#file = file;
    this.#paused = existsSync(file);
    this.#told = this.reported;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** As the manager is told. */
  get reported(): Reported {
    return this.#draining ? "draining" : this.#paused ? "paused" : null;
  }

  /** Throws the system's error when the file cannot be written; then nothing has changed. */
  pause(): void {
    writePrivateFile(this.#file, "");
    this.#paused = true;
  }

  /** Throws the system's error when the file cannot be removed; then nothing has changed. */
  resume(): void {
    rmSync(this.#file, { force: true });
    this.#paused = false;
  }

  /** The agent is to end. That is not kept: the next start takes work again. */
  drain(): void {
    this.#draining = true;
  }

  /** `told` holds what was told when the agent registered. */
  registered(told: Reported): void {
    this.#told = told;
  }

  /**
   * Tell the manager, with `send`, what it does not know yet; one call at a time, the newest state. `send` rejects
   * when it gives up; then the next change is told. Never rejects.
   */
  tell(send: (state: Reported) => Promise<void>): void {
    this.#telling ??= this.#tell(send).finally(() => (this.#telling = null));
  }

  /** Resolves when no call is under way: one that arrives after the agent has left would call it back. */
  async settled(): Promise<void> {
    await this.#telling;
  }

  async #tell(send: (state: Reported) => Promise<void>): Promise<void> {
    while (this.#told !== this.reported) {
      const state = this.reported;
      try {
        await send(state);
      } catch {
        return;
      }
      this.#told = state;
    }
  }
}
