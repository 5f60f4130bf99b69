/**
 * The live socket of one task: a snapshot, then what changes. Lease calls pay for it only while a
 * page watches: then a transition records which frames it touched, and a timer makes one message of
 * it for all pages.
 */
import { LiveFeed, type Source } from "../live/feed.ts";
import { viewerOf, type Viewer } from "../live/viewer.ts";
import type { FrameLists, LiveFrame, MovedFrames, TaskDelta, TaskSnapshot } from "../protocol/live.ts";
import type { Task } from "../protocol/task.ts";
import { callRegistry } from "../rpc/stubs.ts";
import { frames, minus, size, type FrameSet } from "./rules/frame-set.ts";
import { FrameStates, hasPreview, movedFrames } from "./views/frame-states.ts";
import type { Ledger, Transition } from "./rules/ledger.ts";
import type { TaskDefinition } from "../rpc/task.ts";
import { sharedTask } from "../protocol/shared-view.ts";
import type { LoadedTask } from "./rules/record.ts";
import type { Observer } from "./rules/transition.ts";
import type { TaskContext } from "./task-context.ts";
import type { Participant } from "./transactor.ts";
import { frameView, taskView } from "./views/task.ts";

/**
 * Above so many changed frames in one transition, pages get a full snapshot: it is smaller than the
 * delta.
 */
const MAX_FRAMES = 2_000;
/**
 * Above so many frames, a message lists them by state only. In full, each takes a hundred bytes for
 * each of hundreds of pages.
 */
const MAX_IN_FULL = 200;
/**
 * Above so many changed frames since the last snapshot, the states are brought up to date, to bound
 * the memory.
 */
const MAX_STALE = 10_000;
/** The most entries of the log in one message. */
const LOG_ENTRIES = 200;
/**
 * The most characters of the log in one message. What a page misses of more, it reads from the log.
 */
const LOG_CHARS = 200_000;

/** What a socket shows: the task; the task and its log; what share links show. */
export type LiveKind = "full" | "log" | "shared";
type Name = number | "task" | "log";

/** What `after` compares with, and the frames that were written between. */
interface Before {
  definition: TaskDefinition;
  skipped: FrameSet;
  touched: Set<number>;
}

/** A snapshot walks over all frames: from this many on, that is worth to be remembered for a moment. */
const COSTLY_FRAMES = 10_000;

export class TaskLive implements Source<Name>, Observer<Before | null>, Participant {
  readonly #context: TaskContext;
  readonly feed: LiveFeed<Name>;
  /** The state of every frame; null until a snapshot needs it, and while no page watches. */
  #states: FrameStates | null = null;
  /** Frames that changed since `#states` was brought up to date. */
  #stale = new Set<number>();
  /** The newest entry of the log that was sent; null until one is noted. */
  #logSeq: number | null = null;

  constructor(context: TaskContext) {
    this.#context = context;
    this.feed = new LiveFeed(context.ctx, this);
    context.log.beforeAppend(() => this.#logGrows());
  }

  /** Answer the upgrade of a socket. The Worker has checked the viewer. */
  open(request: Request): Response {
    const { after, log } = Object.fromEntries(new URL(request.url).searchParams);
    const viewer = viewerOf(request);
    const kind: LiveKind = viewer.share !== null ? "shared" : log === "1" ? "log" : "full";
    return this.feed.open(viewer, kind, after === undefined ? undefined : Number(after));
  }

  unwatched(): void {
    this.#states = null;
    this.#stale.clear();
  }

  /** A page that comes back is not sent the log it missed: it reads that itself. */
  resumes(name: Name): boolean {
    return name !== "log";
  }

  /**
   * Null while no page watches: then a lease call costs nothing here. Otherwise the frames that it
   * writes are recorded.
   */
  before({ definition, record }: LoadedTask, t: Transition): Before | null {
    const { leases, skipped } = record.ledger;
    const { watched } = this.feed;
    leases.moved = watched ? [] : null;
    if (!watched) return null;
    const { table } = t;
    const touched = new Set<number>();
    t.table = {
      get: (frame) => table.get(frame),
      set: (frame, entry) => {
        touched.add(frame);
        table.set(frame, entry);
      },
    };
    return { definition, skipped, touched };
  }

  /**
   * Before the transition is written. What is sent later is made from the committed view, so it is
   * never ahead of the rows.
   */
  after(task: LoadedTask, _t: Transition, before: Before | null): void {
    if (!before) return;
    const { skipped, leases } = task.record.ledger;
    const moved = leases.moved ?? [];
    if (skipped !== before.skipped) moved.push(minus(before.skipped, skipped), minus(skipped, before.skipped));
    const many = before.touched.size + moved.reduce((sum, set) => sum + size(set), 0);
    const { settings, frame_list } = task.definition;
    const same = settings === before.definition.settings && frame_list === before.definition.frame_list;
    if (!same || many > MAX_FRAMES) return this.reset();
    for (const frame of before.touched) this.#changed(frame);
    for (const set of moved) for (const frame of frames(set)) if (!before.touched.has(frame)) this.#changed(frame);
    if (this.#states && this.#stale.size > MAX_STALE) this.#catchUp(this.#states, task.record.ledger);
    this.feed.note("task");
  }

  discarded(): void {
    this.reset();
  }

  #changed(frame: number): void {
    if (this.#states) this.#stale.add(frame);
    this.feed.note(frame);
  }

  /** Bring the states up to date with the frames that changed. */
  #catchUp(states: FrameStates, ledger: Ledger): void {
    const { frameTable: table } = this.#context.store;
    states.catchUp({ ledger, table }, this.#stale);
    this.#stale.clear();
  }

  /** More has changed than a delta should name: pages get a new snapshot. */
  reset(): void {
    this.unwatched();
    this.feed.reset();
  }

  /** Progress or load changed, which no transition says. */
  taskMoved(): void {
    this.feed.note("task");
  }

  /** Whether a page shows the log, or somebody reads it again and again. */
  logWatched(): boolean {
    return this.feed.has("log") || this.#context.log.followed(Date.now());
  }

  #logGrows(): void {
    if (!this.feed.has("log")) return;
    this.#logSeq ??= this.#context.log.read({ tail: 1, limit: 1 }).next;
    this.feed.note("log");
  }

  isCostly(): boolean {
    return this.#view().frames.total >= COSTLY_FRAMES;
  }

  #view(): Task {
    const { transactor, progress } = this.#context;
    return taskView(transactor.committed!, Date.now(), progress);
  }

