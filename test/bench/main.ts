/**
 * `npm run bench`: every line, one table, written to `docs/benchmarks.md`. `npm run bench -- --only NAME` runs one line and only
 * prints it.
 */
import { parseArgs } from "node:util";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { LINES } from "./lines/index.ts";
import type { Row } from "./line.ts";
import { CHECKOUT } from "./runtime.ts";
import { markdown } from "./table.ts";

const names = LINES.map((line) => line.name).join(", ");
const { values } = parseArgs({ options: { only: { type: "string" } } });
const chosen = LINES.filter((line) => values.only === undefined || line.name === values.only);
if (chosen.length === 0) throw new Error(`there is no line '${values.only}'; there are ${names}`);

const began = performance.now();
const rows: Row[] = [];
let failed = false;
for (const line of chosen) {
  const from = performance.now();
  const say = (text: string): void => void process.stderr.write(`${line.name}: ${text}\n`);
  try {
    rows.push(...(await line.run(say)));
    say(`took ${Math.round((performance.now() - from) / 1_000)} s`);
  } catch (error) {
    failed = true;
    say(`FAILED: ${error instanceof Error ? error.stack : String(error)}`);
  }
}
const table = markdown(rows, (performance.now() - began) / 1_000);
process.stdout.write(`${table}\n`);
if (values.only === undefined && !failed) writeFileSync(path.join(CHECKOUT, "docs/benchmarks.md"), `${table}\n`);
// Sockets of clients that are kept alive would hold the process for their time-out.
process.exit(failed ? 1 : 0);
