/** P6: what each end of a lease leads to, as the table says. */
import { describe, expect, test } from "vitest";
import { allFrames, at, audit, newTask, terms, type FarmTask } from "../../../test/support/rules-farm.ts";
import type { ReleaseCause } from "../../protocol/lease.ts";
import { claim } from "./claim.ts";
import { keptOff } from "./failure.ts";
import { frames } from "./frame-set.ts";
import { stateOf, statusOf } from "./ledger.ts";
import { complete, fail, release, type LeaseRef } from "./settle.ts";
import { act } from "./user-actions.ts";
import { causeOfReason, holdMs, LONGEST_MS, VERDICTS } from "./verdicts.ts";

const MINUTE = 60_000;
let leases = 0;

function take(task: FarmTask, worker: number, nowMs: number, able = 2): { ref: LeaseRef; frames: number[] } | null {
  const leaseId = `lease-${++leases}`;
  const { lease } = claim(at(task, nowMs, able), { worker, key: leaseId, epoch: 0, leaseId });
  return lease && { ref: { worker, leaseId, attempt: lease.attempt }, frames: [...frames(lease.frames)] };
}

function give(task: FarmTask, worker: number, cause: ReleaseCause, nowMs: number, able = 2): void {
  const taken = take(task, worker, nowMs, able);
  if (!taken) throw new Error(`worker ${worker} got nothing at ${nowMs}`);
  const given = { cause, reason: `${cause}!`, frames: null };
  expect(release(at(task, nowMs, able), taken.ref, [], given).ok).toBe(true);
  audit(task);
}

const done = (frame: number) => ({
  frame,
  seconds: 1,
  files: [{ name: `f${frame}`, size: 1, sha256: "a".repeat(64) }],
});
const states = (task: FarmTask, ...some: number[]) => some.map((frame) => stateOf(at(task, 0), frame));

describe("P6: a machine's fault", () => {
  test("holds its worker off the task, each time for twice as long, and leaves the frame pending, also where no other is able", () => {
    const task = newTask(terms("1"));
    let nowMs = 0;
    for (const minutes of [1, 2, 4, 8]) {
      give(task, 1, "disk", nowMs, 1);
      expect(keptOff(task.ledger, nowMs)).toEqual([{ worker: 1, untilMs: nowMs + minutes * MINUTE, reason: "disk!" }]);
      const early = claim(at(task, nowMs + minutes * MINUTE - 1, 1), { worker: 1, key: "k", epoch: 0, leaseId: "x" });
      expect(early).toEqual({ lease: null, reason: "kept_off", retryAfterMs: 1 });
      nowMs += minutes * MINUTE;
    }
    expect(states(task, 1)).toEqual(["pending"]);
    expect(task.ledger.error).toBe("disk!");
    expect(holdMs(MINUTE, 40)).toBe(LONGEST_MS);
  });

  test("gives the frame to another worker; when that refuses it, too, it fails with the reason", () => {
    const task = newTask(terms("1-2"));
    give(task, 1, "transfer", 0);
    // New frames first; then the refused one goes to the worker that has not refused it.
    expect(take(task, 2, 0)!.frames).toEqual([2]);
    give(task, 2, "transfer", 0);
    expect(states(task, 1)).toEqual(["failed"]);
    expect(task.entries.get(1)).toMatchObject({ refusals: [1, 2], failures: [], error: "transfer!" });
    expect(task.events.map(({ kind, frames: of }) => [kind, of])).toEqual([
      ["lost", "1"],
      ["error", "1"],
    ]);
  });

  test("is forgotten with the next good frame of the worker, and when a person has looked", () => {
    const task = newTask(terms("1-3"));
    give(task, 1, "disk", 0);
    const taken = take(task, 1, MINUTE)!;
    expect(complete(at(task, MINUTE), taken.ref, [done(taken.frames[0]!)]).ok).toBe(true);
    give(task, 1, "disk", MINUTE);
    expect(keptOff(task.ledger, MINUTE)[0]!.untilMs).toBe(2 * MINUTE);
  });

  test("concerns the frames that the agent names, and no others of the lease", () => {
    const task = newTask(terms("1-3", { chunk: 3 }));
    const taken = take(task, 1, 0)!;
    const given = { cause: "disk" as const, reason: "full", frames: [2] };
    const foreign = release(at(task, 0), taken.ref, [], { ...given, frames: [4] });
    expect(foreign).toMatchObject({ ok: false, error: { code: "invalid" } });
    expect(release(at(task, 0), taken.ref, [done(1)], given).ok).toBe(true);
    audit(task);
    expect([...task.entries.keys()].toSorted((a, b) => a - b)).toEqual([1, 2]);
    expect([...frames(task.ledger.ready), ...frames(task.ledger.retry)]).toEqual([3, 2]);
  });

  test("and a failure of its own count apart at a frame", () => {
    const task = newTask(terms("1", { tries: 2 }));
    give(task, 1, "disk", 0);
    const taken = take(task, 2, 0)!;
    expect(fail(at(task, 0, 2), taken.ref, [], [1], "broken").ok).toBe(true);
    audit(task);
    expect(states(task, 1)).toEqual(["pending"]);
    expect(task.entries.get(1)).toMatchObject({ refusals: [1], failures: [[2, 1]] });
  });
});

