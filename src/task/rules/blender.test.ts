import { describe, expect, test } from "vitest";
import { allFrames, at, newTask, terms, type FarmTask } from "../../../test/support/rules-farm.ts";
import type { Needs } from "../../protocol/needs.ts";
import { boundBlender, needsNow, plannedBlender } from "./blender.ts";
import { claim, type ClaimOutcome } from "./claim.ts";
import type { LiveLease } from "./lease-index.ts";
import { filesVersion } from "./files-version.ts";
import { claimable } from "./ledger.ts";
import { complete, expire, fail, release } from "./settle.ts";
import { act } from "./user-actions.ts";

const OLD = ["3.4.1"];
const LTS = ["4.5.15"];
const NEW = ["5.0.1"];
const SEVERAL = ["5.0.1", "4.5.3"];
const NEEDS: Needs = {
  type: "blender_render",
  programs: ["blender"],
  tags: [],
  allow_exec: false,
  allow_autoexec: false,
  blender: "4.5+",
};

function task(blender: string | null, frames = "1-4"): FarmTask {
  return newTask(terms(frames, { type: "blender_render", blender }));
}

let claims = 0;
function claimed(of: FarmTask, worker: number, blenders: readonly string[] | undefined, nowMs = 0): ClaimOutcome {
  const leaseId = `L${++claims}`;
  return claim(at(of, nowMs), { worker, key: leaseId, epoch: 0, leaseId, ...(blenders && { blenders }) });
}

function leased(of: FarmTask, worker: number, blenders?: readonly string[], nowMs = 0): LiveLease {
  const { lease } = claimed(of, worker, blenders, nowMs);
  if (!lease) throw new Error("no lease");
  return lease;
}

const refOf = ({ worker, lease_id, attempt }: LiveLease) => ({ worker, leaseId: lease_id, attempt });
const doneOf = (lease: LiveLease) => {
  const frame = lease.frames[0]![0];
  return [{ frame, seconds: 1, files: [{ name: "f", size: 1, sha256: "a" }] }];
};
const completed = (of: FarmTask, lease: LiveLease) => complete(at(of, 1), refOf(lease), doneOf(lease));

const BACK = { cause: "stopping" as const, reason: "the agent is stopping", frames: null };

/** A person who has seen the frames has them rendered again. */
function requeue(of: FarmTask, frames: string): void {
  const asked = { frames, files_version: filesVersion(of.ledger) };
  expect(act(at(of, 2), allFrames(of), "requeue", asked, "ann").ok).toBe(true);
}

