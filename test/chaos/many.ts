/** Many runs, a few at a time: most of a run is waiting. */
import { buildBundle } from "./manager.ts";
import { run, type RunResult } from "./run.ts";

export interface ManyOptions {
  /** Seed of the first run; the others count up from it. */
  first: number;
  runs: number;
  parallel: number;
  folder: string;
}

/** Carry them out; `tell` gets each result when it is there. */
export async function runMany(options: ManyOptions, tell: (result: RunResult) => void): Promise<void> {
  const bundle = await buildBundle(`${options.folder}/bundle`);
  let next = options.first;
  const end = options.first + options.runs;
  const lane = async (): Promise<void> => {
    while (next < end) tell(await run(String(next++), bundle, options.folder));
  };
  await Promise.all(Array.from({ length: options.parallel }, lane));
}