describe("P6: the scene's fault", () => {
  const refused = (task: FarmTask, taken: { ref: LeaseRef; frames: number[] }, good: number[] = []) =>
    fail(
      at(task, 0),
      taken.ref,
      good.map((frame) => done(frame)),
      taken.frames.filter((frame) => !good.includes(frame)),
      "scripts are off",
      "scene",
    );

  test("stops the task at the first refusal with the scene's own sentence, and counts nothing against the worker", () => {
    const task = newTask(terms("1-4", { chunk: 2 }));
    const taken = take(task, 1, 0)!;
    expect(refused(task, taken)).toEqual({ ok: true, value: { committed: 0 } });
    audit(task);
    expect(task.ledger).toMatchObject({ error: "scripts are off", blames: [], streak: { failures: 0, workers: [] } });
    expect(task.ledger.stopped).toBe("stopped at once: every other worker would find the same in the scene");
    expect(statusOf(task.terms, task.ledger)).toBe("failed");
    expect(states(task, 1, 2, 3, 4)).toEqual(["pending", "pending", "pending", "pending"]);
    expect(task.entries.get(1)).toMatchObject({ failures: [[1, 1]], error: "scripts are off" });
    expect(task.events.map(({ kind, frames: of, detail }) => [kind, of, detail])).toEqual([
      ["error", "1-2", "scripts are off"],
      ["failed", null, task.ledger.stopped],
    ]);
    for (const worker of [1, 2]) expect(take(task, worker, 0)).toBeNull();
  });

  test("goes on when a person requeues it, and stops again at the next refusal", () => {
    const task = newTask(terms("1-2"));
    expect(refused(task, take(task, 1, 0)!).ok).toBe(true);
    expect(act(at(task, 0), allFrames(task), "requeue", {}, "ann").ok).toBe(true);
    expect(task.ledger).toMatchObject({ stopped: null, error: null });
    expect(refused(task, take(task, 1, 0)!).ok).toBe(true);
    expect(task.ledger.stopped).not.toBeNull();
  });

  test("other leases of it go on, as in every stopped task; their good frames count", () => {
    const task = newTask(terms("1-3"));
    const [first, second] = [take(task, 1, 0)!, take(task, 2, 0)!];
    expect(refused(task, first).ok).toBe(true);
    expect(statusOf(task.terms, task.ledger)).toBe("rendering");
    expect(complete(at(task, 0), second.ref, [done(2)]).ok).toBe(true);
    audit(task);
    expect(statusOf(task.terms, task.ledger)).toBe("failed");
    expect(states(task, 1, 2, 3)).toEqual(["pending", "done", "pending"]);
  });

  test("is not believed of a scene that has delivered a frame, also in the same call: then it is a failure as any other", () => {
    const before = newTask(terms("1-3"));
    const good = take(before, 2, 0)!;
    expect(complete(at(before, 0), good.ref, [done(1)]).ok).toBe(true);
    expect(refused(before, take(before, 1, 0)!).ok).toBe(true);
    const together = newTask(terms("1-3", { chunk: 2 }));
    expect(refused(together, take(together, 1, 0)!, [1])).toEqual({ ok: true, value: { committed: 1 } });
    for (const task of [before, together]) {
      audit(task);
      expect(task.ledger.stopped).toBeNull();
      expect(task.ledger).toMatchObject({ streak: { failures: 1 }, blames: [{ worker: 1, streak: 1 }] });
      expect(take(task, 2, 0)).not.toBeNull();
    }
  });

  test("leaves what a task was stopped for before", () => {
    const task = newTask(terms("1-2"));
    const taken = take(task, 1, 0)!;
    task.ledger.stopped = "task 9 was deleted";
    expect(refused(task, taken).ok).toBe(true);
    expect(task.ledger).toMatchObject({ stopped: "task 9 was deleted", error: "scripts are off" });
  });
});

