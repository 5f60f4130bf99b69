import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { MovedFrames, Timings } from "../../protocol/live.ts";
import { FrameMap, STATES } from "./frame-map.ts";
import { ASK_AFTER_MS, FrameFacts } from "./frame-facts.ts";

const NOTHING: MovedFrames = { pending: [], leased: [], done: [], failed: [], skipped: [], previews: [] };

/**
 * What the manager was asked, and what it answers: frames that have facts. The seconds of each
 * frame are its number.
 */
let asked: string[] = [];
let done: number[] = [];
let down = false;

beforeEach(() => {
  [asked, done, down] = [[], [], false];
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (address: string) => {
    const { searchParams } = new URL(address, "http://manager.test");
    asked.push(searchParams.get("frames") ?? "all");
    if (down) throw new TypeError("the network is away");
    const [first, last] = (searchParams.get("frames") ?? "1-9999").split("-").map(Number) as [number, number];
    const frames = done.filter((frame) => frame >= first && frame <= last);
    const each = (value: number): number[] => frames.map(() => value);
    const page: Timings = {
      frames,
      seconds: frames,
      worker_ids: each(7),
      attempts: each(3),
      committed_ms: each(99),
      cursor: null,
    };
    return Response.json(page);
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function facts(abort = new AbortController()): FrameFacts {
  return new FrameFacts(1, new FrameMap("1-1000"), abort.signal);
}

/** Apply a delta as the page does: the map gets it first. */
function moved(known: FrameFacts, lists: Partial<MovedFrames>): void {
  for (const state of STATES) for (const list of lists[state] ?? []) known.map.set(list, state);
  known.takeMoved({ ...NOTHING, ...lists });
}

it("facts of many done frames are fetched together, a little later; facts of frames in other states are dropped at once", async () => {
  const known = facts();
  done = [1, 2];
  known.map.set("1-2", "done");
  await known.load();
  expect(Array.from(known.seconds.slice(0, 3))).toEqual([1, 2, 0]);
  moved(known, { pending: ["2"], done: ["300-500", "700"] });
  moved(known, { leased: ["900"], done: ["501-510"] });
  expect(Array.from(known.seconds.slice(0, 3))).toEqual([1, 0, 0]);
  done = [1, 300, 700];
  await vi.advanceTimersByTimeAsync(ASK_AFTER_MS);
  expect(asked).toEqual(["all", "300-700"]);
  expect([known.seconds[299], known.worker[699], known.attempt[699], known.committedMs[699]]).toEqual([300, 7, 3, 99]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(2);
});

it("a failed fetch is repeated at growing intervals, and not after the view has closed", async () => {
  const abort = new AbortController();
  const known = facts(abort);
  down = true;
  moved(known, { done: ["5-10"] });
  await vi.advanceTimersByTimeAsync(ASK_AFTER_MS);
  expect(asked).toEqual(["5-10"]);
  await vi.advanceTimersByTimeAsync(9 * ASK_AFTER_MS);
  expect(asked).toHaveLength(1);
  down = false;
  done = [5, 20];
  moved(known, { done: ["20"] });
  await vi.advanceTimersByTimeAsync(ASK_AFTER_MS);
  expect(asked).toEqual(["5-10", "5-20"]);
  expect([known.seconds[4], known.seconds[19]]).toEqual([5, 20]);
  moved(known, { done: ["30"] });
  abort.abort();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(asked).toHaveLength(2);
});

it("an answer under way when a frame was requeued restores nothing", async () => {
  const known = facts();
  moved(known, { done: ["5"] });
  done = [5];
  const answer = known.load();
  moved(known, { pending: ["5"] });
  await answer;
  expect([known.seconds[4], known.worker[4], known.attempt[4]]).toEqual([0, 0, 0]);
});
