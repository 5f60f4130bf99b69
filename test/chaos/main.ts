/**
 * `npm run chaos -- --runs N --seed S [--parallel P] [--keep]`: N runs of real chaos with the seeds
 * S, S+1, … Prints each run and the totals, and exits with 1 when a run failed. The state and log
 * of a failed run are kept; `--keep` keeps all.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { runMany } from "./many.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    parallel: { type: "string", default: String(Math.max(2, availableParallelism())) },
    keep: { type: "boolean", default: false },
  },
});
const number = (name: "runs" | "seed" | "parallel"): number => {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`--${name} must be a whole number, not '${values[name]}'`);
  return value;
};

const folder = mkdtempSync(path.join(tmpdir(), "tablao-chaos-"));
const beganMs = performance.now();
const totals = new Map<string, number>();
let failed = 0;
await runMany({ first: number("seed"), runs: number("runs"), parallel: number("parallel"), folder }, (result) => {
  for (const [what, n] of Object.entries(result.counts)) totals.set(what, (totals.get(what) ?? 0) + n);
  const seconds = (result.ms / 1_000).toFixed(1);
  if (result.problems.length > 0) failed++;
  else if (!values.keep) rmSync(result.folder, { recursive: true, force: true });
  console.log(`seed ${result.seed}: ${result.problems.length === 0 ? "ok" : "FAILED"} in ${seconds} s`);
  for (const problem of result.problems) console.log(`  ${problem}`);
  if (result.problems.length > 0)
    console.log(`  state and log: ${result.folder}; again: npm run chaos -- --runs 1 --seed ${result.seed}`);
});
console.log(JSON.stringify(Object.fromEntries([...totals].toSorted(([a], [b]) => a.localeCompare(b)))));
console.log(`${number("runs")} runs, ${failed} failed, ${((performance.now() - beganMs) / 1_000).toFixed(0)} s`);
if (failed === 0 && !values.keep) rmSync(folder, { recursive: true, force: true });
process.exitCode = failed === 0 ? 0 : 1;
