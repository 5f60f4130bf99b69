/**
 * `npm run chaos:long -- --runs N --seed S [--parallel P]`: many cheap runs. The product's own
 * objects run in plain Node, in virtual time: no run waits, everything random comes from the seed,
 * and a seed that fails fails again in the same way. `--differential` (`npm run
 * chaos:differential`) compares one task's object with one that is reset and whose writes are
 * refused, instead of running a whole farm. `--loud` shows what the objects log.
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { runOne } from "./virtual-time/one.ts";
import { loadProduct } from "./virtual-time/product.ts";
import { runDifferential } from "./differential/run.ts";

/** What a process reports of one run. */
interface RunReport {
  seed: number;
  problems: string[];
  counts: [string, number][];
}

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    parallel: { type: "string", default: String(availableParallelism()) },
    differential: { type: "boolean", default: false },
    loud: { type: "boolean", default: false },
  },
});
const number = (name: "runs" | "seed" | "parallel"): number => {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`--${name} must be a whole number, not '${values[name]}'`);
  return value;
};

/** Number of runs between two lines of progress. */
const PROGRESS_EVERY = 500;

if (process.send) await work(process.send.bind(process));
else await share();

/** In a child process: run every `parallel`-th seed, from CHAOS_FIRST on. */
async function work(report: (run: RunReport) => void): Promise<void> {
  const product = await loadProduct();
  // The objects log failures; in these runs failures are planned.
  if (!values.loud) console.error = console.warn = console.log = () => undefined;
  for (
    let seed = Number(process.env["CHAOS_FIRST"]);
    seed < number("seed") + number("runs");
    seed += number("parallel")
  ) {
    const { problems, counts } = await (values.differential ? runDifferential : runOne)(String(seed), product);
    report({ seed, problems, counts: [...counts] });
  }
  process.disconnect();
}

/** In the parent: start the children, add up their reports, and print the result. */
async function share(): Promise<void> {
  const beganMs = performance.now();
  const seconds = (): string => ((performance.now() - beganMs) / 1_000).toFixed(0);
  const totals = new Map<string, number>();
  let [done, failed] = [0, 0];
  const add = ({ seed, problems, counts }: RunReport): void => {
    done++;
    if (done % PROGRESS_EVERY === 0) console.log(`${done} runs so far, ${failed} failed, ${seconds()} s`);
    for (const [what, n] of counts) totals.set(what, (totals.get(what) ?? 0) + n);
    if (problems.length === 0) return;
    failed++;
    console.log(
      `seed ${seed}: FAILED; again: npm run chaos:${values.differential ? "differential" : "long"} -- --runs 1 --seed ${seed}`,
    );
    for (const problem of problems.slice(0, 8)) console.log(`  ${problem}`);
  };
  const parts = Array.from({ length: number("parallel") }, async (_, i) => {
    const env = { ...process.env, CHAOS_FIRST: String(number("seed") + i) };
    const child = fork(import.meta.filename, process.argv.slice(2), { env, execArgv: ["--no-warnings"] });
    child.on("message", (run) => add(run as RunReport));
    const code = await new Promise((resolve) => child.once("exit", resolve));
    if (code !== 0) throw new Error(`a process ended with ${String(code)}`);
  });
  await Promise.all(parts);
  console.log(JSON.stringify(Object.fromEntries([...totals].toSorted(([a], [b]) => a.localeCompare(b)))));
  console.log(`${done} runs, ${failed} failed, ${seconds()} s`);
  process.exitCode = failed === 0 && done === number("runs") ? 0 : 1;
}
