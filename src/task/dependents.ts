/**
 * The two ends of a dependency: this asks the tasks that this one waits for, and updates the tasks
 * that wait for this one.
 */
import { callTask } from "../rpc/stubs.ts";
import { mapConcurrent } from "../lib/concurrency.ts";
import { within } from "../lib/within.ts";
import { ok, type Result } from "../lib/result.ts";
import { dropHint } from "../protocol/hints.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { whyNotFrameByFrame } from "./rules/dependencies.ts";
import { filesVersion } from "./rules/files-version.ts";
import { format, setOf, union, type FrameSet } from "./rules/frame-set.ts";
import { statusOf, type Transition } from "./rules/ledger.ts";
import { noteNews, type SentNews } from "./rules/news.ts";
import type { DeferredState, LoadedTask } from "./rules/record.ts";
import type { DependencyProgress, TaskDefinition } from "../rpc/task.ts";
import type { TaskContext } from "./task-context.ts";
import type { Dependent } from "./storage/task-store.ts";

/**
 * Frame-by-frame dependents are updated at most this often: more often, every frame costs a
 * request.
 */
export const UPDATE_INTERVAL_MS = 1_000;
/**
 * A dependent that does not exist this long after it asked is forgotten: its submission failed.
 * Sooner: one whose creation is slow would miss its updates and wait for ever.
 */
const FORGET_MS = 3_600_000;
/**
 * A dependent that does not answer within this is told again later. Without it, one that hangs would
 * hold back the news of those after it.
 */
export const ANSWER_MS = 10_000;
/**
 * A dependent that asked this recently counts as one that has not ended: it may be about to begin
 * again (`watchAgain`). Shorter than the time that it gives itself for that, it could begin on a task
 * that is deleted.
 */
const BEGINS_WITHIN_MS = 60_000;
/**
 * A task that asks its dependencies because it begins again must do so within this. Half of the time
 * above, because the clocks of two objects differ.
 */
const ASK_WITHIN_MS = 30_000;

/** Dependents that are asked at a time; more would wait for each other. */
const ASKED_AT_ONCE = 6;

export class Dependents {
  readonly #context: TaskContext;
  /** The stored list; null while it is to be read. */
  #known: Dependent[] | null = null;

  constructor(context: TaskContext) {
    this.#context = context;
  }

