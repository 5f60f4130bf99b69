/**
 * `npm run fuzz -- --requests 100000 --seed 7`: runs `api-fuzz.test.ts` inside workerd with these
 * numbers.
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { requests: { type: "string" }, seed: { type: "string" } } });

/**
 * The value of an option, or `fallback` without it. Ends the process when it is not a whole number
 * of at least 1.
 */
function wholeNumber(name: string, text: string | undefined, fallback: number): string {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    process.stderr.write(`fuzz: --${name} must be a whole number from 1 up\n`);
    process.exit(2);
  }
  return String(value);
}

const env = {
  ...process.env,
  FUZZ_REQUESTS: wholeNumber("requests", values.requests, 10_000),
  FUZZ_SEED: wholeNumber("seed", values.seed, Math.floor(Math.random() * 1e9) + 1),
};
const CHECKOUT = path.resolve(import.meta.dirname, "../..");
const vitest = path.join(CHECKOUT, "node_modules/vitest/vitest.mjs");
const args = [vitest, "run", "--config", "config/vitest.config.ts", "--project", "fuzz"];
const run = spawnSync(process.execPath, args, { cwd: CHECKOUT, stdio: "inherit", env });
process.exit(run.status ?? 1);
