import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChangeLog } from "./change-log.ts";

describe("the change log", () => {
  it("returns exactly what changed since a step, or that this is not known", () => {
    const action = fc.oneof(
      { weight: 8, arbitrary: fc.record({ note: fc.integer({ min: 0, max: 12 }) }) },
      { weight: 3, arbitrary: fc.constant("step" as const) },
      { weight: 1, arbitrary: fc.constant("forget" as const) },
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), fc.integer({ min: 1, max: 6 }), (actions, max) => {
        const log = new ChangeLog<number>(1_000, max);
        /** Every step so far with its changes; null when the log was cleared. */
        const past: { seq: number; names: number[] | null }[] = [];
        let noted = new Set<number>();
        for (const act of actions) {
          if (act === "forget") {
            log.forget();
            past.push({ seq: log.seq, names: null });
            noted = new Set();
          } else if (act === "step") {
            const names = log.step();
            if (names) past.push({ seq: log.seq, names });
            expect(names ?? []).toEqual([...noted]);
            noted = new Set();
          } else {
            log.note(act.note);
            noted.add(act.note);
          }
        }
        for (const { seq } of [{ seq: 1_000 }, ...past]) {
          const missed = past.filter((step) => step.seq > seq);
          const known = log.since(seq);
          if (missed.some((step) => step.names === null)) expect(known).toBeNull();
          const all = new Set(missed.flatMap((step) => step.names ?? []).concat(...noted));
          if (known) expect(new Set(known)).toEqual(all);
          else if (missed.every((step) => step.names !== null)) expect(all.size).toBeGreaterThan(max - 1);
        }
        expect(log.since(log.seq)).toEqual([...noted]);
        expect(log.since(log.seq + 1)).toBeNull();
        expect(log.since(999)).toBeNull();
      }),
    );
  });

  it("keeps the newest names within its bound", () => {
    const log = new ChangeLog<string>(0, 2);
    for (const name of ["a", "b", "a", "c"]) {
      log.note(name);
      log.step();
    }
    expect(log.since(2)).toEqual(["a", "c"]);
    expect(log.since(1)).toBeNull();
  });

  it("counts a step only when something changed", () => {
    const log = new ChangeLog<string>(5);
    expect([log.step(), log.seq]).toEqual([null, 5]);
    log.note("a");
    log.note("a");
    expect([log.step(), log.seq]).toEqual([["a"], 6]);
  });
});
