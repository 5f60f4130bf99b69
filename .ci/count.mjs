// Adds up the JSON reports that the test runner wrote and ends with the one line that CI reads. A skipped test is a failure:
// on CI nothing an end-to-end test needs may be missing.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

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
  // A file that could not be loaded has no tests to fail.
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  for (const file of broken) console.error(`${file.name}: ${file.message}`);
  failed += broken.length;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 || reports.length < 2 ? 1 : 0);
