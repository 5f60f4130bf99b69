/** What is known of finished frames: seconds, worker, when. Columns by index; loaded page by page, kept up by the live socket. */
import { signal } from "@preact/signals";
import type { LiveFrame, MovedFrames, Timings } from "../../protocol/live.ts";
import type { FrameMap } from "./frame-map.ts";
import { get, withQuery } from "./api.ts";

/** Facts of frames that are told by their state only are asked for so much later, together. */
export const ASK_AFTER_MS = 3_000;
/** And no sooner after the last question than this many times what it took. */
const ASK_SHARE = 10;

export class FrameFacts {
  /** Rises when anything changed. */
  readonly version = signal(0);
  readonly loading = signal(true);
  readonly map: FrameMap;
  /** 0 where the frame is not done. */
  readonly worker: Int32Array;
  readonly seconds: Float32Array;
  readonly attempt: Int32Array;
  readonly committedMs: Float64Array;
  readonly #taskId: number;
  readonly #abort: AbortSignal;
  /** Indexes between which facts are to be asked for; null for none. */
  #wanted: [number, number] | null = null;
  /** A question is on its way, or will be. */
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

  /** `frames`: a list; all by default. */
  async #load(frames: string | undefined): Promise<void> {
    const path = `/tasks/${this.#taskId}/timings`;
    let cursor: string | null = null;
    do {
      const page: Timings = await get<Timings>(withQuery(path, { frames, limit: 10_000, cursor }), this.#abort);
      for (const [i, frame] of page.frames.entries()) {
        const index = this.map.indexOf(frame);
        // What came live meanwhile is newer.
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

  /** Many changed: forget what is not so any more; of those that are done the facts are asked for. */
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
