/** The cron triggers of a local manager: no platform runs them there. */
import { SWEEP_CRON, WATCH_CRON } from "../protocol/constants.ts";

/** The manager takes any other trigger than the first two for the daily one. */
const TRIGGERS = [
  { cron: WATCH_CRON, everyMs: 5 * 60_000 },
  { cron: SWEEP_CRON, everyMs: 86_400_000 },
  { cron: "daily", everyMs: 86_400_000 },
];

/** Run the triggers as long as the process lives. */
export function startCron(run: (cron: string) => Promise<unknown>): void {
  for (const { cron, everyMs } of TRIGGERS) {
    const report = (thrown: unknown): void => console.error(`the trigger ${cron} failed:`, thrown);
    setInterval(() => void run(cron).catch(report), everyMs).unref();
  }
}
