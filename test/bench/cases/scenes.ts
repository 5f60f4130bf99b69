/**
 * How long a large .blend file takes to be read. A process of its own does it: beside all that the other cases load, the
 * garbage collector would take most of the time, because it looks through everything again and again.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Case, Row } from "../case.ts";
import { SCRIPT } from "../scene-rows.ts";

export const scenes: Case = {
  name: "scenes",
  async run(progress) {
    progress("reading");
    const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT]);
    return JSON.parse(stdout) as Row[];
  },
};
