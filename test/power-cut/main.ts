/**
 * `npm run power-cuts -- [--cuts N] [--seed N]`: power cuts of `npm start` (`run.ts`), 50 of each recorded
 * farm. Prints what is wrong, and counts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { endFarm } from "../support/farm.ts";
import { buildRecorder } from "./recording.ts";
import { cutPower } from "./run.ts";

const CUTS_PER_FARM = 50;

const { values } = parseArgs({
  options: { cuts: { type: "string", default: "50" }, seed: { type: "string", default: "1" } },
});
const cuts = Number(values.cuts);
const folder = mkdtempSync(path.join(tmpdir(), "tablao-power-"));
const library = buildRecorder(folder);
let failed = 0;
for (let left = cuts, seed = Number(values.seed); left > 0; left -= CUTS_PER_FARM, seed++) {
  for (const { name, problems } of await cutPower(String(seed), Math.min(left, CUTS_PER_FARM), folder, library)) {
    if (problems.length === 0) continue;
    failed++;
    console.log(`${name}: FAILED`);
    for (const problem of problems.slice(0, 5)) console.log(`  ${problem}`);
  }
  console.log(`${Math.min(cuts, cuts - left + CUTS_PER_FARM)} cuts so far, ${failed} failed`);
}
await endFarm();
if (failed === 0) rmSync(folder, { recursive: true, force: true });
else console.log(`folders of the failures: ${folder}`);
console.log(`${cuts} cuts, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