  /**
   * Ask every dependency for its progress, and be remembered there. Refused when one does not
   * exist.
   */
  async watch(definition: TaskDefinition): Promise<Result<DependencyProgress[], Refusal>> {
    const begunMs = Date.now();
    const updates: DependencyProgress[] = [];
    for (const [i, { task: id, frames }] of definition.depends_on.entries()) {
      const scattered = frames === "same" ? whyNotFrameByFrame(definition.frame_list) : null;
      if (scattered) return refuse("invalid", `frame by frame: the frame list ${scattered}`, `depends_on.${i}`);
      const progress = await callTask(this.#context.env, id, (task) => task.watch(definition.id, frames));
      if (!progress.ok) return refuse("invalid", `task ${id} does not exist`, `depends_on.${i}`);
      updates.push(progress.value);
    }
    // A dependency that has forgotten this task by now may be deleted, and nobody would tell it.
    if (Date.now() - begunMs > FORGET_MS / 2)
      return refuse("overloaded", "the tasks that this one depends on took too long to answer; try again");
    return ok(updates);
  }

  /** The same after a restore, where dependencies may be missing: those count as gone. */
  async watchExisting({ id, depends_on }: Pick<TaskDefinition, "id" | "depends_on">): Promise<DependencyProgress[]> {
    const watched = depends_on.map(async ({ task, frames }): Promise<DependencyProgress> => {
      const progress = await callTask(this.#context.env, task, (object) => object.watch(id, frames));
      return progress.ok ? progress.value : goneTask(task);
    });
    return await Promise.all(watched);
  }

  /**
   * Before a task that has ended begins again: be remembered by its dependencies as one that uses them,
   * so that none is deleted meanwhile. Refused when one that it needs is gone: its frames would wait
   * for ever, or fail for want of their inputs. `dropped`: a dependency that is dropped with it.
   */
  async watchAgain({ definition, record }: LoadedTask, dropped?: number): Promise<Result<null, Refusal>> {
    const begunMs = Date.now();
    for (const { task: id, frames } of definition.depends_on) {
      if (id === dropped) continue;
      const progress = await callTask(this.#context.env, id, (task) => task.watch(definition.id, frames));
      const known = record.ledger.dependencies.find(({ task }) => task === id);
      const isNeeded = id === definition.input_task || known?.state !== "completed";
      if (!progress.ok && isNeeded) return refuse("conflict", neededText(definition, id), "status");
    }
    if (Date.now() - begunMs > ASK_WITHIN_MS)
      return refuse("overloaded", "the tasks that this one depends on took too long to answer; try again");
    return ok(null);
  }

  /**
   * The dependents that have not ended, or may be about to begin, and the list that this was asked of.
   * Refused when one of them does not answer: it may use this task.
   */
  async users(): Promise<Result<{ asked: readonly Dependent[]; users: number[] }, Refusal>> {
    const asked = this.#all();
    const own = this.#context.transactor.committed?.definition.id;
    const answers = await mapConcurrent(asked, ASKED_AT_ONCE, async ({ task }) => {
      const call = callTask(this.#context.env, task, (object) => object.hasEnded(own));
      return await within(ANSWER_MS, call).catch(() => undefined);
    });
    const silent = asked.find((_, i) => answers[i] === undefined);
    if (silent) return refuse("overloaded", `task ${silent.task}, which depends on it, does not answer; try again`);
    const nowMs = Date.now();
    const uses = ({ since_ms }: Dependent, ended: boolean | null): boolean =>
      ended === false || nowMs - since_ms <= (ended === null ? FORGET_MS : BEGINS_WITHIN_MS);
    return ok({ asked, users: asked.filter((one, i) => uses(one, answers[i]!)).map(({ task }) => task) });
  }

  /** The dependents that have asked since this list was read. */
  newSince(asked: readonly Dependent[]): number[] {
    const known = new Set(asked.map(({ task, since_ms }) => `${task} ${since_ms}`));
    return this.#all().flatMap(({ task, since_ms }) => (known.has(`${task} ${since_ms}`) ? [] : [task]));
  }

  add(dependent: Dependent): void {
    this.#context.store.addDependent(dependent);
    this.#known = null;
  }

  /** Memory was discarded. */
  discarded(): void {
    this.#known = null;
  }

  #all(): Dependent[] {
    return (this.#known ??= this.#context.store.dependents());
  }

  /**
   * After a transition, before it is written: note what dependents must be told. `atOnce`: the task
   * completed, is no longer complete, or is being removed. Frames that were taken back are told at
   * once, too: the dependent renders what it read of them.
   */
  note(state: DeferredState, t: Transition, skippedBefore: FrameSet, atOnce: boolean): void {
    if (this.#all().length === 0) return;
    const isFrameByFrame = this.#all().some((dependent) => dependent.frames === "same");
    const takenBack = isFrameByFrame && noteNews(state, t, skippedBefore);
    if (atOnce || takenBack) state.news_due_ms = t.nowMs;
    else if (state.news.length > 0) state.news_due_ms ??= t.nowMs + UPDATE_INTERVAL_MS;
  }

  /** The answer to a dependent that begins to wait for this task. */
  present(task: LoadedTask, mode: Dependent["frames"]): DependencyProgress {
    if (mode === "all") return this.progress(task, null);
    return { ...this.progress(task, this.#allDone(task)), whole: true };
  }

  /**
   * The progress of this task; `done`: the frames to name, or null for a dependent that waits for
   * the whole task.
   */
  progress({ definition, terms, record }: LoadedTask, done: FrameSet | null): DependencyProgress {
    const completed = statusOf(terms, record.ledger) === "completed";
    const state = record.chores.remove ? "gone" : completed ? "completed" : "open";
    const { version } = record.ledger;
    const files_version = filesVersion(record.ledger);
    return { id: definition.id, version, state, done: done && (format(done) || null), files_version };
  }

  /** All frames that are done or skipped. */
  #allDone({ record }: LoadedTask): FrameSet {
    const done: number[] = [];
    for (const [frame, entry] of this.#context.store.entries()) if (entry.state === "done") done.push(frame);
    return union(record.ledger.skipped, setOf(done));
  }

  /**
   * Tell all dependents the progress of this task as it is at the call. `sent`: what they were told, or
   * null when one of them could not be reached and all must be told again. `state`: of the task, as they
   * were told.
   */
  async update(task: LoadedTask): Promise<{ sent: SentNews | null; state: DependencyProgress["state"] }> {
    const { env, store } = this.#context;
    const { news, taken_back } = task.record.chores;
    const sent = { news, version: task.record.ledger.version };
    const { state } = this.progress(task, null);
    // All messages are made before the first is sent: what is not committed yet must not get into a
    // later one.
    const each = this.#all().map((dependent) => ({
      dependent,
      progress:
        dependent.frames === "same"
          ? { ...this.progress(task, news), ...(taken_back && { taken_back }) }
          : this.progress(task, null),
    }));
    let missed = false;
    for (const { dependent, progress } of each) {
      const call = callTask(env, dependent.task, (object) => object.dependencyMoved(progress));
      const answer = await within(ANSWER_MS, call).catch(() => "failed" as const);
      const forgotten = answer === "unknown" && Date.now() - dependent.since_ms > FORGET_MS;
      if (answer === "gone" || forgotten) store.removeDependent(dependent.task);
      else if (answer !== "taken") missed = true;
    }
    this.#known = null;
    return { sent: missed ? null : sent, state };
  }
}

function neededText({ id, input_task }: TaskDefinition, needed: number): string {
  const deleted = `task ${needed}, which this task needs, was deleted`;
  return needed === input_task ? deleted : `${deleted}: ${dropHint(id, needed)}`;
}

/** What a task that does not exist any more would say of itself. */
export function goneTask(id: number): DependencyProgress {
  return { id, version: Number.MAX_SAFE_INTEGER, state: "gone", done: null };
}
