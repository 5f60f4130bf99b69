/**
 * Dispatch at work: hands tasks to workers that ask, wakes those that wait, calls away those that serve less urgent tasks.
 * The rules are pure (`dispatch.ts`, `idle-workers.ts`, `epoch.ts`); this applies them to rows, sockets and the fleet.
 */
import { first } from "../platform/sql.ts";
import { barredUntilMs, chooseTask, type Asker, type Group } from "./dispatch.ts";
import { canDo } from "../protocol/needs.ts";
import type { Needs } from "../protocol/needs.ts";
import { outrankedBy, workAppeared } from "./epoch.ts";
import type { Fleet } from "./fleet.ts";
import type { LiveLeases } from "./live-leases.ts";
import { NEXT_VALUE } from "./schema.ts";
import type { Sockets } from "./sockets.ts";
import type { OpenTask, TaskChange, TaskStore } from "./task-store.ts";
import { planWake, type Idler } from "./idle-workers.ts";

/** A task that had nothing for a worker is offered to it again after this at the latest. */
const REFUSED_MAX_MS = 3_600_000;
/** Tasks one look at a group goes through; with that many passed over, the rest waits for the next look. */
const LOOK_TASKS = 1_000;
const NONE: ReadonlyMap<number, number> = new Map();

export class Dispatcher {
  readonly #sql: SqlStorage;
  readonly #tasks: TaskStore;
  readonly #live: LiveLeases;
  readonly #fleet: Fleet;
  readonly #sockets: Sockets;
  readonly #outrank: (tasks: number[], epoch: number) => void;
  /** Groups that may have claimable tasks. One that turns out empty leaves at the next look. */
  readonly #open: Map<number, Needs>;
  /** Worker → task → until when it must not be offered. In memory: forgetting costs one idle claim. */
  readonly #refused = new Map<number, Map<number, number>>();
  /** Workers that serve a task because they are barred from a better one, and until when. */
  readonly #watched = new Map<number, { id: number; untilMs: number }>();
  /** Task → workers called back to it once since it last had new work: a task that has nothing for them calls no more. */
  readonly #calledBack = new Map<number, Set<number>>();
  #epoch: number;
  #lookAgainMs: number | null = null;

