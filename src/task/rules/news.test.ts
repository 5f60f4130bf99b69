/** P12: whatever the network does to the news, a task that waits frame by frame renders what is there. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { allFrames, at, audit, newTask, terms, type FarmTask } from "../../../test/support/rules-farm.ts";
import type { DependencyProgress } from "../../rpc/task.ts";
import { claim } from "./claim.ts";
import { applyDependencyProgress, outdatedFrames } from "./dependencies.ts";
import { filesVersion } from "./files-version.ts";
import { EMPTY, format, frames, has, setOf, setOfText, union, type FrameSet } from "./frame-set.ts";
import { claimable, heldFrames, openedFrames, statusOf, type Transition } from "./ledger.ts";
import { newsSent, noteNews, type News, type SentNews } from "./news.ts";
import { complete, fail, release } from "./settle.ts";
import { act } from "./user-actions.ts";

const LAST = 4;
/** The source has a frame that the dependent lacks, and the other way round. */
const SOURCE_FRAMES = `1-${LAST}`;
const FRAMES = `2-${LAST + 1}`;

/** The source, with what it owes to its dependent. */
class Source {
  readonly task = newTask(terms(SOURCE_FRAMES, { id: 1, chunk: 1 }));
  readonly state: News = { news: EMPTY };

  /** As `decide` and the observers do it. */
  change(nowMs: number, change: (t: Transition) => void): void {
    const { ledger } = this.task;
    const t = { ...at(this.task, nowMs), effects: { events: [], canceled: [], expired: false } } as Transition;
    const { skipped } = ledger;
    change(t);
    ledger.version++;
    noteNews(this.state, t, skipped);
  }

  done(): FrameSet {
    const done = [...this.task.entries].filter(([, { state }]) => state === "done").map(([frame]) => frame);
    return union(this.task.ledger.skipped, setOf(done));
  }

  progress(done: FrameSet): DependencyProgress {
    const state = statusOf(this.task.terms, this.task.ledger) === "completed" ? "completed" : "open";
    return { id: 1, version: this.task.ledger.version, state, done: format(done) || null };
  }

  present(): DependencyProgress {
    return { ...this.progress(this.done()), whole: true };
  }

  message(): { sent: SentNews; progress: DependencyProgress } {
    const { news, taken_back } = this.state;
    const sent = { news, version: this.task.ledger.version };
    return { sent, progress: { ...this.progress(news), ...(taken_back && { taken_back }) } };
  }
}

const step = fc.record({
  do: fc.constantFrom(
    "source renders",
    "source renders",
    "source requeues",
    "source requeues all",
    "source skips",
    "send",
    "send",
    "send and change",
    "lose",
    "late",
    "watch",
    "claim",
    "claim",
    "complete",
    "fail",
    "give back",
    "requeue",
    "skip",
  ),
  frame: fc.integer({ min: 1, max: LAST + 1 }),
});

function rendersOne(source: Source, nowMs: number, leaseId: string): void {
  source.change(nowMs, (t) => {
    const { lease } = claim(t, { worker: 1, key: leaseId, epoch: 0, leaseId });
    if (!lease) return;
    const done = [...frames(lease.frames)].map((frame) => ({ frame, seconds: 1, files: file }));
    complete(t, { worker: 1, leaseId, attempt: lease.attempt }, done);
  });
}

const file = [{ name: "f", size: 1, sha256: "a".repeat(64) }];

