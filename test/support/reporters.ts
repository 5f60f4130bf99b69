/**
 * Reporters of the test runner. When TABLAO_TEST_REPORTS names a folder, each run of the runner
 * also writes a JSON report there, which `.ci/count.mjs` adds up. The name holds the process id, so
 * that runs do not overwrite each other's.
 */
import { join } from "node:path";

export function reporters(): { reporters: string[]; outputFile?: { json: string } } {
  const folder = process.env.TABLAO_TEST_REPORTS;
  return folder
    ? { reporters: ["default", "json"], outputFile: { json: join(folder, `report-${process.pid}.json`) } }
    : { reporters: ["default"] };
}
