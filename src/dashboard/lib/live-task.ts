/**
 * One task, live: its summary, the state of each frame, which frames have previews, and the newest
 * log lines.
 */
import { signal } from "@preact/signals";
import type { LiveFrame, MovedFrames, TaskMessage, TaskSnapshot } from "../../protocol/live.ts";
import type { LogPage, Task } from "../../protocol/task.ts";
import { FrameMap, STATES } from "./frame-map.ts";
import { LiveSocket, type LiveState } from "./live.ts";

export type LogLine = LogPage["lines"][number];

/**
 * Log lines that the page keeps. With all lines of a long render its memory would grow for days.
 */
const KEPT_LINES = 2_000;

export class LiveTask {
  readonly task = signal<Task | null>(null);
  readonly map = signal<FrameMap | null>(null);
  /** Rises when any frame changes. Views of `map` read it, because the map changes in place. */
  readonly version = signal(0);
  /** 1 for frames that have a preview, by index. */
  previews = new Uint8Array(0);
  /** The frame with the newest preview. */
  readonly newest = signal<number | null>(null);
  /** The frames of the last delta, for views that keep more about a frame than its state. */
  readonly changed = signal<readonly LiveFrame[]>([]);
  /**
   * The frames of the last delta that changed many: lists by state, without facts about each frame.
   */
  readonly moved = signal<MovedFrames | null>(null);
  readonly log = signal<readonly LogLine[]>([]);
  readonly socket: LiveSocket<TaskMessage>;

  constructor(id: number, withLog: boolean) {
    const path = `/tasks/${id}/live${withLog ? "?log=1" : ""}`;
    this.socket = new LiveSocket<TaskMessage>(path, `/tasks/${id}`, (message) => this.#take(message));
  }

  get state(): LiveState {
    return this.socket.state.value;
  }

  get nowMs(): number {
    return Date.now() + this.socket.skewMs;
  }

  close(): void {
    this.socket.close();
  }

  /**
   * Add lines of the log, from the socket or from the API, in the order of their numbers and each
   * once.
   */
  addLog(lines: readonly LogLine[]): void {
    if (lines.length === 0) return;
    const known = this.log.value;
    const last = known.at(-1)?.seq ?? -1;
    // The usual case: all lines are newer than those that are known.
    if (lines[0]!.seq > last) {
      this.log.value = [...known, ...lines].slice(-KEPT_LINES);
      return;
    }
    const all = new Map([...known, ...lines].map((line) => [line.seq, line]));
    this.log.value = [...all.values()].sort((a, b) => a.seq - b.seq).slice(-KEPT_LINES);
  }

  #take(message: TaskMessage): void {
    if (message.type === "snapshot") return this.#replace(message);
    const { task, frames, moved, log } = message;
    if (task) this.task.value = { ...task, settings: this.task.value?.settings ?? {} } as Task;
    const map = this.map.value;
    if (frames && map) {
      for (const frame of frames) this.#put(map, frame);
      this.changed.value = frames;
      this.version.value++;
    }
    if (moved && map) {
      this.#move(map, moved);
      this.moved.value = moved;
      this.version.value++;
    }
    if (log) this.addLog(log);
  }

  #move(map: FrameMap, moved: MovedFrames): void {
    for (const state of STATES) {
      for (const list of moved[state]) {
        map.set(list, state);
        for (const index of map.indexesOf(list)) this.previews[index] = 0;
      }
    }
    let newest = -1;
    for (const list of moved.previews) for (const index of map.indexesOf(list)) this.previews[(newest = index)] = 1;
    if (newest >= 0) this.newest.value = map.frameAt(newest);
  }

  #put(map: FrameMap, frame: LiveFrame): void {
    map.setOne(frame.frame, frame.state);
    const index = map.indexOf(frame.frame);
    if (index < 0) return;
    this.previews[index] = frame.preview ? 1 : 0;
    if (frame.preview) this.newest.value = frame.frame;
  }

  #replace({ task, frames }: TaskSnapshot): void {
    const map = new FrameMap(task.frame_list);
    for (const state of ["leased", "done", "failed", "skipped"] as const)
      for (const list of frames[state]) map.set(list, state);
    const marked = new FrameMap(task.frame_list);
    for (const list of frames.previews) marked.set(list, "done");
    this.previews = marked.states.map((state) => (state === 0 ? 0 : 1));
    const current = map.indexOf(task.frame_current);
    this.newest.value = this.previews[current] === 1 ? task.frame_current : this.#lastPreview(map);
    this.task.value = task;
    this.map.value = map;
    this.version.value++;
  }

  #lastPreview(map: FrameMap): number | null {
    const index = this.previews.lastIndexOf(1);
    return index < 0 ? null : map.frameAt(index);
  }
}