describe("P12: one task is rendered by one minor version of Blender", () => {
  test("4.5 gives frames to workers that have it, in any patch, and to no others", () => {
    const exact = task("4.5");
    expect(leased(exact, 1, SEVERAL).blender).toBe("4.5.3");
    expect(leased(exact, 2, LTS).blender).toBe("4.5.15");
    for (const has of [OLD, NEW, [], undefined])
      expect(claimed(exact, 3, has)).toEqual({ lease: null, reason: "blender", retryAfterMs: 5_000 });
    expect(claimable(exact.terms, exact.ledger)).toBe(2);
  });

  test("4.5+ is bound to the minor version of the first worker that claims", () => {
    const plus = task("4.5+");
    expect(claimed(plus, 1, OLD)).toMatchObject({ lease: null, reason: "blender" });
    const lease = leased(plus, 2, NEW);
    expect(plannedBlender(plus.terms, lease)).toBe("5.0");
    expect(boundBlender(plus.ledger)).toBe("5.0");
    expect(claimed(plus, 3, LTS)).toMatchObject({ lease: null, reason: "blender" });
    expect(leased(plus, 4, SEVERAL).blender).toBe("5.0.1");
    expect(needsNow(NEEDS, plus.ledger)).toEqual({ ...NEEDS, blender: "5.0" });
  });

  test("of several Blenders, the one nearest to the need begins", () => {
    const plus = task("4.2+");
    expect(leased(plus, 1, SEVERAL).blender).toBe("4.5.3");
    expect(claimed(plus, 2, NEW)).toMatchObject({ lease: null, reason: "blender" });
  });

  test.each([
    ["given back", (of: FarmTask, lease: LiveLease) => release(at(of, 1), refOf(lease), [], BACK)],
    ["lost", (of: FarmTask) => expire(at(of, 60_000))],
    ["failed", (of: FarmTask, lease: LiveLease) => fail(at(of, 1), refOf(lease), [], [lease.frames[0]![0]], "no")],
  ])("while no frame is done and the only lease was %s, another version may begin", (_, end) => {
    const plus = task("4.5+");
    end(plus, leased(plus, 1, NEW));
    expect(boundBlender(plus.ledger)).toBeUndefined();
    expect(needsNow(NEEDS, plus.ledger)).toEqual(NEEDS);
    expect(leased(plus, 2, LTS, 60_000).blender).toBe("4.5.15");
    expect(boundBlender(plus.ledger)).toBe("4.5");
  });

  test("a frame that is done binds it, also when no worker of that version is left; a requeue of all frames ends that", () => {
    const plus = task("4.5+");
    expect(completed(plus, leased(plus, 1, NEW)).ok).toBe(true);
    expect(boundBlender(plus.ledger)).toBe("5.0");
    expect(claimed(plus, 2, LTS)).toMatchObject({ lease: null, reason: "blender" });
    requeue(plus, "1-4");
    expect(leased(plus, 2, LTS).blender).toBe("4.5.15");
  });

  test("while one frame is done, requeued frames go to the same version", () => {
    const plus = task("4.5+");
    completed(plus, leased(plus, 1, NEW));
    completed(plus, leased(plus, 1, NEW));
    requeue(plus, "1");
    expect(plus.ledger.counts.done).toBe(1);
    expect(claimed(plus, 2, LTS)).toMatchObject({ lease: null, reason: "blender" });
    expect(leased(plus, 2, NEW).blender).toBe("5.0.1");
  });

  test("any, and tasks of earlier releases, take every worker and every version, and name none in the plan", () => {
    const any = task("any");
    expect([OLD, NEW, undefined].map((has, index) => leased(any, index + 1, has).blender)).toEqual([
      "3.4.1",
      "5.0.1",
      undefined,
    ]);
    expect([...any.ledger.leases].map((lease) => plannedBlender(any.terms, lease))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(boundBlender(any.ledger)).toBeUndefined();
  });

  test("what a worker has goes before what it would fetch, and of what it would fetch the nearest to the need begins", () => {
    const claimWith = (of: FarmTask, blenders: string[], fetchable: string[]) => {
      const leaseId = `L${++claims}`;
      return claim(at(of, 0), { worker: 1, key: leaseId, epoch: 0, leaseId, blenders, fetchable }).lease?.blender;
    };
    expect(claimWith(task("4.5+"), NEW, ["4.5.3"])).toBe("5.0.1");
    expect(claimWith(task("4.5+"), OLD, ["5.0.1", "4.5.3"])).toBe("4.5.3");
    expect(claimWith(task("4.5"), OLD, ["5.0.1"])).toBeUndefined();
    expect(claimWith(task("any"), OLD, ["5.0.1"])).toBe("3.4.1");
    expect(claimWith(task("any"), [], ["4.5.3", "5.0.1"])).toBe("5.0.1");
    const bound = task("4.5+");
    leased(bound, 2, NEW);
    expect(claimWith(bound, OLD, ["4.5.3"])).toBeUndefined();
    expect(claimWith(bound, OLD, ["4.5.3", "5.0.2"])).toBe("5.0.2");
  });

  test("a task of another program knows nothing of Blender", () => {
    const video = task(null);
    expect(leased(video, 1, NEW)).not.toHaveProperty("blender");
    expect(completed(video, [...video.ledger.leases][0]!).ok).toBe(true);
    expect(video.entries.get(1)).not.toHaveProperty("blender");
    expect(video.events.at(-1)).not.toHaveProperty("blender");
  });

  test("the frame and its event say which Blender rendered it", () => {
    const plus = task("4.5+");
    completed(plus, leased(plus, 1, SEVERAL));
    expect(plus.entries.get(1)).toMatchObject({ state: "done", blender: "4.5.3" });
    expect(plus.events.at(-1)).toMatchObject({ kind: "done", frames: "1", blender: "4.5.3" });
  });
});
