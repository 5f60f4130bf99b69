/** Totals of what a task has done so far. They never fall: a requeue takes nothing back. Pure. */
export interface Tally {
  /** Frames committed, frames that failed to render, frames given back without a failure. */
  done: number;
  errors: number;
  lost: number;
  /** Render seconds of the committed frames, and the sum of their squares, for mean and spread. */
  seconds: number;
  squares: number;
}

export const NO_TALLY: Tally = { done: 0, errors: 0, lost: 0, seconds: 0, squares: 0 };

const COUNTER = { done: "done", error: "errors", lost: "lost" } as const;

/** The tally after so many more frames were done, failed or given back. */
export function addFrames(tally: Tally, kind: keyof typeof COUNTER, frames: number): Tally {
  const counter = COUNTER[kind];
  return { ...tally, [counter]: tally[counter] + frames };
}

/** The tally after frames were rendered that took so many seconds each. */
export function addSeconds(tally: Tally, seconds: readonly number[]): Tally {
  return {
    ...tally,
    seconds: seconds.reduce((sum, one) => sum + one, tally.seconds),
    squares: seconds.reduce((sum, one) => sum + one ** 2, tally.squares),
  };
}
