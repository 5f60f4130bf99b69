/** What the cron trigger of the sweep of unused inputs does (SWEEP_CRON; decision 021). */
import { sweepAtNight, type SweepProgress } from "./files/input-sweep.ts";
import { sweepDependencies, unusedInputsDays } from "./http/unused-inputs.ts";
import type { Env } from "./rpc/env.ts";

/**
 * Delete inputs that nothing has used for as long as the farm's setting says, and log what was deleted.
 * It has a run of its own, with the 50 queries to D1 that the free plan allows in one
 * (SWEEP_QUERIES in `input-sweep.ts`). Rejects when it did not get further, so that the platform shows
 * it; the next run goes on.
 */
export async function sweepUnusedInputs(env: Env): Promise<void> {
  console.log(JSON.stringify({ at: "sweep", job: "unused inputs", ...(await sweep(env)) }));
}

async function sweep(env: Env): Promise<Partial<SweepProgress>> {
  const days = await unusedInputsDays(env);
  if (days === null) return { held: "the setting keeps them for ever" };
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  return await sweepAtNight(sweepDependencies(env), { days, deletes: true }, sleep);
}
