import { describe, expect, test } from "vitest";
import type { Claim } from "../protocol/lease.ts";
import { WorkNotifier } from "./work-notifier.ts";
import { claimLoop, type ClaimLoopOptions, type DeclinedTask } from "./claim-loop.ts";
import type { LooseClaimed } from "./lease-calls.ts";
import type { LeaseOutcome } from "./lease-runner.ts";

const lease = (id: string) => ({
  lease: {
    task_id: 1,
    lease_id: id,
    attempt: 1,
    frames: "1",
    lease_ms: 1,
    until_ms: 1,
    grant: "g",
    grant_header: "Tablao-Grant-Token",
    takes_warnings: false,
    takes_fault: false,
    plan: {},
  },
  reason: null,
  retry_after_ms: null,
});
const nothing = (reason: LooseClaimed["reason"], retry_after_ms: number | null = null): LooseClaimed => ({
  lease: null,
  reason,
  retry_after_ms,
});
const settled = (claimed: LooseClaimed | null, failed = false): LeaseOutcome => ({ kind: "settled", failed, claimed });

/**
 * Run one slot with `--once`. The answers of the registry, the tasks and the leases are given in
 * order.
 */
async function once(
  script: { tasks: (number | null)[]; claims: (LooseClaimed | null)[]; outcomes: LeaseOutcome[] },
  more: Partial<ClaimLoopOptions> = {},
) {
  const asked: (DeclinedTask | undefined)[] = [];
  const claims: { taskId: number; claim: Claim }[] = [];
  const ran: string[] = [];
  const nexts: (Claim | null)[] = [];
  let failures = 0;
  await claimLoop({
    platform: "linux",
    notifier: new WorkNotifier(),
    ask: async (refused) => {
      asked.push(refused);
      return { task_id: script.tasks.shift() ?? null, epoch: 4, status: "enabled" };
    },
    claim: async (taskId, claim) => {
      claims.push({ taskId, claim });
      const claimed = script.claims.shift();
      return claimed ? { claimed, claimedMs: 0 } : null;
    },
    run: async (of, _claimedMs, next) => {
      ran.push(of.lease_id);
      nexts.push(next());
      return script.outcomes.shift()!;
    },
    drained: () => false,
    pause: () => {},
    pausedMs: () => 0,
    once: true,
    onIdle: () => {},
    onFailed: () => failures++,
    signal: new AbortController().signal,
    now: () => 0,
    ...more,
  });
  return { asked, claims, ran, nexts, failures };
}

describe("a slot", () => {
  test("stays with its task, lease after lease, without asking the registry; then reports how long the task has nothing for it", async () => {
    const { asked, claims, ran, nexts } = await once({
      tasks: [1],
      claims: [lease("a")],
      outcomes: [settled(lease("b")), settled(nothing("nothing_pending", 700))],
    });
    expect(ran).toEqual(["a", "b"]);
    expect(claims).toMatchObject([{ taskId: 1, claim: { platform: "linux", epoch: 4 } }]);
    expect(asked).toEqual([undefined, { task_id: 1, retry_after_ms: 700 }]);
    expect(new Set([claims[0]!.claim.key, ...nexts.map((next) => next!.key)]).size).toBe(3);
  });

  test("P8: after `outranked` it asks the registry again, and does not refuse the task", async () => {
    const { asked, ran } = await once({
      tasks: [1, 2],
      claims: [lease("a"), lease("b")],
      outcomes: [settled(nothing("outranked")), settled(null)],
    });
    expect(ran).toEqual(["a", "b"]);
    expect(asked).toEqual([undefined, undefined, undefined]);
  });

  test("P8: a task that is gone, or waits, does not hide the next one", async () => {
    const { asked, ran } = await once({
      tasks: [1, 2, 3],
      claims: [null, nothing("waiting", 9_000), lease("c")],
      outcomes: [settled(null)],
    });
    expect(ran).toEqual(["c"]);
    expect(asked.slice(1, 3)).toEqual([
      { task_id: 1, retry_after_ms: 60_000 },
      { task_id: 2, retry_after_ms: 9_000 },
    ]);
  });

  test("after a lost lease it asks again; after a refused plan it refuses the task; failures are counted", async () => {
    const { asked, failures } = await once({
      tasks: [1, 2, 3],
      claims: [lease("a"), lease("b"), lease("c")],
      outcomes: [{ kind: "lost" }, { kind: "released", declineMs: 5_000, pauseMs: 0 }, settled(null, true)],
    });
    expect(asked).toEqual([undefined, undefined, { task_id: 2, retry_after_ms: 5_000 }, undefined]);
    expect(failures).toBe(1);
  });

  test("while draining, it takes no next lease and asks for nothing", async () => {
    let drained = false;
    const { asked, nexts } = await once(
      { tasks: [1], claims: [lease("a")], outcomes: [settled(null)] },
      { drained: () => (drained ? true : ((drained = true), false)) },
    );
    expect(nexts).toEqual([null]);
    expect(asked).toHaveLength(1);
  });

  test("after a full disk it stops for a while", async () => {
    let left = 0;
    const asked: number[] = [];
    await once(
      { tasks: [1], claims: [lease("a")], outcomes: [{ kind: "released", declineMs: 0, pauseMs: 60 }] },
      {
        pause: (ms) => (left = performance.now() + ms),
        pausedMs: () => Math.max(0, left - performance.now()),
        ask: async () => {
          asked.push(performance.now());
          return { task_id: asked.length === 1 ? 1 : null, epoch: 0, status: "enabled" };
        },
      },
    );
    expect(asked[1]! - asked[0]!).toBeGreaterThanOrEqual(55);
  });
});
