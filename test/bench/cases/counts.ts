/**
 * Rows, requests and dollars per frame, counted over whole tasks as agents do them.
 * `test/workerd/costs.test.ts` guards them.
 */
import { billOf, LIGHT, objectRequests, rowsWritten, SLOW, type TaskCounts, type WholeTask } from "../counts.ts";
import { PRICES, STORAGE_PRICE } from "../../../src/protocol/prices.ts";
import type { Case, Row } from "../case.ts";
import { short } from "../numbers.ts";
import { startCounted } from "../runtime.ts";

interface Kind {
  what: string;
  work: WholeTask;
  /** The most per frame. */
  goal: { rows?: number; requests?: number };
}

const KINDS: readonly Kind[] = [
  { what: "one frame to a lease", work: { ...LIGHT, chunk: 1 }, goal: { rows: 4, requests: 1.2 } },
  { what: "ten frames to a lease", work: { ...LIGHT, chunk: 10 }, goal: { rows: 1 } },
  { what: "chunk auto", work: { ...LIGHT, chunk: "auto" }, goal: { rows: 1 } },
  { what: "frames of 30 s, one to a lease", work: { ...SLOW, chunk: 1 }, goal: {} },
];
/** The most per million frames, at chunk 10. */
const DOLLARS = 8;
/** An OpenEXR frame in HD, to say what its storage costs. */
const FRAME_GB = 0.01;

export const counts: Case = {
  name: "counts",
  async run(progress) {
    const runtime = await startCounted();
    try {
      const rows: Row[] = [];
      let bill: Row | undefined;
      for (const { what, work, goal } of KINDS) {
        progress(what);
        const counted = await runtime.count<TaskCounts>({ do: "whole task", work });
        rows.push(countRow(what, work, counted, goal));
        if (work.chunk !== 10) continue;
        progress("the same with previews");
        const withPreviews = await runtime.count<TaskCounts>({ do: "whole task", work: { ...work, previews: true } });
        bill = billRow(work.frames, counted, withPreviews);
      }
      return [...rows, bill!];
    } finally {
      await runtime.stop();
    }
  },
};

function countRow(what: string, { frames }: WholeTask, { counts }: TaskCounts, goal: Kind["goal"]): Row {
  const written = rowsWritten(counts) / frames;
  const requests = objectRequests(counts) / frames;
  const { rows = Infinity, requests: most = Infinity } = goal;
  const goals = [
    ...(goal.rows === undefined ? [] : [`≤ ${goal.rows} ${goal.rows === 1 ? "row" : "rows"}`]),
    ...(goal.requests === undefined ? [] : [`≤ ${goal.requests} object requests`]),
  ];
  const each = (count: number): string => short(count / frames);
  return {
    what: `rows and requests per frame: ${what}`,
    figure: `${short(written)} rows, ${short(requests)} object requests`,
    goal: goals.length === 0 ? "none set" : goals.join(", "),
    reached: written <= rows && requests <= most,
    detail: `${frames} frames; rows: ${each(counts.rowsWritten - counts.alarmsSet)} objects, ${each(counts.d1RowsWritten)} D1, ${each(counts.alarmsSet)} alarms set; requests: ${each(counts.taskCalls)} tasks, ${each(counts.registryCalls)} registry, ${each(counts.alarms)} alarms; ${each(counts.requests)} Worker requests; ${each(counts.rowsRead + counts.d1RowsRead)} rows read`,
  };
}

function billRow(frames: number, plain: TaskCounts, withPreviews: TaskCounts): Row {
  const { dollars, items } = billOf(plain.counts, frames);
  const parts = items.filter((item) => item.dollars >= 0.005).map((item) => `${item.what} ${item.dollars.toFixed(2)}`);
  return {
    what: "bill per million frames, ten to a lease, without their storage",
    figure: `$${dollars.toFixed(2)}`,
    goal: `≤ $${DOLLARS}`,
    reached: dollars <= DOLLARS,
    detail: `${parts.join(", ")}; the floor, one PUT a frame, is $${PRICES.classA.toFixed(2)}; storing them is $${(1e6 * FRAME_GB * STORAGE_PRICE.dollarsPerGb).toFixed(0)} a month beside it with frames of ${FRAME_GB * 1_000} MB, for as long as they stay; list prices, nothing included; with a preview of each frame $${billOf(withPreviews.counts, frames).dollars.toFixed(2)}`,
  };
}
