/**
 * `npm run platform`: every journey on every platform (`rows.ts`), with a large file of 300 MB. Takes
 * about a quarter of an hour on two cores. When all is as the tests say, it writes the table of
 * `docs/platform.md`.
 *
 * `--only latency:upload` makes one journey, `--only latency` those of a row, `--only :upload` that
 * journey on each platform; `--large-mb 5000` uses another size. With `--only`, nothing is written.
 * `--table` writes the table without a run: for when an entry of `known.ts` was taken out, which the
 * tests of the journeys have checked.
 */
import { execFileSync, spawn } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";
import { today, writeBlock } from "../support/doc-block.ts";
import { platformTable, TABLE_FILE, TABLE_NAME } from "./table.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "all" },
    "large-mb": { type: "string", default: "300" },
    table: { type: "boolean", default: false },
  },
});

/** Make the journeys; returns the runner's exit code. */
async function makeJourneys(): Promise<number | null> {
  const args = ["run", "--config", "config/vitest.config.ts", "--project", "platform"];
  const env = { ...process.env, TABLAO_PLATFORM: values.only, TABLAO_LARGE_MB: values["large-mb"] };
  const child = spawn(process.execPath, [path.join(CHECKOUT, "node_modules/vitest/vitest.mjs"), ...args], {
    cwd: CHECKOUT,
    env,
    stdio: "inherit",
  });
  return await new Promise((resolve) => child.once("close", resolve));
}

const code = values.table ? 0 : await makeJourneys();
if (code === 0 && values.only === "all") {
  const commit = execFileSync("git", ["describe", "--always", "--dirty"], { cwd: CHECKOUT, encoding: "utf8" }).trim();
  const made = values.table ? "from the lists of the tests" : `with a large file of ${values["large-mb"]} MB`;
  writeBlock(TABLE_FILE, TABLE_NAME, [
    ...platformTable(),
    "",
    `Written by \`npm run platform\`, ${made}, on ${today()}, at ${commit}.`,
  ]);
}
process.exitCode = code ?? 1;
