/** P12: a task that reads another one's files is committed only with all files of one version of it. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { allFrames, at, audit, newTask, terms, type FarmTask } from "../../../test/support/rules-farm.ts";
import type { DependencyProgress } from "../../rpc/task.ts";
import { claim } from "./claim.ts";
import { filesVersion } from "./files-version.ts";
import { outdatedSource, takeProgress } from "./input-task.ts";
import { claimLease, settleLease } from "./lease-calls.ts";
import { statusOf } from "./ledger.ts";
import { complete } from "./settle.ts";
import { act } from "./user-actions.ts";

const SOURCE = 1;
const of = <T extends string>(weight: number, ...what: T[]) => ({
  weight,
  arbitrary: fc.record({ do: fc.constantFrom(...what), frame: fc.integer({ min: 1, max: 3 }) }),
});
/** `news`: progress of the source comes, the newest or one that was on its way for long. */
const step = fc.oneof(
  of(2, "requeue"),
  of(1, "skip", "fail"),
  of(20, "render", "claim", "read", "complete"),
  of(2, "news"),
);

const fileOf = (name: string) => [{ name, size: 1, sha256: "a".repeat(64) }];

/** Which attempt made each finished frame of the source. */
const filesNow = (source: FarmTask): Map<number, number> =>
  new Map(
    [...source.entries].filter(([, { state }]) => state === "done").map(([frame, { attempt }]) => [frame, attempt]),
  );

const textOf = (files: ReadonlyMap<number, number>): string =>
  [...files]
    .toSorted(([a], [b]) => a - b)
    .map(([frame, attempt]) => `${frame}/${attempt}`)
    .join();

test("P12: whatever changes while a video is made, it is committed only if it was made of all files as they are", () => {
  let commits = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const source = newTask(terms("1-3", { id: SOURCE, chunk: 3 }));
      const video = newTask(terms("1", { id: 2, inputTask: SOURCE, tries: 20 }), [{ task: SOURCE, frames: "all" }]);
      const progress = (): DependencyProgress => {
        const state = statusOf(source.terms, source.ledger) === "completed" ? "completed" : "open";
        const { version } = source.ledger;
        return { id: SOURCE, version, state, done: null, files_version: filesVersion(source.ledger) };
      };
      const news: DependencyProgress[] = [progress()];
      let nowMs = 0;
      let held: { leaseId: string; attempt: number; read: Map<number, number>; from: number } | null = null;
      for (const [i, s] of steps.entries()) {
        nowMs += 10;
        const t = at(source, nowMs);
        switch (s.do) {
          case "requeue":
            act(
              t,
              allFrames(source),
              "requeue",
              { frames: String(s.frame), files_version: filesVersion(t.ledger) },
              "x",
            );
            break;
          case "skip":
            act(t, allFrames(source), "skip", { frames: String(s.frame) }, "x");
            break;
          case "render": {
            const leaseId = `source-${i}`;
            const { lease } = claim(t, { worker: 1, key: leaseId, epoch: 0, leaseId });
            if (!lease) break;
            const frames = lease.frames.flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, n) => a + n));
            const done = frames.map((frame) => ({ frame, seconds: 1, files: fileOf(`f${frame}`) }));
            expect(complete(t, { worker: 1, leaseId, attempt: lease.attempt }, done).ok).toBe(true);
            break;
          }
          case "claim": {
            const leaseId = `video-${i}`;
            const call = { worker: 2, key: leaseId, epoch: 0, leaseId, source: progress() };
            const claimed = claimLease(at(video, nowMs), call);
            if (claimed.ok && claimed.value.lease)
              held = { leaseId, attempt: claimed.value.lease.attempt, read: new Map(), from: 0 };
            break;
          }
          case "read":
            // A list is read in pages, at different times.
            if (!held) break;
            for (const [frame, attempt] of filesNow(source)) if (frame > held.from) held.read.set(frame, attempt);
            held.from = held.from === 0 ? 1 : 3;
            for (const frame of held.read.keys()) if (frame > held.from) held.read.delete(frame);
            break;
          case "complete":
          case "fail": {
            if (!held || held.from < 3) break;
            const lease = { worker: 2, leaseId: held.leaseId, attempt: held.attempt };
            const done = s.do === "complete" ? [{ frame: 1, seconds: 1, files: fileOf("video.mp4") }] : [];
            const ending =
              s.do === "complete"
                ? ({ verb: "complete" } as const)
                : { verb: "fail" as const, failed: [1], error: "x" };
            const settled = settleLease(at(video, nowMs), { lease, done, ending, next: null, source: progress() });
            if (settled.ok && s.do === "complete") {
              commits++;
              expect(progress().state).toBe("completed");
              expect(textOf(held.read)).toBe(textOf(filesNow(source)));
              expect(outdatedSource(video.terms, video.ledger)).toBeNull();
            }
            held = null;
            break;
          }
          case "news":
            takeProgress(at(video, nowMs), news[Math.max(0, news.length - s.frame)]!);
        }
        // What `decide` does with each change.
        source.ledger.version++;
        news.push(progress());
        audit(video);
      }
    }),
    { numRuns: 1_000 },
  );
  expect(commits).toBeGreaterThan(100);
});
