/**
 * `npm run test:long`: what takes longer than CI should. Each step is a command of its own. When it
 * ends, its result is written into its row in docs/reliability.md, with the date and the commit.
 * All together take about three hours on two cores.
 *
 * `--only NAME` runs one step. `--scale 0.01` makes each step that much smaller, and only prints.
 */
import { execFileSync, spawn } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";
import { tableIn, today, writeBlock } from "../support/doc-block.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");
/** How much of the output is kept: the results are in the last lines. */
const KEPT_CHARS = 100_000;

const { values } = parseArgs({ options: { only: { type: "string" }, scale: { type: "string", default: "1" } } });
const scale = Number(values.scale);
if (!(scale > 0 && scale <= 1)) throw new Error(`--scale must be above 0 and at most 1, not '${values.scale}'`);
const times = (count: number): string => String(Math.max(1, Math.round(count * scale)));

interface Step {
  name: string;
  /** The name of the step in the table. */
  what: string;
  script: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  /** The part of its output that says the result. */
  result: RegExp;
}

const config = ["run", "--config", "config/vitest.config.ts"];
const VITEST = "node_modules/vitest/vitest.mjs";
const largeMb = Math.max(300, Math.round(5_000 * scale));

const STEPS: Step[] = [
  {
    name: "model",
    what: "the deepest worlds of the model check",
    script: "test/model/run.ts",
    args: ["--deep"],
    result: /^together .*$/m,
  },
  {
    name: "virtual-time",
    what: "virtual-time chaos",
    script: "test/chaos/long.ts",
    args: ["--runs", times(10_000), "--seed", "20000"],
    result: /^\d+ runs, \d+ failed/m,
  },
  {
    name: "differential",
    what: "one object beside an undisturbed one",
    script: "test/chaos/long.ts",
    args: ["--differential", "--runs", times(1_600), "--seed", "1"],
    result: /^\d+ runs, \d+ failed/m,
  },
  {
    name: "chaos",
    what: "real chaos: workerd, SIGKILL, a network that fails",
    script: "test/chaos/main.ts",
    args: ["--runs", times(300), "--seed", "1000"],
    result: /^\d+ runs, \d+ failed/m,
  },
  {
    name: "power-cuts",
    what: "power cuts of a recorded farm",
    script: "test/power-cut/main.ts",
    args: ["--cuts", times(1_000), "--seed", "1000"],
    result: /^\d+ cuts, \d+ failed/m,
  },
  {
    name: "fuzz",
    what: "requests made from the OpenAPI document",
    script: "test/support/fuzz.ts",
    args: ["--requests", times(100_000), "--seed", "1"],
    result: /\d+ requests, seed \d+/,
  },
  {
    name: "scenes",
    what: ".blend files with changed bytes: contents or a refusal, nothing else",
    script: VITEST,
    args: [...config, "--project", "unit", "src/blend/hostile.test.ts"],
    env: { TABLAO_BLEND_RUNS: times(50_000), TABLAO_SEED: "12" },
    result: /\d+ passed/,
  },
  {
    name: "large-file",
    what: `a file of ${largeMb} MB: its upload cut, resumed, and fetched by an agent`,
    script: VITEST,
    args: [...config, "--project", "e2e", "test/e2e/upload.test.ts"],
    env: { TABLAO_LARGE_MB: String(largeMb) },
    result: /\d+ passed/,
  },
  {
    name: "large-download",
    what: `a task of ${largeMb} MB: downloaded as a zip, cut, resumed, and as a tar`,
    script: VITEST,
    args: [...config, "--project", "e2e", "test/e2e/download.test.ts"],
    env: { TABLAO_LARGE_MB: String(largeMb) },
    result: /\d+ passed/,
  },
  {
    name: "platform",
    what: "every journey on every emulated platform",
    script: "test/platform/main.ts",
    args: ["--large-mb", String(Math.max(70, Math.round(300 * scale)))],
    result: /Tests +\d+ passed/,
  },
];

/** Run a step to its end and show its output; returns the exit code and the output. */
async function run({ script, args, env }: Step): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ["--no-warnings", path.join(CHECKOUT, script), ...args], {
    cwd: CHECKOUT,
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    process.stdout.write(text);
    output = (output + text).slice(-KEPT_CHARS);
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}

const chosen = STEPS.filter(({ name }) => values.only === undefined || values.only === name);
if (chosen.length === 0)
  throw new Error(`there is no step '${values.only}'; there are ${STEPS.map(({ name }) => name).join(", ")}`);

const HEAD = ["| step | what | result | | when |", "|---|---|---|---|---|"];
const git = (...args: string[]): string => execFileSync("git", args, { cwd: CHECKOUT, encoding: "utf8" }).trim();
// The documents do not count: an earlier step has written its row there.
const isChanged = git("status", "--porcelain", "--", ".", ":!docs") !== "";
const commit = `${git("rev-parse", "--short", "HEAD")}${isChanged ? "-dirty" : ""}`;
const rows: string[] = [];
let failed = false;
for (const step of chosen) {
  console.log(`${step.name}: ${[step.script, ...step.args].join(" ")}`);
  const { code, output } = await run(step);
  const result = step.result.exec(output)?.[0];
  const ok = code === 0 && result !== undefined;
  failed ||= !ok;
  const outcome = ok ? "passed" : "**failed**";
  rows.push(`${start(step)} ${step.what} | ${result ?? "no result"} | ${outcome} | ${today()}, at ${commit} |`);
  if (scale === 1) writeRow(step, rows.at(-1)!);
}
console.log([...HEAD, ...rows].join("\n"));
process.exitCode = failed ? 1 : 0;

/** How the row of a step begins. */
function start({ name }: Step): string {
  return `| ${name} |`;
}

/** Replace the row of a step in docs/reliability.md. Rows of steps that no longer exist go. */
function writeRow(step: Step, row: string): void {
  const before = tableIn("reliability.md", "test-long");
  const rowOf = (one: Step): string | undefined =>
    one === step ? row : before.find((line) => line.startsWith(start(one)));
  writeBlock("reliability.md", "test-long", [...HEAD, ...STEPS.map(rowOf).filter((line) => line !== undefined)]);
}
