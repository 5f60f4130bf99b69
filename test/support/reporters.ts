/** Reports for `.ci/run`, which adds them up: one JSON file per run of the test runner when TABLAO_TEST_REPORTS names a folder. */
import { join } from "node:path";

export function reporters(name: string): { reporters: string[]; outputFile?: { json: string } } {
  const folder = process.env.TABLAO_TEST_REPORTS;
  return folder
    ? { reporters: ["default", "json"], outputFile: { json: join(folder, `${name}.json`) } }
    : { reporters: ["default"] };
}
