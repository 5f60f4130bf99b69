/** What the simulated side did and was told: the audit holds the manager's rows and objects against it. */

/** Frames whose commit the manager acknowledged with a 2xx (P4: they must still be there at the end). */
export interface Acknowledged {
  task: number;
  attempt: number;
  worker: number;
  frames: number[];
}

export class Journal {
  /** Bytes that were sent, by `task/attempt/name`. Every render makes different ones. */
  readonly sent = new Map<string, string>();
  readonly acknowledged: Acknowledged[] = [];
  /** Completions that were refused (P3: not one that had been carried out). */
  readonly refused: Acknowledged[] = [];
  /** What no agent that follows the protocol should be answered, and what the watch saw go wrong. */
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