test("P12: no message that is late, lost, doubled or crossed opens a frame that its source took back, or keeps one shut", () => {
  const seen = { held: 0, outdated: 0, ended: 0 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const source = new Source();
      const task: FarmTask = newTask(terms(FRAMES, { id: 2, tries: 9 }), [{ task: 1, frames: "same" }]);
      const taken = (progress: DependencyProgress): void => applyDependencyProgress(at(task, nowMs), progress);
      let nowMs = 0;
      taken(source.present());
      const sentBefore: DependencyProgress[] = [source.present()];
      const leases: { leaseId: string; attempt: number; frames: number[] }[] = [];
      const ref = (index: number) => ({ worker: 2, leaseId: leases[index]!.leaseId, attempt: leases[index]!.attempt });
      for (const [i, { do: what, frame }] of steps.entries()) {
        nowMs += 10;
        const t = at(task, nowMs);
        const newest = leases.length - 1;
        switch (what) {
          case "source renders":
            rendersOne(source, nowMs, `source-${i}`);
            break;
          case "source requeues":
          case "source requeues all":
            source.change(nowMs, (own) => {
              const named = {
                frames: what.endsWith("all") ? "all" : String(frame),
                files_version: filesVersion(own.ledger),
              };
              act(own, allFrames(source.task), "requeue", named, "x");
            });
            break;
          case "source skips":
            source.change(
              nowMs,
              (own) => void act(own, allFrames(source.task), "skip", { frames: String(frame) }, "x"),
            );
            break;
          case "send":
          case "send and change":
          case "lose": {
            const { sent, progress } = source.message();
            sentBefore.push(progress);
            // The source may change before it hears that the message was taken.
            if (what === "send and change") {
              const named = { frames: String(frame), files_version: filesVersion(source.task.ledger) };
              source.change(nowMs, (own) => void act(own, allFrames(source.task), "requeue", named, "x"));
              rendersOne(source, nowMs, `between-${i}`);
            }
            if (what === "lose") break;
            taken(progress);
            newsSent(source.state, sent);
            break;
          }
          case "late":
            taken(sentBefore[Math.max(0, sentBefore.length - frame)]!);
            break;
          case "watch":
            taken(source.present());
            break;
          case "claim": {
            const leaseId = `own-${i}`;
            const { lease } = claim(t, { worker: 2, key: leaseId, epoch: 0, leaseId });
            if (!lease) break;
            const its = [...frames(lease.frames)];
            for (const one of its) expect(has(heldFrames(task.ledger), one)).toBe(false);
            leases.push({ leaseId, attempt: lease.attempt, frames: its });
            break;
          }
          case "complete":
          case "fail":
          case "give back": {
            if (newest < 0) break;
            const its = leases[newest]!.frames;
            const isLive = task.ledger.leases.get(leases[newest]!.leaseId) !== undefined;
            const done = its.map((one) => ({ frame: one, seconds: 1, files: file }));
            const ended =
              what === "complete"
                ? complete(t, ref(newest), done)
                : what === "fail"
                  ? fail(t, ref(newest), [], its, "x")
                  : release(t, ref(newest), [], { cause: "stopping", reason: "x", frames: null });
            expect(ended.ok).toBe(isLive);
            if (!isLive) seen.ended++;
            leases.pop();
            break;
          }
          case "requeue":
          case "skip":
            act(t, allFrames(task), what, { frames: String(frame), files_version: filesVersion(task.ledger) }, "x");
        }
        audit(task);
        const open = new Set([...task.ledger.leases].flatMap((lease) => [...frames(lease.open)]));
        for (const held of frames(heldFrames(task.ledger))) {
          seen.held++;
          expect(open.has(held)).toBe(false);
        }
        if (outdatedFrames(task.ledger)) seen.outdated++;
        expect(claimable(task.terms, task.ledger)).toBeGreaterThanOrEqual(0);
      }
      // The network is well again: the dependent knows what is there, whatever came before.
      const { sent, progress } = source.message();
      taken(progress);
      newsSent(source.state, sent);
      const { ledger } = task;
      const isCompleted = progress.state === "completed";
      for (let frame = 2; frame <= LAST; frame++) {
        const isOpen = has(openedFrames(ledger)!, frame) && !has(heldFrames(ledger), frame);
        expect([frame, isOpen]).toEqual([frame, isCompleted || has(source.done(), frame)]);
      }
      expect(source.message().progress).toMatchObject({ done: null });
    }),
    { numRuns: 600 },
  );
  expect(Math.min(seen.held, seen.outdated, seen.ended)).toBeGreaterThan(100);
});

test("P12: what was done before the source took its frame back is out of date, although the frame was done again since", () => {
  const source = new Source();
  const task = newTask(terms("1"), [{ task: 1, frames: "same" }]);
  rendersOne(source, 1, "a");
  applyDependencyProgress(at(task, 1), source.present());
  const { lease } = claim(at(task, 1), { worker: 2, key: "k", epoch: 0, leaseId: "l" });
  complete(at(task, 1), { worker: 2, leaseId: "l", attempt: lease!.attempt }, [{ frame: 1, seconds: 1, files: file }]);
  const named = { frames: "1", files_version: filesVersion(source.task.ledger) };
  source.change(2, (t) => void act(t, allFrames(source.task), "requeue", named, "x"));
  rendersOne(source, 3, "b");
  const { progress } = source.message();
  applyDependencyProgress(at(task, 4), progress);
  expect(outdatedFrames(task.ledger)).toEqual({ task: 1, frames: setOf([1]) });
  expect(heldFrames(task.ledger)).toEqual(EMPTY);
});

test("news of any number of pieces is read back, and of a stepped list too long for a set the range", () => {
  const scattered = setOf(Array.from({ length: 3_000 }, (_, i) => 2 * i - 100));
  expect(setOfText(format(scattered))).toEqual(scattered);
  expect(setOfText("-3--1,2,5-9:2")).toEqual(setOf([-3, -2, -1, 2, 5, 7, 9]));
  expect(setOfText("1-100001:2")).toEqual([[1, 100_001]]);
  expect(setOfText(null)).toEqual(EMPTY);
  const source = newTask(terms("-200-9000"), [{ task: 1, frames: "same" }]);
  applyDependencyProgress(at(source, 1), { id: 1, version: 1, state: "open", done: format(scattered), whole: true });
  expect(openedFrames(source.ledger)).toEqual(scattered);
});

test("many frames that were taken back while a dependent was away become one entry", () => {
  const source = new Source();
  for (let n = 0; n < 30; n++) {
    source.change(n, (t) => void act(t, allFrames(source.task), "skip", { frames: "2" }, "x"));
    source.change(n, (t) => void act(t, allFrames(source.task), "requeue", { frames: "2" }, "x"));
  }
  expect(source.state.taken_back!.length).toBeLessThanOrEqual(20);
  expect(source.state.taken_back!.at(-1)).toEqual({ version: source.task.ledger.version, frames: "2" });
});

test("P2: an entry that was seen before ends no lease", () => {
  const task = newTask(terms("1"), [{ task: 1, frames: "same" }]);
  const word = { id: 1, state: "open", done: "1", taken_back: [{ version: 2, frames: "1" }] } as const;
  applyDependencyProgress(at(task, 1), { id: 1, version: 3, state: "open", done: "1", whole: true });
  claim(at(task, 1), { worker: 2, key: "k", epoch: 0, leaseId: "l" });
  for (const version of [3, 4])
    applyDependencyProgress(at(task, 2), { ...word, taken_back: [...word.taken_back], version });
  expect(task.ledger.leases.size).toBe(1);
  applyDependencyProgress(at(task, 3), { ...word, version: 5, taken_back: [{ version: 5, frames: "1" }] });
  expect(task.ledger.leases.size).toBe(0);
});
