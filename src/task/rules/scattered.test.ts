/**
 * Sets of frames are stored in one row, which may hold 2 MB on Cloudflare: no set may split into
 * ever more ranges.
 */
import { expect, test } from "vitest";
import { claim } from "./claim.ts";
import { act } from "./user-actions.ts";
import { MAX_INTERVALS } from "./frame-set.ts";
import { Leases } from "./lease-index.ts";
import { at, audit, newTask, terms, allFrames } from "../../../test/support/rules-farm.ts";

const every2nd = (from: number, to: number): string => `${from}-${to}:2`;

test("P10: skips that would split a set into more ranges than its row should hold are refused, and change nothing", () => {
  const task = newTask(terms("1-1000000"));
  const skip = (frames: string) => act(at(task, 0), allFrames(task), "skip", { frames }, "ana");
  expect(skip(every2nd(1, 39_997))).toMatchObject({ ok: true });
  const before = JSON.stringify(task.ledger);
  expect(skip(every2nd(40_001, 79_999))).toMatchObject({ ok: false, error: { code: "conflict" } });
  expect(JSON.stringify(task.ledger)).toBe(before);
  expect(skip("40001-60000")).toMatchObject({ ok: true });
  expect(skip("60001-80000")).toMatchObject({ ok: true });
  expect(task.ledger.skipped).toHaveLength(MAX_INTERVALS);
});

test("P10: frames that are requeued one by one may not split a skipped range into too many, either", () => {
  const task = newTask(terms("1-80000"));
  for (let from = 1; from < 80_000; from += 20_000)
    act(at(task, 0), allFrames(task), "skip", { frames: `${from}-${from + 19_999}` }, "ana");
  const requeue = (frames: string) => act(at(task, 0), allFrames(task), "requeue", { frames }, "ana");
  expect(requeue(every2nd(2, 39_998))).toMatchObject({ ok: true });
  const before = JSON.stringify(task.ledger);
  expect(requeue(every2nd(40_002, 79_998))).toMatchObject({ ok: false, error: { code: "conflict" } });
  expect(JSON.stringify(task.ledger)).toBe(before);
});

test("failed frames wait behind new ones, but not in more ranges than a row should hold", () => {
  const task = newTask(terms("1-100000"));
  const ask = (): string => {
    const { lease } = claim(at(task, 0), {
      worker: 1,
      key: `k${Math.random()}`,
      epoch: 0,
      leaseId: `${Math.random()}`,
    });
    return JSON.stringify(lease?.frames);
  };
  task.ledger.cursor = 50_000;
  task.ledger.retry = Array.from({ length: 10_001 }, (_, i) => [2 * i + 1, 2 * i + 1] as const);
  expect(ask()).toBe("[[1,1]]");
  expect(ask()).toBe("[[50001,50001]]");
  audit({ ...task, ledger: { ...task.ledger, leases: new Leases(), counts: { ...task.ledger.counts, leased: 0 } } });
});
