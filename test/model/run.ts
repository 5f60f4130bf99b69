/**
 * The model check from the command line: `npm run model [-- --deep] [-- --mutations] [-- --write-docs]`. Prints a table; exits
 * with 1 when a promise is broken or a mutation is not found. `--deep` adds the larger and deepest worlds, `--mutations` looks for the
 * planted faults instead of exploring the worlds, `--write-docs` explores the worlds of `npm test` and `test:all`, does both and writes the tables of docs/reliability.md.
 */
import { parseArgs } from "node:util";
import { today, writeBlock } from "../support/doc-block.ts";
import { DEEP, LARGE, QUICK, type Configuration } from "./configurations.ts";
import { MUTATIONS } from "./mutations.ts";
import { exploreAll, hunt } from "./pool.ts";
import { DOC, mutationRows, mutationTable, reportTable, worldRows } from "./tables.ts";

const { values: flags } = parseArgs({
  options: {
    deep: { type: "boolean", default: false },
    mutations: { type: "boolean", default: false },
    "write-docs": { type: "boolean", default: false },
  },
});
const writes = flags["write-docs"];
let failed = false;

async function worlds(configurations: readonly Configuration[], block: string): Promise<void> {
  const answers = await exploreAll(configurations);
  const { text, broken } = reportTable(answers);
  console.log(text);
  failed ||= broken;
  if (writes && !broken) write(block, worldRows(answers));
}

function write(block: string, rows: readonly string[]): void {
  writeBlock(DOC, block, [...rows, "", `Written by \`npm run model -- --write-docs\` on ${today()}.`]);
}

const startedMs = performance.now();
if (writes || !flags.mutations) await worlds(QUICK, "model-worlds");
if (writes) await worlds(LARGE, "model-large");
if (flags.deep) await worlds(writes ? DEEP : [...LARGE, ...DEEP], "model-deep");
if (writes || flags.mutations) {
  const answers = await hunt(MUTATIONS);
  const { text, survivors, errors } = mutationTable(MUTATIONS, answers);
  console.log(text);
  const missed = survivors.length + errors.length > 0;
  failed ||= missed;
  if (writes && !missed) write("model-mutations", mutationRows(MUTATIONS, answers));
}
console.log(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s in all`);
process.exitCode = failed ? 1 : 0;
