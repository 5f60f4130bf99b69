// Adds up the JSON reports that the test runner wrote and prints the one line that CI reads. A skipped test is a failure: on
// CI no program that a test needs may be missing. A test file that could not be loaded counts as one failed test.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** `npm test` and `npm run test:rest` write one report each; fewer means that one of them did not get to its end. */
const REPORTS = 2;

const folder = process.argv[2];
const reports = readdirSync(folder).filter((name) => name.endsWith(".json"));
let passed = 0;
let failed = 0;
for (const name of reports) {
  const report = JSON.parse(readFileSync(join(folder, name), "utf8"));
  const skipped = report.numPendingTests + report.numTodoTests;
  passed += report.numPassedTests;
  failed += report.numFailedTests + skipped;
  if (skipped > 0) console.error(`${name}: ${skipped} tests were skipped`);
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  for (const file of broken) console.error(`${file.name}: ${file.message}`);
  failed += broken.length;
}
if (reports.length < REPORTS) console.error(`${reports.length} reports instead of ${REPORTS}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 || reports.length < REPORTS ? 1 : 0);
