/**
 * What the simulated agents did and were answered: the audit compares the manager's rows and
 * objects with it.
 */

/**
 * Frames whose commit the manager acknowledged with a 2xx (P4: they must still be done at the end).
 */
export interface Acknowledged {
  task: number;
  attempt: number;
  worker: number;
  frames: number[];
}

export class Journal {
  /** Bytes that were sent, by `task/attempt/name`. Every render makes different bytes. */
  readonly sent = new Map<string, string>();
  readonly acknowledged: Acknowledged[] = [];
  /** Completions that were refused (P3: none of these may have been carried out). */
  readonly refused: Acknowledged[] = [];
  /** By which Blender frames were rendered, by `task/attempt/frame`. `isTold`: the agent names it to the manager. */
  readonly rendered = new Map<string, { version: string; isTold: boolean }>();
  /**
   * Answers that an agent that follows the protocol must not get, and problems found during the
   * run.
   */
  readonly surprises: string[] = [];
  readonly counts = new Map<string, number>();

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  surprise(text: string): void {
    this.surprises.push(text);
  }
}

export function outputId(task: number, attempt: number, name: string): string {
  return `${task}/${attempt}/${name}`;
}

/** The key of a rendered frame in `Journal.rendered`. */
export function renderId(task: number, attempt: number, frame: number): string {
  return `${task}/${attempt}/${frame}`;
}
