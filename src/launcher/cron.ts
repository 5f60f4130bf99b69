/**
 * The cron triggers of a local manager. Wrangler's development server runs none by itself; it runs
 * one when its address for scheduled events is called.
 */
import { SWEEP_CRON, WATCH_CRON } from "../protocol/constants.ts";

/** The manager takes any other trigger than the first two for the daily one. */
const TRIGGERS = [
  { cron: WATCH_CRON, everyMs: 5 * 60_000 },
  { cron: SWEEP_CRON, everyMs: 86_400_000 },
  { cron: "daily", everyMs: 86_400_000 },
];
/** A run that hangs must not keep a connection for ever. A sweep of inputs waits for two minutes. */
const WITHIN_MS = 15 * 60_000;

/** Run the triggers of the manager at `url` until the answered function is called. */
export function startCron(url: string): () => void {
  const timers = TRIGGERS.map(({ cron, everyMs }) => setInterval(() => void run(url, cron), everyMs).unref());
  return () => timers.forEach((timer) => clearInterval(timer));
}

/** One run. A failure is in the manager's log, and the next run comes by itself. */
async function run(url: string, cron: string): Promise<void> {
  try {
    const target = `${url}/cdn-cgi/local/scheduled?cron=${encodeURIComponent(cron)}`;
    const response = await fetch(target, { signal: AbortSignal.timeout(WITHIN_MS) });
    await response.arrayBuffer();
  } catch {
    // The manager is busy or ending.
  }
}
