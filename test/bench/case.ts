/**
 * One line of the table: what was measured, what it is compared with, and whether it reaches the
 * goal.
 */

export interface Row {
  what: string;
  /** The figure, with its unit. */
  figure: string;
  /** What it is compared with, or how it is composed. */
  detail: string;
  /** The figure to reach, in words. */
  goal: string;
  /** Null: it was not run, and `detail` says why. */
  reached: boolean | null;
}

/** A line, with its name on the command line. It prints no result: `progress` prints how far it is. */
export interface Case {
  name: string;
  run(progress: (text: string) => void): Promise<Row[]>;
}

/** A row for something that could not be run here. */
export function notRun(what: string, why: string, goal: string): Row {
  return { what, figure: "–", detail: `not run: ${why}`, goal, reached: null };
}
