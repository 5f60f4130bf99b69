/** One line of the table: what was measured, against what, and whether that is enough. */

export interface Row {
  what: string;
  /** The figure, with its unit. */
  figure: string;
  /** What it is measured against, or made of. */
  detail: string;
  /** The figure to reach, in words. */
  goal: string;
  /** Null: it was not run, and `detail` says why. */
  reached: boolean | null;
}

/** A line, known on the command line by its name. It prints nothing: `say` is for how far it is. */
export interface Case {
  name: string;
  run(say: (text: string) => void): Promise<Row[]>;
}

/** A row of something that could not be run here. */
export function notRun(what: string, why: string, goal: string): Row {
  return { what, figure: "–", detail: `not run: ${why}`, goal, reached: null };
}
