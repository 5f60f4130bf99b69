import { afterEach, expect, test, vi } from "vitest";
import { startCron } from "./cron.ts";

afterEach(() => vi.useRealTimers());

test("P13: a local manager runs the watchdog every five minutes, the daily jobs and the sweep once a day; a failure ends none", async () => {
  vi.useFakeTimers();
  const failures = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const runs: Record<string, number> = {};
  startCron((cron) => {
    runs[cron] = (runs[cron] ?? 0) + 1;
    return Promise.reject(new Error("the manager is busy"));
  });
  expect(runs).toEqual({});
  await vi.advanceTimersByTimeAsync(2 * 86_400_000);
  expect(runs).toEqual({ "*/5 * * * *": 2 * 288, "53 4 * * *": 2, daily: 2 });
  expect(failures).toHaveBeenCalledTimes(2 * 288 + 4);
  failures.mockRestore();
});
