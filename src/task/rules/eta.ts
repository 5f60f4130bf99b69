/**
 * When a task will be done, as a span. Pure; time is an argument.
 *
 * The work that is left is so many frames of the measured mean, loading included, shared by the workers that are on the task
 * now. Its spread has two parts: frames differ (grows with the root of what is left), and the mean itself is known only as
 * well as there are measurements (grows with what is left). At the end the last frame is one worker's alone.
 */
import type { Eta } from "../../protocol/task.ts";
import { countsOf, statusOf, type Ledger, type Terms } from "./ledger.ts";

/** Two frames: the fewest that have a spread. */
const MIN_FRAMES = 2;
/** Standard deviations to either side: nine of ten normal outcomes lie within. */
const WIDTH = 1.645;

/** Null while nobody renders, when it is paused, or before two frames have been measured. */
export function etaOf(terms: Terms, ledger: Ledger, nowMs: number): Eta | null {
  const { tally, stats, leases } = ledger;
  if (statusOf(terms, ledger) !== "rendering" || ledger.paused || tally.done < MIN_FRAMES) return null;
  const counts = countsOf(terms, ledger);
  const left = counts.pending + counts.leased;
  const mean = (tally.seconds / tally.done) * 1_000;
  const variance = Math.max(0, tally.squares / tally.done - (tally.seconds / tally.done) ** 2) * 1_000_000;
  // Loading is paid once a lease, so a frame's share depends on how many were leased together.
  const framesPerLease = Math.max(1, counts.leased / leases.size);
  const cost = mean + stats.loadMs / framesPerLease;
  let elapsed = 0;
  for (const lease of leases) elapsed += Math.min(nowMs - lease.claimed_ms, cost);
  const work = Math.max(0, left * cost - elapsed);
  const spread = WIDTH * Math.sqrt(left * variance + (left * left * variance) / tally.done);
  const workers = Math.min(leases.size, left);
  const lastFrame = workers > 1 ? mean + WIDTH * Math.sqrt(variance) : 0;
  return {
    low_ms: Math.round(nowMs + Math.max(0, work - spread) / workers),
    high_ms: Math.round(nowMs + (work + spread) / workers + lastFrame),
  };
}
