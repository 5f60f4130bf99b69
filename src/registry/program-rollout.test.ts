import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rolloutFor, type WorkerProgram } from "./program-rollout.ts";

const OLD = "a".repeat(64);
const NEW = "b".repeat(64);
const NOW = 1_000_000_000;

function farm(workers: number): WorkerProgram[] {
  return Array.from({ length: workers }, (_, index) => ({
    worker: index + 1,
    running: OLD,
    sinceMs: 0,
    proven: true,
    failed: null,
    allowed: null,
    allowedMs: 0,
    seenMs: NOW,
  }));
}

const kinds = (all: readonly WorkerProgram[], nowMs = NOW): string[] =>
  all.map(({ worker }) => rolloutFor(all, worker, NEW, nowMs).kind);

describe("a new program", () => {
  test("goes to one of ten first, to two of eleven, and at once to a worker that is alone", () => {
    for (const [workers, first] of [
      [1, 1],
      [10, 1],
      [11, 2],
      [100, 10],
    ] as const) {
      const all = farm(workers);
      for (const one of all)
        if (rolloutFor(all, one.worker, NEW, NOW).kind === "update")
          Object.assign(one, { allowed: NEW, allowedMs: NOW });
      expect(all.filter((one) => one.allowed === NEW)).toHaveLength(first);
    }
  });

  test("goes to all others when those have finished a lease with it, or have run it for ten minutes", () => {
    const all = farm(10);
    Object.assign(all[0]!, { running: NEW, sinceMs: NOW, proven: false });
    expect(kinds(all).slice(1)).toEqual(Array.from({ length: 9 }, () => "wait"));
    expect(kinds(all, NOW + 599_999)[1]).toBe("wait");
    expect(kinds(all, NOW + 600_000).slice(1)).toEqual(Array.from({ length: 9 }, () => "update"));
    all[0]!.proven = true;
    expect(kinds(all)).toEqual(["current", ...Array.from({ length: 9 }, () => "update")]);
  });

  test("goes to nobody else when a first one went back from it, and says which", () => {
    const all = farm(10);
    all[3]!.failed = NEW;
    expect(kinds(all)).toEqual(Array.from({ length: 10 }, () => "wait"));
    expect(rolloutFor(all, 1, NEW, NOW)).toEqual({
      kind: "wait",
      why: "stopped: worker 4 went back from this program",
    });
    expect(rolloutFor(all, 4, NEW, NOW)).toEqual({ kind: "wait", why: "it went back from this program" });
    // Another program starts anew.
    expect(rolloutFor(all, 4, "c".repeat(64), NOW).kind).toBe("update");
  });

  test("does not wait for a machine that is off: its permission ends after an hour, and it is forgotten after a week", () => {
    const all = farm(2);
    Object.assign(all[0]!, { allowed: NEW, allowedMs: NOW });
    expect(kinds(all)).toEqual(["update", "wait"]);
    expect(kinds(all, NOW + 3_600_001)[1]).toBe("update");
    const away = farm(11);
    away[0]!.seenMs = NOW - 8 * 86_400_000;
    Object.assign(away[0]!, { failed: NEW });
    expect(kinds(away).slice(1)).toContain("update");
  });

  test("reaches everybody from every state in which nobody went back from it", () => {
    const state = fc.record({
      running: fc.constantFrom(OLD, NEW, "c".repeat(64)),
      proven: fc.boolean(),
      allowed: fc.constantFrom(null, OLD, NEW),
      age: fc.integer({ min: 0, max: 7_200_000 }),
    });
    fc.assert(
      fc.property(fc.array(state, { minLength: 1, maxLength: 30 }), (states) => {
        const all = farm(states.length).map((one, index) => {
          const { running, proven, allowed, age } = states[index]!;
          return { ...one, running, proven, allowed, allowedMs: NOW - age, sinceMs: NOW - age };
        });
        let nowMs = NOW;
        for (let round = 0; round < 12; round++) {
          for (const one of all) {
            one.seenMs = nowMs;
            if (rolloutFor(all, one.worker, NEW, nowMs).kind === "update")
              Object.assign(one, { running: NEW, sinceMs: nowMs, proven: false });
          }
          nowMs += 600_000;
        }
        return all.every((one) => one.running === NEW);
      }),
    );
  });
});
