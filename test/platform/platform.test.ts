/**
 * The main journeys on platforms that behave as Cloudflare does. By default each platform has the
 * journeys that `rows.ts` lists as `often`; `npm run platform` makes all of them, or those that it is
 * told. Journeys overlap, because most of a journey is waiting.
 */
import { afterAll, expect, test } from "vitest";
import { endFarm } from "../support/farm.ts";
import { until } from "../support/wait.ts";
import { Ground, type Scale } from "./ground.ts";
import { JOURNEYS, type JourneyName } from "./journeys/index.ts";
import { knownOf, type Known } from "./known.ts";
import { TOO_LARGE, type Rule } from "./order.ts";
import type { LimitName } from "./limits/index.ts";
import { missingMethod } from "./limits/old-object.ts";
import { ROW_TOO_BIG } from "./limits/row-size.ts";
import { TOO_MANY_CALLS } from "./limits/subrequests.ts";
import { TOO_FAST } from "./limits/write-rate.ts";
import { startPlatform } from "./platform.ts";
import { ROWS, type PlatformRow } from "./rows.ts";

afterAll(endFarm);

/** How long a journey waits that is known to fail because something never happens. */
const NEVER_MS = 20_000;

const { TABLAO_PLATFORM = "", TABLAO_LARGE_MB = "70", TABLAO_INPUTS = "2100" } = process.env;
const SCALE: Scale = { largeMb: Number(TABLAO_LARGE_MB), inputs: Number(TABLAO_INPUTS) };

/** `all`, or `row:journey` with either side left out; empty for the journeys that are made often. */
function isChosen(row: PlatformRow, journey: JourneyName): boolean {
  if (TABLAO_PLATFORM === "") return row.often.includes(journey);
  if (TABLAO_PLATFORM === "all") return true;
  const [name = "", only = ""] = TABLAO_PLATFORM.split(":");
  return (name === "" || name === row.name) && (only === "" || only === journey);
}

/**
 * Make a journey under the conditions of a row. Throws when it fails, or when 500 was answered. What
 * the manager logged is shown when the failure is not known.
 */
async function make(row: PlatformRow, journey: JourneyName, known?: Known): Promise<void> {
  const ground = await Ground.start(row, SCALE, known?.never ? NEVER_MS : undefined);
  try {
    await row.before?.(ground);
    await JOURNEYS[journey](ground);
    const bugs = ground.bugs();
    if (bugs.length > 0) throw new Error(`the manager answered 500 to ${bugs.slice(0, 5).join(", ")}`);
    if (row.acts) await until(() => hasActed(ground), { what: `the limits of ${row.name} have acted` });
  } catch (error) {
    if (!known) process.stderr.write(`${row.name}, ${journey}; the manager's log:\n${ground.platform.log()}\n`);
    throw error;
  } finally {
    await ground.stop();
  }
}

async function hasActed({ platform }: Ground): Promise<boolean> {
  return Object.values(await platform.bites()).some((bites) => bites > 0);
}

for (const row of ROWS)
  for (const journey of [...row.often, ...row.seldom].filter((one) => isChosen(row, one))) {
    const known = knownOf(row.name, journey);
    if (!known) test.concurrent(`${row.name}: ${journey} passes (${row.what})`, () => make(row, journey));
    else
      test.concurrent(`${row.name}: ${journey} fails, as known (${known.why})`, async () => {
        // When this fails because nothing was thrown: the fault is mended, and the entry goes out of
        // known.ts.
        await expect(make(row, journey, known)).rejects.toThrow(known.fails);
      });
  }

const RULES: [Rule, LimitName[], string][] = [
  ["calls", ["subrequests-free"], TOO_MANY_CALLS],
  ["queries", ["d1-queries"], TOO_MANY_CALLS],
  ["writes to a key", ["write-rate"], TOO_FAST],
  ["row", ["row-size"], ROW_TOO_BIG],
  // The runtime itself keeps the last two.
  ["rpc", [], TOO_LARGE],
  ["method", [], missingMethod("platformUnknown")],
];

test.concurrent("rules that are broken are refused with the platform's words, and without the limit not at all", async () => {
  const platform = await startPlatform();
  try {
    for (const [rule, limits, message] of RULES) {
      if (limits.length > 0) expect([rule, await platform.breakRule(rule)]).toEqual([rule, null]);
      await platform.limit(...limits);
      expect([rule, await platform.breakRule(rule)]).toEqual([rule, expect.stringContaining(message)]);
      await platform.limit();
    }
  } finally {
    await platform.stop();
  }
});
