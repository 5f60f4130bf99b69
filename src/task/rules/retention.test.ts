/** P14: a download counts for the files that it was of, and for no others. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { at, newTask, terms } from "../../../test/support/rules-farm.ts";
import { setOf } from "./frame-set.ts";
import { filesVersion } from "./files-version.ts";
import { downloadedMs, noteDownload } from "./retention.ts";
import { claim } from "./claim.ts";
import { complete } from "./settle.ts";
import { act } from "./user-actions.ts";
import type { DeferredState } from "./record.ts";

const NOBODY = { failedFrames: () => [], clear: () => undefined };

/** What happens to a task of four frames. */
const steps = fc.array(
  fc.oneof(
    fc.constant("render" as const),
    fc.constant("download" as const),
    fc.record({ requeue: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1 }) }),
  ),
  { maxLength: 25 },
);

describe("P14: files_version", () => {
  it("is another one whenever other files are committed, and a download counts while it is the same", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const task = newTask(terms("1-4"));
        const chores: Pick<DeferredState, "downloaded"> = {};
        /** The files that each version stood for: frame → attempt. */
        const seen = new Map<string, string>();
        let counts = false;
        let before = "";
        let nowMs = 1_000;
        for (const step of all) {
          const t = at(task, ++nowMs);
          if (step === "render") {
            const claimed = claim(t, { worker: 1, key: `key-${nowMs}`, epoch: 0, leaseId: `lease-${nowMs}` });
            if (claimed.lease !== null) {
              const frames = [...claimed.lease.frames].flatMap(([from, to]) => (from === to ? [from] : [from, to]));
              const files = [{ name: "f.png", size: 1, sha256: "ab".repeat(32) }];
              const ref = { worker: 1, leaseId: `lease-${nowMs}`, attempt: claimed.lease.attempt };
              const settled = complete(
                at(task, ++nowMs),
                ref,
                frames.map((frame) => ({ frame, seconds: 1, files })),
              );
              expect(settled.ok).toBe(true);
            }
          } else if (step === "download") {
            const noted = noteDownload(t, chores as DeferredState, filesVersion(task.ledger), "anna");
            expect(noted.ok).toBe(task.ledger.counts.done > 0);
            if (noted.ok) counts = true;
          } else
            act(
              t,
              NOBODY,
              "requeue",
              {
                frames: setOf(step.requeue)
                  .map(([from, to]) => `${from}-${to}`)
                  .join(","),
                files_version: filesVersion(task.ledger),
              },
              "anna",
            );
          const files = filesOf(task.entries);
          const version = filesVersion(task.ledger);
          expect(seen.get(version) ?? files).toBe(files);
          seen.set(version, files);
          // Any change voids the download, also one that was taken back.
          if (files !== before) counts = false;
          before = files;
          expect(downloadedMs(chores, task.ledger) !== null).toBe(counts);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("is refused when frames were committed or given up since, and when there are no files", () => {
    const task = newTask(terms("1-4"));
    const t = at(task, 1);
    expect(noteDownload(t, {} as DeferredState, filesVersion(task.ledger), "anna")).toMatchObject({
      error: { code: "conflict", detail: "task 1 has no files" },
    });
    task.ledger.counts.done = 2;
    task.ledger.tally = { ...task.ledger.tally, done: 2 };
    expect(noteDownload(t, {} as DeferredState, "1.1", "anna")).toMatchObject({ error: { code: "conflict" } });
    const chores = {} as DeferredState;
    expect(noteDownload(t, chores, "2.2", "anna")).toMatchObject({ ok: true, changed: true });
    // The first download counts, and saying it again writes nothing.
    expect(noteDownload(at(task, 9), chores, "2.2", "anna")).toMatchObject({ ok: true, changed: false });
    expect(downloadedMs(chores, task.ledger)).toBe(1);
    expect(task.events.map(({ detail }) => detail)).toEqual(["downloaded by anna"]);
  });
});

function filesOf(entries: ReadonlyMap<number, { state: string; attempt: number }>): string {
  return [...entries]
    .filter(([, { state }]) => state === "done")
    .map(([frame, { attempt }]) => `${frame}/${attempt}`)
    .toSorted()
    .join(" ");
}
