/**
 * Facts about finished frames: render time, worker, attempt, instant of the commit. They are
 * columns by the index of the frame. They are loaded page by page, and messages of the live socket
 * keep them up to date.
 */
import { signal } from "@preact/signals";
import type { LiveFrame, MovedFrames, Timings } from "../../protocol/live.ts";
import type { FrameMap } from "./frame-map.ts";
import { get, withQuery } from "./api.ts";

/**
 * A message about many frames has only their states. Their facts are asked for this much later, so
 * that one request covers the frames of many messages.
 */
export const ASK_AFTER_MS = 3_000;
/**
 * The next request waits this many times as long as the last one took: the page uses at most a
 * tenth of the manager's time.
 */
const ASK_SHARE = 10;

export class FrameFacts {
  /** Rises with every change of the columns, which change in place. */
  readonly version = signal(0);
  readonly loading = signal(true);
  readonly map: FrameMap;
  /** The id of the worker; 0 for frames that are not done. */
  readonly worker: Int32Array;
  readonly seconds: Float32Array;
  readonly attempt: Int32Array;
  readonly committedMs: Float64Array;
  readonly #taskId: number;
  readonly #abort: AbortSignal;
  /** First and last index of the frames whose facts are missing; null for none. */
  #wanted: [number, number] | null = null;
  /** A request is under way or scheduled. */
  #waits = false;
  #tookMs = 0;

  constructor(taskId: number, map: FrameMap, abort: AbortSignal) {
    this.#taskId = taskId;
    this.#abort = abort;
    this.map = map;
    this.worker = new Int32Array(map.total);
    this.seconds = new Float32Array(map.total);
    this.attempt = new Int32Array(map.total);
    this.committedMs = new Float64Array(map.total);
  }

  async load(): Promise<void> {
    try {
      await this.#load(undefined);
    } finally {
      this.loading.value = false;
    }
  }

  /** Load the facts of a frame list; undefined loads all. */
  async #load(frames: string | undefined): Promise<void> {
    const path = `/tasks/${this.#taskId}/timings`;
    let cursor: string | null = null;
    do {
      const page: Timings = await get<Timings>(withQuery(path, { frames, limit: 10_000, cursor }), this.#abort);
      for (const [i, frame] of page.frames.entries()) {
        const index = this.map.indexOf(frame);
        // A live message that came in the meantime is newer.
        if (index < 0 || this.map.stateAt(index) !== "done" || this.attempt[index]! > page.attempts[i]!) continue;
        this.worker[index] = page.worker_ids[i]!;
        this.seconds[index] = page.seconds[i]!;
        this.attempt[index] = page.attempts[i]!;
        this.committedMs[index] = page.committed_ms[i]!;
      }
      cursor = page.cursor;
      this.version.value++;
    } while (cursor !== null);
  }

  /**
   * Take the states of many frames: delete the facts of frames that are not done, and ask for the
   * facts of those that are.
   */
  takeMoved(moved: MovedFrames): void {
    for (const state of ["pending", "leased", "failed", "skipped"] as const)
      for (const list of moved[state]) for (const index of this.map.indexesOf(list)) this.#forget(index);
    for (const list of moved.done) for (const index of this.map.indexesOf(list)) this.#want(index);
    this.version.value++;
    this.#askLater();
  }

  #forget(index: number): void {
    for (const column of [this.worker, this.seconds, this.attempt, this.committedMs]) column[index] = 0;
  }

  #want(index: number): void {
    const [first, last] = this.#wanted ?? [index, index];
    this.#wanted = [Math.min(first, index), Math.max(last, index)];
  }

  #askLater(): void {
    if (!this.#wanted || this.#waits || this.#abort.aborted) return;
    this.#waits = true;
    setTimeout(() => void this.#ask(), Math.max(ASK_AFTER_MS, ASK_SHARE * this.#tookMs));
  }

  async #ask(): Promise<void> {
    if (this.#abort.aborted) return;
    const [first, last] = this.#wanted!;
    this.#wanted = null;
    const began = performance.now();
    const frames = `${this.map.frameAt(first)}-${this.map.frameAt(last)}`;
    const answered = await this.#load(frames).then(
      () => true,
      () => false,
    );
    this.#tookMs = performance.now() - began;
    this.#waits = false;
    if (!answered) {
      this.#want(first);
      this.#want(last);
      this.#tookMs = Math.max(this.#tookMs, ASK_AFTER_MS);
    }
    this.#askLater();
  }

  /** Take the facts of a few frames from a live message; `nowMs` is the manager's clock. */
  take(frames: readonly LiveFrame[], nowMs: number): void {
    for (const frame of frames) {
      const index = this.map.indexOf(frame.frame);
      if (index < 0) continue;
      const done = frame.state === "done";
      this.worker[index] = done ? (frame.worker_id ?? 0) : 0;
      this.seconds[index] = done ? (frame.seconds ?? 0) : 0;
      this.attempt[index] = frame.attempt ?? 0;
      this.committedMs[index] = done ? nowMs : 0;
    }
    this.version.value++;
  }
}
