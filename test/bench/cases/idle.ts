/** A farm without work: a thousand connected workers, an hour of their pings. */
import type { Case, Row } from "../case.ts";
import type { Idle } from "../order.ts";
import { startCounted } from "../runtime.ts";

const WORKERS = 1_000;
const HOUR_MS = 3_600_000;

export const idle: Case = {
  name: "idle",
  async run() {
    const runtime = await startCounted();
    try {
      const { wakes, pings, pongs, rowsWritten, nextAlarmMs } = await runtime.count<Idle>({
        do: "idle",
        workers: WORKERS,
        forMs: HOUR_MS,
      });
      const woken = Object.values(wakes).reduce((sum, n) => sum + n, 0);
      const sweep =
        nextAlarmMs === null ? "no alarm is set" : `the next alarm is in ${Math.round(nextAlarmMs / 60_000)} min`;
      const row: Row = {
        what: `idle farm: ${WORKERS.toLocaleString("en-US")} connected workers for an hour`,
        figure: `${woken} wake-ups, ${rowsWritten} rows`,
        goal: "0 wake-ups but the sweep",
        reached: woken === 0 && pongs === pings,
        detail: `${pings.toLocaleString("en-US")} pings, all answered by the runtime; ${sweep}; an idle agent makes no request at all, so a day costs ${woken * 24} requests`,
      };
      return [row];
    } finally {
      await runtime.stop();
    }
  },
};
