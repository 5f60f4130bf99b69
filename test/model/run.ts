/**
 * The model check from the command line: `node test/model/run.ts [--deep] [--mutations]`. Prints a table; exits with 1 when a
 * promise is broken or a mutation is not found.
 */
import { DEEP, HUNT, QUICK } from "./configurations.ts";
import { MUTATIONS } from "./mutations.ts";
import { runAll } from "./pool.ts";
import { mutationTable, reportTable } from "./tables.ts";

const flags = new Set(process.argv.slice(2));
const startedMs = performance.now();
const configurations = flags.has("--deep") || process.env.MODEL_DEEP === "1" ? [...QUICK, ...DEEP] : QUICK;
let failed = false;
if (flags.has("--mutations")) {
  const answers = await runAll(MUTATIONS.map((mutation) => ({ configurations: HUNT, mutation })));
  const table = mutationTable(MUTATIONS, answers);
  console.log(table.text);
  failed = table.survivors.length + table.errors.length > 0;
} else {
  const slowFirst = [...configurations].reverse();
  const answers = await runAll(slowFirst.map((configuration) => ({ configurations: [configuration], mutation: null })));
  const table = reportTable(answers.reverse());
  console.log(table.text);
  failed = table.broken;
}
console.log(`${((performance.now() - startedMs) / 1000).toFixed(1)} s in all`);
process.exitCode = failed ? 1 : 0;
