/**
 * `strict`: a picture of one colour beside one of several is a failure of its frame, as the table of `verdicts.ts`
 * counts failures. One that comes after its neighbour is not committed. One that is committed already is given up:
 * only its neighbour tells that it is wrong. A frame keeps its failures through both, so that it is `failed` after
 * `tries` of them, whatever order frames come in. Pure.
 */
import { recordFailures } from "./failure.ts";
import { format, frames as framesIn, setOf, type FrameSet } from "./frame-set.ts";
import { discard, giveUp } from "./give-up.ts";
import { noteTask, type FrameEntry, type RenderedBy, type Transition } from "./ledger.ts";
import { framesBeside, ONE_COLOUR } from "./warnings.ts";

/** A rendered frame, as far as this is concerned. */
interface Coloured {
  frame: number;
  oneColour?: boolean;
}

/**
 * Of frames that a worker calls done, and that are not committed yet: those whose pictures have one colour, and that
 * have a frame of several beside them, among these or among the committed ones.
 */
export function flatAmong(t: Transition, done: readonly Coloured[]): number[] {
  const flat = done.filter(({ oneColour }) => oneColour === true);
  if (flat.length === 0) return [];
  const several = new Set(done.filter(({ oneColour }) => oneColour === false).map(({ frame }) => frame));
  const hasSeveral = (frame: number): boolean => several.has(frame) || isDone(t, frame, false);
  return flat.map(({ frame }) => frame).filter((frame) => framesBeside(t, frame).some(hasSeveral));
}

/** These frames of the lease failed for the colour of their pictures. They are neither open nor committed. */
export function failFlat(t: Transition, lease: RenderedBy, frames: FrameSet): void {
  const all = [...framesIn(frames)];
  discard(t, lease.attempt, all);
  record(t, lease, all);
}

/**
 * These frames were committed: those beside them that are committed and have one colour, where these have several,
 * are given up, and have failed under the lease that rendered them.
 */
export function giveUpFlat(t: Transition, committed: readonly number[]): void {
  const several = committed.filter((frame) => isDone(t, frame, false));
  const flat = new Set(several.flatMap((frame) => framesBeside(t, frame)).filter((frame) => isDone(t, frame, true)));
  if (flat.size === 0) return;
  const byAttempt = new Map<number, { lease: RenderedBy; frames: number[] }>();
  for (const frame of flat) {
    const { worker, attempt, blender } = t.table.get(frame)!;
    const lease = { worker, attempt, ...(blender !== undefined && { blender }) };
    const known = byAttempt.get(attempt) ?? { lease, frames: [] };
    byAttempt.set(attempt, known);
    known.frames.push(frame);
  }
  giveUp(t, [...flat], (entry): FrameEntry => ({ ...entry, state: "retry", files: [], warnings: [] }));
  // Without it, a reader of the history would see the frames done twice (P3, P7).
  noteTask(t, "requeued", ONE_COLOUR, setOf([...flat]));
  for (const { lease, frames } of byAttempt.values()) record(t, lease, frames);
}

/** Whether the frame is committed, and its picture has one colour, or several. */
function isDone({ table }: Transition, frame: number, oneColour: boolean): boolean {
  const entry = table.get(frame);
  return entry?.state === "done" && entry.one_colour === oneColour;
}

function record(t: Transition, lease: RenderedBy, frames: readonly number[]): void {
  recordFailures(t, lease, frames, `frame ${format(setOf(frames))}: ${ONE_COLOUR}`);
  // By this, a repeated completion of the lease is known as one (P3).
  for (const frame of frames) t.table.set(frame, { ...t.table.get(frame)!, one_colour: "told" });
}
