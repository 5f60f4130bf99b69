/** The triggers that the manager knows by their text are those of `wrangler.toml`. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { SWEEP_CRON, WATCH_CRON } from "../../src/protocol/constants.ts";

test("wrangler.toml has the daily trigger, the watchdog's and the sweep's, of five that a free account has", () => {
  const crons = /^crons = (\[.*\])$/m.exec(readFileSync("wrangler.toml", "utf8"))![1]!;
  expect(JSON.parse(crons)).toEqual(["23 4 * * *", WATCH_CRON, SWEEP_CRON]);
});
