/** `npm run fuzz -- --requests 100000 --seed 7`: hand the numbers to the test that runs inside workerd. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { requests: { type: "string" }, seed: { type: "string" } } });

function whole(name: string, text: string | undefined, otherwise: number): string {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    process.stderr.write(`fuzz: --${name} must be a whole number from 1 up\n`);
    process.exit(2);
  }
  return String(value);
}

const env = {
  ...process.env,
  FUZZ_REQUESTS: whole("requests", values.requests, 10_000),
  FUZZ_SEED: whole("seed", values.seed, Math.floor(Math.random() * 1e9) + 1),
};
const vitest = path.resolve(import.meta.dirname, "../../node_modules/vitest/vitest.mjs");
const run = spawnSync(process.execPath, [vitest, "run", "--config", "vitest.fuzz.config.ts"], {
  stdio: "inherit",
  env,
});
process.exit(run.status ?? 1);