  snapshot(kind: string, seq: number, nowMs: number): string {
    const task = this.#view();
    const snapshot: TaskSnapshot = {
      type: "snapshot",
      seq,
      now_ms: nowMs,
      task: kind === "shared" ? sharedTask(task) : task,
      frames: this.#lists(),
    };
    return JSON.stringify(snapshot);
  }

  delta(names: readonly Name[], kind: string, seq: number, nowMs: number): string | null {
    const changed = names.filter((name) => typeof name === "number");
    const delta: TaskDelta = { type: "delta", seq, now_ms: nowMs };
    if (names.length > changed.length + Number(names.includes("log"))) {
      const { settings: _, ...task } = kind === "shared" ? sharedTask(this.#view()) : this.#view();
      delta.task = task;
    }
    if (changed.length > MAX_IN_FULL) delta.moved = this.#moved(changed);
    else if (changed.length > 0) delta.frames = changed.map((frame) => this.#frame(frame));
    if (kind === "log" && names.includes("log")) delta.log = this.#newLines();
    return delta.task || delta.frames || delta.moved || delta.log ? JSON.stringify(delta) : null;
  }

  async living(viewers: readonly Viewer[]): Promise<readonly Viewer[]> {
    const ids = [...new Set(viewers.flatMap(({ token }) => (token === null || token === 0 ? [] : [token])))];
    const living = new Set(
      ids.length === 0 ? [] : await callRegistry(this.#context.env, (registry) => registry.livingTokens(ids)),
    );
    const generation = this.#context.transactor.committed?.record.shares ?? 0;
    return viewers.filter(({ token, share }) =>
      token === null ? share === generation : token === 0 || living.has(token),
    );
  }

  #moved(changed: readonly number[]): MovedFrames {
    const { ledger } = this.#context.transactor.committed!.record;
    return movedFrames({ ledger, table: this.#context.store.frameTable }, changed);
  }

  #frame(frame: number): LiveFrame {
    const { frameTable: table } = this.#context.store;
    const { ledger } = this.#context.transactor.committed!.record;
    const { state, attempt, worker_id, seconds } = frameView({ ledger, table }, frame);
    const entry = state === "done" ? table.get(frame) : undefined;
    return { frame, state, attempt, worker_id, seconds, preview: entry !== undefined && hasPreview(entry) };
  }

  #lists(): FrameLists {
    const { store } = this.#context;
    const { terms, record } = this.#context.transactor.committed!;
    this.#states ??= new FrameStates(terms, record.ledger, store.entries());
    this.#catchUp(this.#states, record.ledger);
    return this.#states.lists();
  }

  /** The entries of the log since the last message, or the newest of them that fit. */
  #newLines(): TaskDelta["log"] {
    const { lines, next } = this.#context.log.read({ after: this.#logSeq ?? 0, tail: LOG_ENTRIES, limit: LOG_ENTRIES });
    this.#logSeq = next;
    return newest(lines);
  }
}

/** The last lines that fit, and one in any case. */
function newest<T extends { text: string }>(lines: readonly T[]): T[] {
  let chars = 0;
  let from = lines.length;
  while (from > 0 && chars + lines[from - 1]!.text.length <= LOG_CHARS) chars += lines[--from]!.text.length;
  return lines.slice(Math.min(from, lines.length - 1));
}
