/** What is known of finished frames: seconds, worker, when. Columns by index; loaded page by page, kept up by the live socket. */
import { signal } from "@preact/signals";
import type { LiveFrame, Timings } from "../../protocol/live.ts";
import type { FrameMap } from "../grid/frame-map.ts";
import { get, withQuery } from "./api.ts";

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

  constructor(map: FrameMap) {
    this.map = map;
    this.worker = new Int32Array(map.total);
    this.seconds = new Float32Array(map.total);
    this.attempt = new Int32Array(map.total);
    this.committedMs = new Float64Array(map.total);
  }

  async load(taskId: number, abort: AbortSignal): Promise<void> {
    let cursor: string | null = null;
    do {
      const page: Timings = await get<Timings>(withQuery(`/tasks/${taskId}/timings`, { limit: 10_000, cursor }), abort);
      for (const [i, frame] of page.frames.entries()) {
        const index = this.map.indexOf(frame);
        // What came live meanwhile is newer.
        if (index < 0 || this.attempt[index]! > page.attempts[i]!) continue;
        this.worker[index] = page.worker_ids[i]!;
        this.seconds[index] = page.seconds[i]!;
        this.attempt[index] = page.attempts[i]!;
        this.committedMs[index] = page.committed_ms[i]!;
      }
      cursor = page.cursor;
      this.version.value++;
    } while (cursor !== null);
    this.loading.value = false;
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
