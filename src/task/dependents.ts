/** The two ends of a dependency: asking those a task waits for, telling those that wait for it. */
import { callTask } from "../rpc/stubs.ts";
import type { Env } from "../rpc/env.ts";
import { ok, type Result } from "../lib/result.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { whyNotFrameByFrame } from "./rules/dependencies.ts";
import { EMPTY, format, setOf, union, type FrameSet } from "./rules/frame-set.ts";
import { statusOf, type Transition } from "./rules/ledger.ts";
import type { DependencyProgress, TaskDefinition } from "../rpc/task.ts";
import type { Loaded } from "./transactor.ts";
import type { ChoreState, Dependent, TaskStore } from "./storage/task-store.ts";

/** Frame-by-frame dependents are told at most this often. */
export const NEWS_MS = 1_000;
/** A dependent that was announced and never created is forgotten after this. */
const FORGET_MS = 3_600_000;

export class Dependents {
  readonly #env: Env;
  readonly #store: TaskStore;
  #known: Dependent[] | null = null;

  constructor(env: Env, store: TaskStore) {
    this.#env = env;
    this.#store = store;
  }

  /** Ask every dependency for its progress, and be remembered there. Refused when one does not exist. */
  async watch(definition: TaskDefinition): Promise<Result<DependencyProgress[], Refusal>> {
    const news: DependencyProgress[] = [];
    for (const [i, { task: id, frames }] of definition.depends_on.entries()) {
      const scattered = frames === "same" ? whyNotFrameByFrame(definition.frame_list) : null;
      if (scattered) return refuse("invalid", `frame by frame: the frame list ${scattered}`, `depends_on.${i}`);
      const progress = await callTask(this.#env, id, (task) => task.watch(definition.id, frames));
      if (!progress.ok) return refuse("invalid", `task ${id} does not exist`, `depends_on.${i}`);
      news.push(progress.value);
    }
    return ok(news);
  }

  /** The same where some may be missing: those that are not there are gone. */
  async watchThere({ id, depends_on }: Pick<TaskDefinition, "id" | "depends_on">): Promise<DependencyProgress[]> {
    const watched = depends_on.map(async ({ task, frames }): Promise<DependencyProgress> => {
      const progress = await callTask(this.#env, task, (object) => object.watch(id, frames));
      return progress.ok ? progress.value : { id: task, version: Number.MAX_SAFE_INTEGER, state: "gone", done: null };
    });
    return await Promise.all(watched);
  }

  add(dependent: Dependent): void {
    this.#store.addDependent(dependent);
    this.#known = null;
  }

  /** The rows may be others than before. */
  forget(): void {
    this.#known = null;
  }

  #all(): Dependent[] {
    return (this.#known ??= this.#store.dependents());
  }

  /** Note what a transition gives to tell. `atOnce`: the task completed, is no longer complete, or goes. */
  plan(chores: ChoreState, t: Transition, atOnce: boolean): void {
    if (this.#all().length === 0) return;
    if (this.#all().some((dependent) => dependent.frames === "same")) {
      for (const { kind, frames } of t.effects.events) {
        if (kind === "done" || kind === "skipped") chores.news = union(chores.news, setOfText(frames));
      }
    }
    if (atOnce) chores.news_due_ms = t.nowMs;
    else if (chores.news.length > 0) chores.news_due_ms ??= t.nowMs + NEWS_MS;
  }

  progress({ definition, terms, record }: Loaded, done: FrameSet | null): DependencyProgress {
    const completed = statusOf(terms, record.ledger) === "completed";
    const state = record.chores.remove ? "gone" : completed ? "completed" : "open";
    return { id: definition.id, version: record.ledger.version, state, done: done && (format(done) || null) };
  }

  /** All frames that are done or skipped. */
  allDone({ record }: Loaded): FrameSet {
    const done: number[] = [];
    for (const [frame, entry] of this.#store.entries()) if (entry.state === "done") done.push(frame);
    return union(record.ledger.skipped, setOf(done));
  }

  /**
   * Tell them all how the task stands now; what changes while they are told is for the next time. The news they were told, or null
   * when one could not be reached and all must be told again.
   */
  async tell(loaded: Loaded): Promise<{ sent: FrameSet | null; state: DependencyProgress["state"] }> {
    const sent = loaded.record.chores.news;
    const { state } = this.progress(loaded, null);
    const each = this.#all().map((dependent) => ({
      dependent,
      progress: this.progress(loaded, dependent.frames === "same" ? sent : null),
    }));
    let missed = false;
    for (const { dependent, progress } of each) {
      const call = callTask(this.#env, dependent.task, (task) => task.dependencyMoved(progress));
      const answer = await call.catch(() => "failed" as const);
      const forgotten = answer === "unknown" && Date.now() - dependent.since_ms > FORGET_MS;
      if (answer === "gone" || forgotten) this.#store.removeDependent(dependent.task);
      else if (answer !== "taken") missed = true;
    }
    this.#known = null;
    return { sent: missed ? null : sent, state };
  }
}

/** The frame list of an event back into a set; it was made by `format`, so it has no steps. */
function setOfText(text: string | null): FrameSet {
  if (!text) return EMPTY;
  return text.split(",").map((part) => {
    const match = /^(-?\d+)(?:-(-?\d+))?$/.exec(part)!;
    return [Number(match[1]), Number(match[2] ?? match[1])] as const;
  });
}