  /** `outrank` tells task objects; it neither waits nor throws. */
  constructor(
    sql: SqlStorage,
    parts: { tasks: TaskStore; live: LiveLeases; fleet: Fleet; sockets: Sockets },
    outrank: (tasks: number[], epoch: number) => void,
  ) {
    this.#sql = sql;
    this.#tasks = parts.tasks;
    this.#live = parts.live;
    this.#fleet = parts.fleet;
    this.#sockets = parts.sockets;
    this.#outrank = outrank;
    this.#open = new Map(parts.tasks.openGroups().map((id) => [id, parts.tasks.needsOf(id)]));
    this.#epoch = first<{ value: number }>(sql, "SELECT value FROM counters WHERE name = 'epoch'")?.value ?? 0;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** When to call `look`; null while no idle worker could take what waits. */
  get lookAgainMs(): number | null {
    return this.#lookAgainMs;
  }

  /** The task this worker gets now; null when there is none for it. */
  assign(worker: number, nowMs: number): number | null {
    const { task, barred } = chooseTask(this.asker(worker), this.groups(), nowMs);
    // One with several slots may have another one free; if not, it ignores the push, and is pushed less and less often.
    this.#sockets.setIdle(worker, task === null || (this.#fleet.get(worker)?.offered.slots ?? 1) > 1);
    this.#watched.delete(worker);
    if (barred && task && !this.#calledBack.get(barred.id)?.has(worker)) this.#watched.set(worker, barred);
    if (barred && (task === null || this.#watched.has(worker))) this.#lookAgain(barred.untilMs);
    return task?.id ?? null;
  }

  /** The task had nothing for this worker after all. */
  refuse(worker: number, task: number, forMs: number, nowMs: number): void {
    const refused = this.#refused.get(worker) ?? new Map<number, number>();
    for (const [id, untilMs] of refused) if (untilMs <= nowMs) refused.delete(id);
    this.#refused.set(worker, refused.set(task, nowMs + Math.min(forMs, REFUSED_MAX_MS)));
  }

  /** A worker has connected, been switched on, or can do more: is there something for it, or something better? */
  greet(worker: number, nowMs: number): void {
    for (const task of this.#live.tasksOf(worker)) this.#checkRank({ ...task, workers: [worker] }, true, nowMs);
    const { task, barred } = chooseTask(this.asker(worker), this.groups(), nowMs);
    if (task !== null) this.#wake(worker, task.id, nowMs);
    else if (barred !== null) this.#lookAgain(barred.untilMs);
  }

  /** A worker is to take nothing more: the tasks it serves send it back here, where it gets nothing. */
  dismiss(worker: number): void {
    const tasks = this.#live.tasksOf(worker).map((task) => task.id);
    if (tasks.length > 0) this.#outrank(tasks, this.#raise());
  }

  forget(worker: number): void {
    this.#refused.delete(worker);
    this.#watched.delete(worker);
  }

  /** A task has reported. `joined`: workers that are new on it. */
  changed(change: TaskChange, joined: number[], nowMs: number): void {
    const { id, before, after } = change;
    if (after === null || before?.claimable === 0) this.#calledBack.delete(id);
    if (after === null) return;
    const { needsId, priority } = after;
    if (after.claimable > 0 && !this.#open.has(needsId)) this.#open.set(needsId, this.#tasks.needsOf(needsId));
    if (workAppeared(before, after)) {
      // What it had nothing of, it has again: whoever was sent away may come back.
      if (before?.claimable === 0) for (const refused of this.#refused.values()) refused.delete(id);
      this.#callAway({ id, ...after }, this.#open.get(needsId)!, nowMs);
    }
    if (before !== null && priority < before.priority)
      this.#checkRank({ id, priority, workers: [...after.live.keys()] }, true, nowMs);
    else if (joined.length > 0) this.#checkRank({ id, priority, workers: joined }, false, nowMs);
    if (after.claimable > 0) this.#wakeFor({ id, ...after }, this.#open.get(needsId)!, nowMs);
  }

  /** From the alarm: wake whoever sleeps while work waits, call away whoever may take on something again. */
  look(nowMs: number): void {
    this.#lookAgainMs = null;
    this.#callBack(nowMs);
    for (const group of this.groups()) {
      let tasks = 0;
      for (const task of group.candidates) {
        if (tasks++ >= LOOK_TASKS || !this.#wakeFor(task, group.needs, nowMs)) break;
      }
    }
  }

  /** Workers that are no longer barred from something better than what they serve. */
  #callBack(nowMs: number): void {
    for (const [worker, { id, untilMs }] of this.#watched) {
      if (untilMs > nowMs) {
        this.#lookAgain(untilMs);
        continue;
      }
      this.#watched.delete(worker);
      this.#calledBack.set(id, (this.#calledBack.get(id) ?? new Set()).add(worker));
      for (const task of this.#live.tasksOf(worker)) this.#checkRank({ ...task, workers: [worker] }, true, nowMs);
    }
  }

  /** Tasks of lower priority lose the workers that could do this one. */
  #callAway(task: OpenTask, needs: Needs, nowMs: number): void {
    const couldDo = (worker: number): boolean => {
      const asker = this.asker(worker);
      return asker.takesWork && canDo(needs, asker.offer) && barredUntilMs(asker, task, nowMs) === 0;
    };
    const outranked = outrankedBy(task, this.#live.tasks(), couldDo);
    if (outranked.length > 0) this.#outrank(outranked, this.#raise());
  }

  /**
   * Has one of these workers something better to do than this task? `anew`: since they claimed, so the epoch must rise;
   * otherwise they may have been assigned before it last did, and the task has to learn the present one.
   */
  #checkRank(task: { id: number; priority: number; workers: Iterable<number> }, anew: boolean, nowMs: number): void {
    for (const worker of task.workers) {
      const better = chooseTask(this.asker(worker), this.groups(task.priority), nowMs);
      if (better.task === null) continue;
      this.#outrank([task.id], anew ? this.#raise() : this.#epoch);
      return;
    }
  }

  #raise(): number {
    this.#epoch = first<{ value: number }>(this.#sql, NEXT_VALUE, "epoch")!.value;
    return this.#epoch;
  }

  /** Wake idle workers for one task; whether any that could do another one of its group is left. */
  #wakeFor(task: OpenTask, needs: Needs, nowMs: number): boolean {
    const { wake, againMs, left } = planWake(task, needs, this.#idlers(nowMs), nowMs);
    for (const worker of wake) this.#wake(worker, task.id, nowMs);
    if (againMs !== null) this.#lookAgain(againMs);
    return left;
  }

  #wake(worker: number, task: number, nowMs: number): void {
    const untilMs = this.#sockets.wake(worker, task, nowMs);
    if (untilMs !== null && this.#fleet.online(worker, nowMs)) this.#lookAgain(untilMs);
  }

  #lookAgain(atMs: number): void {
    this.#lookAgainMs = this.#lookAgainMs === null ? atMs : Math.min(this.#lookAgainMs, atMs);
  }

  /** A worker as the rules see it. */
  asker(worker: number): Asker {
    const offer = this.#fleet.offer(worker);
    const refused = this.#refused.get(worker) ?? NONE;
    if (!offer)
      return {
        id: worker,
        offer: { programs: {}, tags: [], allow_exec: false, allow_autoexec: false },
        takesWork: false,
        refused,
      };
    return { id: worker, offer, takesWork: this.#fleet.takesWork(worker), refused };
  }

  *#idlers(nowMs: number): Generator<Idler> {
    for (const { worker, wokenFor, wokenUntilMs } of this.#sockets.idle()) {
      yield { ...this.asker(worker), online: this.#fleet.online(worker, nowMs), wokenFor, wokenUntilMs };
    }
  }

  /** Open groups, those with something above a priority only when one is given. Lazy: their tasks are read as they are walked. */
  *groups(above = -Infinity): Generator<Group<OpenTask>> {
    for (const [id, needs] of this.#open) {
      const tasks = this.#tasks.openTasks(id);
      const head = tasks.next();
      if (head.done) this.#open.delete(id);
      else if (head.value.priority > above) yield { needs, candidates: aboveOnly(head.value, tasks, above) };
    }
  }
}

/** The first task, and those after it. */
function* aboveOnly(head: OpenTask, tasks: Iterable<OpenTask>, above: number): Generator<OpenTask> {
  yield head;
  for (const task of tasks) {
    if (task.priority <= above) return;
    yield task;
  }
}
