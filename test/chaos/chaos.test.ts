/**
 * Real chaos with the seeds 1 to 50, each run with a manager of its own in workerd. `npm run chaos`
 * runs any seed. `scenario.ts` says what a run does; `audit.ts` says what must be true afterwards.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildBundle } from "./manager.ts";
import { run } from "./run.ts";

const RUNS = 50;

const folder = mkdtempSync(path.join(tmpdir(), "tablao-chaos-"));
const totals = new Map<string, number>();
let bundle = "";

beforeAll(async () => {
  bundle = await buildBundle(path.join(folder, "bundle"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

test.concurrent.each(Array.from({ length: RUNS }, (_, i) => String(i + 1)))(
  "P1–P7, P11: nothing twice, nothing lost, nothing left behind after the chaos of seed %s",
  async (seed) => {
    const result = await run(seed, bundle, folder);
    for (const [what, n] of Object.entries(result.counts)) totals.set(what, (totals.get(what) ?? 0) + n);
    expect(result.problems, `again: npm run chaos -- --runs 1 --seed ${seed}`).toEqual([]);
    rmSync(result.folder, { recursive: true, force: true, maxRetries: 5 });
  },
);

test("the runs were chaotic: every kind of fault happened, and leases were lost and taken over", () => {
  const happened = (what: string): number => totals.get(what) ?? 0;
  const faults = ["drop request", "drop reply", "delay", "double", "late", "cut request", "cut reply", "half open"];
  const events = ["kill manager", "abort", "clock", "service", "kill agent", "freeze agent", "patch", "delete"];
  for (const what of [...faults, "5xx before", "5xx after", ...events, "lost leases"])
    expect(happened(what), what).toBeGreaterThan(RUNS / 10);
  expect(happened("acknowledged frames")).toBeGreaterThan(RUNS * 20);
});