describe("P6: what is nobody's fault", () => {
  test("a worker whose Blender is older than the file is held off for an hour, and no try is used up, however many there are", () => {
    const task = newTask(terms("1-2", { tries: 1 }));
    for (const worker of [1, 2, 3, 4]) give(task, worker, "version", 0, 5);
    expect(keptOff(task.ledger, 0)).toEqual(
      [1, 2, 3, 4].map((worker) => ({ worker, untilMs: 60 * MINUTE, reason: "version!" })),
    );
    expect(task.ledger).toMatchObject({ stopped: null, error: null, streak: { failures: 0 } });
    expect(task.entries.size).toBe(0);
    // Also where no other is able: nothing else bounds what it would waste.
    expect(take(task, 1, 0, 1)).toBeNull();
    expect(take(task, 5, 0, 5)!.frames).toEqual([1]);
    expect(task.events.map(({ kind, detail }) => [kind, detail])).toContainEqual(["lost", "version!"]);
  });

  test.each<ReleaseCause>(["stopping", "unable"])("a release for `%s` counts nothing at the frame", (cause) => {
    const task = newTask(terms("1"));
    give(task, 1, cause, 0);
    give(task, 2, cause, 0);
    expect(states(task, 1)).toEqual(["pending"]);
    expect(task.entries.size).toBe(0);
    expect(keptOff(task.ledger, 0)).toHaveLength(cause === "unable" ? 2 : 0);
  });

  test("silence is one of them: a lease that expires counts nothing", () => {
    expect(VERDICTS.expired).toMatchObject({ blames: "nobody", counts: "nothing", holdMs: 0 });
  });
});

test.each<[string, ReleaseCause]>([
  ["the agent is stopping", "stopping"],
  ["released", "stopping"],
  ["the worker's disk is full", "disk"],
  ["the plan breaks a rule: command Required", "unable"],
  ["it runs any program, and this agent was started without --allow-exec", "unable"],
  ["it runs scripts inside the .blend file, and this agent was started without --allow-autoexec", "unable"],
  ["'rm' is no program that this agent runs for anybody", "unable"],
  ["this worker has no blender any more", "unable"],
  ["ffmpeg could not be started: ENOENT", "unable"],
  ["/work/out/f_1 was changed while it was being sent", "other"],
  ["413 page too large", "other"],
])("an agent of release 0.1 that says '%s' means %s", (reason, cause) => {
  expect(causeOfReason(reason)).toBe(cause);
});
