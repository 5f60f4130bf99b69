/**
 * When a task will be done, as a span. Pure; time is an argument.
 *
 * The work left is the number of frames left times the measured mean, loading included, shared by
 * the workers that have a lease now. The spread has two parts: frames differ, which grows with the
 * root of their number; and the mean is known only as well as there are measurements, which grows
 * with their number. The last frame is rendered by one worker alone.
 */
import type { Eta } from "../../protocol/task.ts";
import { countsOf, statusOf, type Ledger, type Terms } from "./ledger.ts";

/** Frames that must be measured first: a single one has no spread. */
const MIN_FRAMES = 2;
/** Standard deviations to either side: nine of ten outcomes of a normal distribution lie within. */
const WIDTH = 1.645;

/**
 * Null while no worker renders, while the task is paused, and before MIN_FRAMES have been measured.
 */
export function etaOf(terms: Terms, ledger: Ledger, nowMs: number): Eta | null {
  const { tally, stats, leases } = ledger;
  if (statusOf(terms, ledger) !== "rendering" || ledger.paused || tally.done < MIN_FRAMES) return null;
  const counts = countsOf(terms, ledger);
  const left = counts.pending + counts.leased;
  const mean = (tally.seconds / tally.done) * 1_000;
  const variance = Math.max(0, tally.squares / tally.done - (tally.seconds / tally.done) ** 2) * 1_000_000;
  // A lease loads the scene once, so a frame's share of it depends on how many frames are leased
  // together.
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
