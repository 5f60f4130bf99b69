import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { AlarmJobs } from "./alarm-jobs.ts";

let log: ReturnType<typeof vi.spyOn>;

beforeEach(() => {
  vi.useFakeTimers();
  log = vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const hangs = (): Promise<void> => new Promise(() => {});

it("P13: a job that throws is logged and counted, and the next ones run", async () => {
  const jobs = new AlarmJobs({ at: "task", task: 7 });
  const done: string[] = [];
  await jobs.run("sweep", () => {
    throw new Error("R2 is away");
  });
  await jobs.run("history", async () => void done.push("history"));
  expect(done).toEqual(["history"]);
  expect(jobs.failures).toBe(1);
  expect(log.mock.calls).toEqual([['{"at":"task","task":7,"chore":"sweep","error":"R2 is away"}']]);
});

it("P13: a job that hangs holds the others for a minute, and is begun anew only when it is dead", async () => {
  const jobs = new AlarmJobs({ at: "test" });
  const begun = vi.fn(hangs);
  for (let minute = 1; minute <= 15; minute++) {
    const run = jobs.run("sweep", begun);
    await vi.advanceTimersByTimeAsync(60_000);
    await run;
    expect(jobs.failures).toBe(minute);
  }
  expect(begun).toHaveBeenCalledTimes(1);
  const again = jobs.run("sweep", begun);
  await vi.advanceTimersByTimeAsync(60_000);
  await again;
  expect(begun).toHaveBeenCalledTimes(2);
});

it("P7: two runs of one job at once are one run", async () => {
  const jobs = new AlarmJobs({ at: "test" });
  const { promise, resolve } = Promise.withResolvers<void>();
  const drain = vi.fn(() => promise);
  const runs = [jobs.run("history", drain), jobs.run("history", drain), jobs.run("news", async () => {})];
  resolve();
  await Promise.all(runs);
  expect(drain).toHaveBeenCalledTimes(1);
  await jobs.run("history", drain);
  expect(drain).toHaveBeenCalledTimes(2);
  expect(jobs.failures).toBe(0);
});
