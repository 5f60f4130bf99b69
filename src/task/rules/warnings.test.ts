import { describe, expect, test } from "vitest";
import { allFrames, at, audit, newTask, terms, type FarmTask } from "../../../test/support/rules-farm.ts";
import { MAX_WARNINGS, OTHER_WARNINGS } from "../../protocol/constants.ts";
import { claim } from "./claim.ts";
import { filesVersion } from "./files-version.ts";
import { withReports } from "./reported-warnings.ts";
import { complete, renew, type RenderedFrame } from "./settle.ts";
import { act } from "./user-actions.ts";
import { warningTexts } from "./warnings.ts";

/** A task of these frames, all done in one lease; frame n has the warnings `of(n)`. */
function rendered(frameList: string, of: (frame: number) => string[], over?: Parameters<typeof terms>[1]): FarmTask {
  const task = newTask(terms(frameList, { chunk: 10_000, ...over }));
  render(task, of);
  return task;
}

/** Render all that is pending. */
function render(task: FarmTask, of: (frame: number) => string[]): void {
  const key = `key-${task.ledger.attempt}`;
  const { lease } = claim(at(task, 0), { worker: 1, key, epoch: 0, leaseId: key });
  const frames = lease!.frames.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
  const done = frames.map((frame): RenderedFrame => ({
    frame,
    seconds: 1,
    files: [{ name: `f${frame}`, size: 1, sha256: "a".repeat(64) }],
    warnings: of(frame),
  }));
  expect(complete(at(task, 0), { worker: 1, leaseId: key, attempt: lease!.attempt }, done).ok).toBe(true);
  audit(task);
}

function requeue(task: FarmTask, frames: string): void {
  const named = { frames, files_version: filesVersion(task.ledger) };
  expect(act(at(task, 0), allFrames(task), "requeue", named, "test").ok).toBe(true);
  audit(task);
}

const shown = ({ ledger }: FarmTask) =>
  ledger.warnings?.map(({ text, frames, first_frame }) => [text, frames, first_frame]);

describe("P12: the warnings of a task", () => {
  test("each text once, with how many done frames have it and the lowest of them", () => {
    const task = rendered("1-6", (frame) => (frame > 4 ? ["late"] : frame % 2 === 0 ? ["even", "even"] : []));
    expect(shown(task)).toEqual([
      ["even", 2, 2],
      ["late", 2, 5],
    ]);
    expect(warningTexts(task.ledger, task.entries.get(5)!.warnings!)).toEqual(["late"]);
    expect(task.entries.get(1)).not.toHaveProperty("warnings");
  });

  test("go with the frames that are rendered anew, and are those of the new render then", () => {
    const task = rendered("1-9:2", () => ["dark"]);
    requeue(task, "1-3:2");
    expect(shown(task)).toEqual([["dark", 3, 5]]);
    render(task, (frame) => (frame === 3 ? ["bright"] : []));
    expect(shown(task)).toEqual([
      ["dark", 3, 5],
      ["bright", 1, 3],
    ]);
    requeue(task, "5-9:2");
    expect(shown(task)).toEqual([["bright", 1, 3]]);
    requeue(task, "all");
    expect(shown(task)).toEqual([]);
  });

  test(`are at most ${MAX_WARNINGS} texts: the frames of all others are counted together`, () => {
    const task = rendered("1-100", (frame) => [`frame ${frame}`, `again ${frame}`]);
    const texts = shown(task)!;
    expect(texts).toHaveLength(MAX_WARNINGS);
    expect(texts.at(-1)).toEqual([OTHER_WARNINGS, 91, 10]);
  });

  test("a first frame that is given up in a long task costs a bounded look for the next one", () => {
    const task = rendered("1-9999", (frame) => (frame === 1 || frame === 9_999 ? ["ends"] : []));
    let read = 0;
    const t = at(task, 0);
    const { table } = t;
    t.table = { ...table, get: (frame) => (read++, table.get(frame)) };
    act(t, allFrames(task), "requeue", { frames: "1", files_version: filesVersion(task.ledger) }, "test");
    expect(shown(task)).toEqual([["ends", 1, 9_999]]);
    expect(read).toBeLessThan(20_100);
  });
});

describe("warnings of a call", () => {
  const done: RenderedFrame[] = [1, 2, 3].map((frame) => ({ frame, seconds: 1, files: [] }));

  test("are put to the frames that they name, of those that are done", () => {
    const result = withReports(done, {
      warnings: [
        { text: "a", frames: "1-2" },
        { text: "b", frames: "2,7" },
      ],
    });
    expect(result.ok && result.value.map(({ frame, warnings = [] }) => [frame, ...warnings])).toEqual([
      [1, "a"],
      [2, "a", "b"],
      [3],
    ]);
  });

  test.each(["", "x", "1-", "1-20000"])("P10: frames '%s' are refused by the name of the field", (frames) => {
    const result = withReports(done, {
      warnings: [
        { text: "a", frames: "1" },
        { text: "b", frames },
      ],
    });
    expect(!result.ok && result.error).toMatchObject({ code: "invalid", errors: [{ field: "warnings.1.frames" }] });
  });
});

describe("P12: a picture of one colour", () => {
  const TEXT = "the picture has one colour only, and the frame before or after it has several";

  /** Frames are done one after the other; of those in `flat` the picture has one colour. */
  function rendered(frameList: string, order: number[], flat: number[], unknown: number[] = []): FarmTask {
    const task = newTask(terms(frameList, { chunk: 100 }));
    const { lease } = claim(at(task, 0), { worker: 1, key: "key-1", epoch: 0, leaseId: "L" });
    for (const frame of order) {
      const file = { name: `f${frame}`, size: 1, sha256: "a".repeat(64) };
      const known = unknown.includes(frame) ? {} : { oneColour: flat.includes(frame) };
      const done: RenderedFrame = { frame, seconds: 1, files: [file], ...known };
      expect(renew(at(task, 0), { worker: 1, leaseId: "L", attempt: lease!.attempt }, [done]).ok).toBe(true);
      audit(task);
    }
    return task;
  }

  test.each([[[1, 2, 3, 4, 5]], [[5, 4, 3, 2, 1]], [[3, 1, 5, 2, 4]]])(
    "is told when a done frame beside it has several, whichever came first: %j",
    (order) => {
      expect(shown(rendered("1-5", order, [3]))).toEqual([[TEXT, 1, 3]]);
      expect(
        shown(
          rendered(
            "1-9:2",
            order.map((n) => 2 * n - 1),
            [5],
          ),
        ),
      ).toEqual([[TEXT, 1, 5]]);
      expect(shown(rendered("1-5", order, [3, 4]))).toEqual([[TEXT, 2, 3]]);
    },
  );

  test("is not told while nothing beside it is known, or when all have one colour", () => {
    expect(shown(rendered("1-5", [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]))).toBeUndefined();
    expect(shown(rendered("1-5", [1, 3, 5], [3]))).toBeUndefined();
    expect(shown(rendered("1-5", [1, 2, 3, 4, 5], [3], [2, 4]))).toBeUndefined();
  });

  test("P10: a list of frames that is none is refused by the name of its field", () => {
    for (const field of ["one_colour", "several_colours"])
      expect(withReports([], { [field]: "x" })).toMatchObject({ ok: false, error: { errors: [{ field }] } });
    expect(withReports([{ frame: 2, seconds: 1, files: [] }], { one_colour: "1-3" })).toMatchObject({
      value: [{ frame: 2, oneColour: true }],
    });
  });
});
