/**
 * The model check from the command line: `npm run model [-- --deep] [-- --only TEXT] [-- --mutations] [-- --inputs] [-- --write-docs]`. Prints a table; exits
 * with 1 when a promise is broken or a mutation is not found. `--deep` adds the larger and deepest worlds, `--mutations` looks for the
 * planted faults instead of exploring the worlds, `--inputs` leaves the lease protocol out and explores the sweep of inputs alone, `--write-docs` explores the worlds of `npm test` and `test:all`, does both and writes the tables of docs/reliability.md.
 * `--only TEXT` takes only the worlds, or the faults, whose names contain the text; it writes nothing.
 */
import { parseArgs } from "node:util";
import { today, writeBlock } from "../support/doc-block.ts";
import { DEEP, LARGE, QUICK } from "./configurations.ts";
import type { Explorer } from "./explorer-thread.ts";
import * as inputs from "./inputs/configurations.ts";
import { MUTATIONS as INPUT_MUTATIONS } from "./inputs/mutations.ts";
import { MUTATIONS, type Mutation } from "./mutations.ts";
import { exploreAll, hunt } from "./pool.ts";
import { DOC, mutationRows, mutationTable, reportTable, worldRows } from "./tables.ts";

const { values: flags } = parseArgs({
  options: {
    deep: { type: "boolean", default: false },
    mutations: { type: "boolean", default: false },
    inputs: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    "write-docs": { type: "boolean", default: false },
  },
});
const writes = flags["write-docs"];
if (writes && flags.only !== "") throw new Error("--write-docs writes whole tables, so --only is not for it");
const named = <T extends { name: string }>(all: readonly T[]): T[] =>
  all.filter(({ name }) => name.includes(flags.only));
let failed = false;

async function worlds(
  all: readonly { name: string }[],
  block: string,
  explorer: Explorer = "explore.ts",
): Promise<void> {
  const configurations = named(all);
  if (configurations.length === 0) return;
  const answers = await exploreAll(configurations, explorer);
  const { text, broken } = reportTable(answers);
  console.log(text);
  failed ||= broken;
  if (writes && !broken) write(block, worldRows(answers));
}

function write(block: string, rows: readonly string[]): void {
  writeBlock(DOC, block, [...rows, "", `Written by \`npm run model -- --write-docs\` on ${today()}.`]);
}

const startedMs = performance.now();
const leases = !flags.inputs;
if (leases && (writes || !flags.mutations)) await worlds(QUICK, "model-worlds");
if (leases && writes) await worlds(LARGE, "model-large");
if (writes || !flags.mutations) await worlds(inputs.QUICK, "model-inputs", "inputs/explore.ts");
if (writes) await worlds(inputs.LARGE, "model-inputs-large", "inputs/explore.ts");
if (flags.deep) await worlds(writes ? DEEP : [...LARGE, ...DEEP], "model-deep");
async function planted(
  all: readonly Mutation[],
  block: string,
  look: (mutations: readonly Mutation[]) => ReturnType<typeof hunt>,
) {
  const mutations = named(all);
  if (mutations.length === 0) return;
  const answers = await look(mutations);
  const { text, survivors, errors } = mutationTable(mutations, answers);
  console.log(text);
  const missed = survivors.length + errors.length > 0;
  failed ||= missed;
  if (writes && !missed) write(block, mutationRows(mutations, answers));
}

if (writes || flags.mutations) {
  if (leases) await planted(MUTATIONS, "model-mutations", hunt);
  await planted(INPUT_MUTATIONS, "model-inputs-mutations", (some) => hunt(some, inputs.HUNT, "inputs/explore.ts"));
}
console.log(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s in all`);
process.exitCode = failed ? 1 : 0;
