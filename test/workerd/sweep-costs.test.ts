/**
 * What a whole sweep of inputs costs, in counts that the platform bills: a farm with 1,000 tasks and
 * 10,000 inputs, of which 2,000 are unused (decision 021, "What it costs").
 */
import { afterAll, expect, test } from "vitest";
import { sweepAtNight, type SweepProgress } from "../../src/files/input-sweep.ts";
import { sweepDependencies } from "../../src/http/unused-inputs.ts";
import { PRICES } from "../../src/protocol/prices.ts";
import { send } from "./http-client.ts";
import { CountedCalls, hashOfNumber } from "./input-storage.ts";
import { env, FILES, HISTORY, submitWith, SweepFarm } from "./sweep-farm.ts";

const TASKS = 1_000;
const INPUTS_OF_A_TASK = 8;
const USED = TASKS * INPUTS_OF_A_TASK;
const UNUSED = 2_000;
const tasks: number[] = [];

afterAll(async () => {
  for (const task of tasks) await send("DELETE", `/tasks/${task}`);
});

test("P14: a sweep of 1,000 tasks and 10,000 inputs takes three nights at most, 40 statements of D1, and 1.5 cents", async () => {
  await SweepFarm.empty();
  await HISTORY.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
     INSERT INTO inputs (sha256, size, stored_ms, used_ms) SELECT printf('%064x', i), 10, 0, 0 FROM n`,
  )
    .bind(USED + UNUSED)
    .run();
  for (let i = USED; i < USED + UNUSED; i += 500) await FILES.put(`assets/${hashOfNumber(i)}`, "0123456789");
  for (let task = 0; task < TASKS; task++) {
    const inputs = Array.from({ length: INPUTS_OF_A_TASK }, (_, i) => ({
      sha256: hashOfNumber(task * INPUTS_OF_A_TASK + i),
      size: 10,
    }));
    tasks.push(await submitWith(inputs));
  }
  await HISTORY.prepare("UPDATE inputs SET used_ms = 0").run();

  const counted = new CountedCalls(env);
  let aheadMs = 0;
  const nights: SweepProgress[] = [];
  do {
    const dependencies = { ...sweepDependencies(counted.env), now: () => Date.now() + aheadMs };
    nights.push(await sweepAtNight(dependencies, { days: 30, deletes: true }, async (ms) => void (aheadMs += ms)));
  } while (!nights.at(-1)!.done && nights.length < 10);
  const deleted = nights.reduce((sum, night) => sum + night.deleted.inputs, 0);
  const { objectCalls, r2Calls, calls, d1RowsRead, d1RowsWritten } = counted;
  const counts = {
    nights: nights.length,
    objectCalls,
    r2Calls,
    d1: calls - objectCalls - r2Calls,
    d1RowsRead,
    d1RowsWritten,
  };
  console.info(JSON.stringify(counts));
  expect(deleted).toBe(UNUSED);
  expect((await FILES.list({ prefix: "assets/" })).objects).toEqual([]);
  // The tasks, and a page of ids for each call.
  expect(objectCalls).toBeLessThanOrEqual(TASKS + 5);
  expect(r2Calls).toBeLessThanOrEqual(12);
  expect(counts.d1).toBeLessThanOrEqual(40);
  expect(counts.nights).toBeLessThanOrEqual(3);
  // A used input is written once, an unused one when it is given up and when it is gone.
  expect(d1RowsWritten).toBeLessThanOrEqual(USED + 2 * UNUSED + 50);
  expect(d1RowsRead).toBeLessThanOrEqual(190_000);
  const dollars =
    (objectCalls * PRICES.objectRequests + d1RowsRead * PRICES.rowsRead + d1RowsWritten * PRICES.rowsWritten) / 1e6;
  expect(dollars + (r2Calls * PRICES.classA) / 1e6).toBeLessThan(0.015);
});
