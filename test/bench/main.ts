/**
 * `npm run bench`: runs every case and writes one table to `docs/benchmarks.md`. `npm run bench --
 * --only NAME` runs one case and only prints it. Exits with 1 when a case could not be run to its
 * end.
 */
import { parseArgs } from "node:util";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { CASES } from "./cases/index.ts";
import type { Row } from "./case.ts";
import { CHECKOUT } from "./runtime.ts";
import { markdown } from "./table.ts";

const names = CASES.map((one) => one.name).join(", ");
const { values } = parseArgs({ options: { only: { type: "string" } } });
const chosen = CASES.filter((one) => values.only === undefined || one.name === values.only);
if (chosen.length === 0) throw new Error(`there is no case '${values.only}'; there are ${names}`);

const began = performance.now();
const rows: Row[] = [];
let failed = false;
for (const one of chosen) {
  const from = performance.now();
  const progress = (text: string): void => void process.stderr.write(`${one.name}: ${text}\n`);
  try {
    rows.push(...(await one.run(progress)));
    progress(`took ${Math.round((performance.now() - from) / 1_000)} s`);
  } catch (error) {
    failed = true;
    progress(`FAILED: ${error instanceof Error ? error.stack : String(error)}`);
  }
}
const table = markdown(rows, (performance.now() - began) / 1_000);
process.stdout.write(`${table}\n`);
if (values.only === undefined && !failed) writeFileSync(path.join(CHECKOUT, "docs/benchmarks.md"), `${table}\n`);
// Otherwise the process waits until the kept connections of its clients time out.
process.exit(failed ? 1 : 0);
