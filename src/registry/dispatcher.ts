/**
 * Dispatch at work: assigns tasks to workers that ask, wakes idle workers, and preempts tasks of
 * lower priority. The rules are pure (`dispatch.ts`, `idle-workers.ts`, `epoch.ts`); this class
 * applies them to rows, sockets and the fleet.
 */
import { first } from "../platform/sql.ts";
import { canDo, type Needs } from "../protocol/needs.ts";
import { chooseTask, excludedUntilMs, type Choice, type Group, type WorkerView } from "./dispatch.ts";
import { preemptedBy, workAppeared } from "./epoch.ts";
import type { Fleet } from "./fleet.ts";
import { planWake, type IdleWorker } from "./idle-workers.ts";
import type { LiveLeases } from "./live-leases.ts";
import { NEXT_VALUE } from "./schema.ts";
import type { Sockets } from "./sockets.ts";
import type { OpenTask, TaskChange, TaskIndex } from "./task-index.ts";

/**
 * A task that declined a worker is offered to it again after this at the latest, whatever the agent
 * asks for.
 */
const DECLINED_MAX_MS = 3_600_000;
/**
 * Tasks that one scan reads in a group. Without it, a group of tasks that exclude every idle worker
 * is read whole each time.
 */
const SCAN_LIMIT = 1_000;
/** Assignments of a worker that are remembered: one for each slot of a large machine. */
const MAX_ASSIGNED = 64;
const NONE: ReadonlyMap<number, number> = new Map();

export interface DispatcherDependencies {
  sql: SqlStorage;
  tasks: TaskIndex;
  liveLeases: LiveLeases;
  fleet: Fleet;
  sockets: Sockets;
  /** Tells the objects of these tasks the new epoch; neither waits nor throws. */
  preempt(tasks: number[], epoch: number): void;
}

export class Dispatcher {
  readonly #dependencies: DispatcherDependencies;
  /**
   * Groups that may have claimable tasks, by id. A group that turns out empty is dropped when it is
   * walked.
   */
  readonly #open: Map<number, Needs>;
  /**
   * Worker → task → until when it must not be offered. Lost on eviction, which costs one claim that
   * gets nothing.
   */
  readonly #declined = new Map<number, Map<number, number>>();
  /**
   * Workers that serve a task while they are excluded from a better one: that task, and until when.
   */
  readonly #excludedFromBetter = new Map<number, { id: number; untilMs: number }>();
  /**
   * Task → workers that were recalled for it since it last had new work: if it has nothing for
   * them, once is enough.
   */
  readonly #recalled = new Map<number, Set<number>>();
  /** Worker → tasks that it was assigned lately, newest last. Lost on eviction. */
  readonly #assigned = new Map<number, number[]>();
  #epoch: number;
  #rescanMs: number | null = null;

  constructor(dependencies: DispatcherDependencies) {
    this.#dependencies = dependencies;
    const { sql, tasks } = dependencies;
    this.#open = new Map(tasks.openGroups().map((id) => [id, tasks.needsOf(id)]));
    this.#epoch = first<{ value: number }>(sql, "SELECT value FROM counters WHERE name = 'epoch'")?.value ?? 0;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** When to call `rescan`; null while no idle worker could take what waits. */
  get rescanMs(): number | null {
    return this.#rescanMs;
  }

  /** The task this worker gets now; null when there is none for it. */
  assign(worker: number, nowMs: number): number | null {
    const { fleet, sockets } = this.#dependencies;
    const { task, excluded } = this.#choose(worker, nowMs);
    // A worker with several slots may have another one free. If it has not, it ignores the push,
    // and the pushes get rarer.
    sockets.setIdle(worker, task === null || (fleet.get(worker)?.offered.slots ?? 1) > 1);
    this.#excludedFromBetter.delete(worker);
    if (excluded && task && !this.#recalled.get(excluded.id)?.has(worker))
      this.#excludedFromBetter.set(worker, excluded);
    if (excluded && (task === null || this.#excludedFromBetter.has(worker))) this.#rescanAt(excluded.untilMs);
    if (task) {
      const others = (this.#assigned.get(worker) ?? []).filter((id) => id !== task.id);
      this.#assigned.set(worker, [...others, task.id].slice(-MAX_ASSIGNED));
    }
    return task?.id ?? null;
  }

  /** Tasks that this worker was assigned lately. It may have a lease of one that has not reported it yet. */
  assignedTo(worker: number): readonly number[] {
    return this.#assigned.get(worker) ?? [];
  }

  /** The task had nothing for this worker after all: do not offer it again for this long. */
  decline(worker: number, task: number, forMs: number, nowMs: number): void {
    const declined = this.#declined.get(worker) ?? new Map<number, number>();
    for (const [id, untilMs] of declined) if (untilMs <= nowMs) declined.delete(id);
    this.#declined.set(worker, declined.set(task, nowMs + Math.min(forMs, DECLINED_MAX_MS)));
  }

  /**
   * A worker has connected, was enabled, or offers more: wake it for a task, or preempt what it
   * serves for a better one.
   */
  onConnect(worker: number, nowMs: number): void {
    for (const task of this.#dependencies.liveLeases.tasksOf(worker))
      this.#preemptIfBetter({ ...task, workers: [worker] }, true, nowMs);
    const { task, excluded } = this.#choose(worker, nowMs);
    if (task !== null) this.#wake(worker, task.id, nowMs);
    else if (excluded !== null) this.#rescanAt(excluded.untilMs);
  }

  /**
   * A worker takes no more work: the tasks that it serves send it back to the registry, which gives
   * it nothing.
   */
  drain(worker: number): void {
    const tasks = this.#dependencies.liveLeases.tasksOf(worker).map((task) => task.id);
    if (tasks.length > 0) this.#dependencies.preempt(tasks, this.raiseEpoch());
  }

  forget(worker: number): void {
    this.#declined.delete(worker);
    this.#excludedFromBetter.delete(worker);
    this.#assigned.delete(worker);
  }

  /** A task has reported. `joined`: workers that have a live lease on it and had none before. */
  changed(change: TaskChange, joined: number[], nowMs: number): void {
    const { id, before, after } = change;
    if (after === null || before?.claimable === 0) this.#recalled.delete(id);
    if (after === null) return;
    const { needsId, priority } = after;
    if (after.claimable > 0 && !this.#open.has(needsId))
      this.#open.set(needsId, this.#dependencies.tasks.needsOf(needsId));
    if (workAppeared(before, after)) {
      // The task has work again, so workers that it declined may have it.
      if (before?.claimable === 0) for (const declined of this.#declined.values()) declined.delete(id);
      this.#preemptLower({ id, ...after }, this.#open.get(needsId)!, nowMs);
    }
    if (before !== null && priority < before.priority)
      this.#preemptIfBetter({ id, priority, workers: [...after.live.keys()] }, true, nowMs);
    else if (joined.length > 0) this.#preemptIfBetter({ id, priority, workers: joined }, false, nowMs);
    if (after.claimable > 0) this.#wakeFor({ id, ...after }, this.#open.get(needsId)!, nowMs);
  }

  /**
   * From the alarm: wake idle workers while work waits, and recall workers whose exclusion from
   * better work has ended.
   */
  rescan(nowMs: number): void {
    this.#rescanMs = null;
    this.#recall(nowMs);
    const offers = Array.from(this.#idleWorkers(nowMs), ({ offer }) => offer);
    for (const group of this.groups((needs) => offers.some((offer) => canDo(needs, offer)))) {
      let tasks = 0;
      for (const task of group.candidates) {
        if (tasks++ >= SCAN_LIMIT || !this.#wakeFor(task, group.needs, nowMs)) break;
      }
    }
  }

  #recall(nowMs: number): void {
    for (const [worker, { id, untilMs }] of this.#excludedFromBetter) {
      if (untilMs > nowMs) {
        this.#rescanAt(untilMs);
        continue;
      }
      this.#excludedFromBetter.delete(worker);
      this.#recalled.set(id, (this.#recalled.get(id) ?? new Set()).add(worker));
      for (const task of this.#dependencies.liveLeases.tasksOf(worker))
        this.#preemptIfBetter({ ...task, workers: [worker] }, true, nowMs);
    }
  }

  /** Preempt the tasks of lower priority whose workers could do this one. */
  #preemptLower(task: OpenTask, needs: Needs, nowMs: number): void {
    const couldDo = (id: number): boolean => {
      const worker = this.view(id);
      return worker.takesWork && canDo(needs, worker.offer) && excludedUntilMs(worker, task, nowMs) === 0;
    };
    const preempted = preemptedBy(task, this.#dependencies.liveLeases.tasks(), couldDo);
    if (preempted.length > 0) this.#dependencies.preempt(preempted, this.raiseEpoch());
  }

  /**
   * Preempt this task if one of these workers has something better to do. `raise`: the better work
   * appeared after their claims, so the epoch must rise. Otherwise they may have been assigned
   * before it last rose, and telling the task the current epoch is enough.
   */
  #preemptIfBetter(
    task: { id: number; priority: number; workers: Iterable<number> },
    raise: boolean,
    nowMs: number,
  ): void {
    for (const worker of task.workers) {
      const better = this.#choose(worker, nowMs, task.priority);
      if (better.task === null) continue;
      this.#dependencies.preempt([task.id], raise ? this.raiseEpoch() : this.#epoch);
      return;
    }
  }

  /** A new epoch: a claim with an older one is sent back by the tasks that are told. */
  raiseEpoch(): number {
    this.#epoch = first<{ value: number }>(this.#dependencies.sql, NEXT_VALUE, "epoch")!.value;
    return this.#epoch;
  }

  /**
   * Wakes idle workers for one task. Answers whether an idle worker is left for other tasks of its
   * group.
   */
  #wakeFor(task: OpenTask, needs: Needs, nowMs: number): boolean {
    const { wake, rescanMs, left } = planWake(task, needs, this.#idleWorkers(nowMs), nowMs);
    for (const worker of wake) this.#wake(worker, task.id, nowMs);
    if (rescanMs !== null) this.#rescanAt(rescanMs);
    return left;
  }

  #wake(worker: number, task: number, nowMs: number): void {
    const { sockets, fleet } = this.#dependencies;
    const untilMs = sockets.wake(worker, task, nowMs);
    if (untilMs !== null && fleet.online(worker, nowMs)) this.#rescanAt(untilMs);
  }

  #rescanAt(atMs: number): void {
    this.#rescanMs = this.#rescanMs === null ? atMs : Math.min(this.#rescanMs, atMs);
  }

  /** A worker as the rules see it. One that is unknown takes no work. */
  view(id: number): WorkerView {
    const { fleet } = this.#dependencies;
    const offer = fleet.offer(id);
    const declined = this.#declined.get(id) ?? NONE;
    if (!offer)
      return {
        id,
        offer: { programs: {}, tags: [], allow_exec: false, allow_autoexec: false, version: "" },
        takesWork: false,
        declined,
      };
    return { id, offer, takesWork: fleet.takesWork(id), declined };
  }

  *#idleWorkers(nowMs: number): Generator<IdleWorker> {
    const { sockets, fleet } = this.#dependencies;
    for (const { worker, wokenFor, wokenUntilMs } of sockets.idle())
      yield { ...this.view(worker), online: fleet.online(worker, nowMs), wokenFor, wokenUntilMs };
  }

  /** What this worker gets; with `above`, only a task of a higher priority than that. */
  #choose(id: number, nowMs: number, above?: number): Choice<OpenTask> {
    const worker = this.view(id);
    const groups = this.groups((needs) => canDo(needs, worker.offer), above);
    return chooseTask(worker, groups, nowMs);
  }

  /**
   * The open groups whose needs `wanted` accepts; with `above`, only tasks of a higher priority than
   * that. Lazy: rows are read as they are asked for. `wanted` is asked before a row is read: with
   * 1,600 tasks of different tags, reading the first task of each group took most of a dispatch.
   */
  *groups(wanted: (needs: Needs) => boolean = () => true, above = -Infinity): Generator<Group<OpenTask>> {
    for (const [id, needs] of this.#open) {
      if (!wanted(needs)) continue;
      const tasks = this.#dependencies.tasks.openTasks(id);
      const head = tasks.next();
      if (head.done) this.#open.delete(id);
      else if (head.value.priority > above) yield { needs, candidates: aboveOnly(head.value, tasks, above) };
    }
  }
}

/** The head, and the tasks after it that are above the priority. */
function* aboveOnly(head: OpenTask, tasks: Iterable<OpenTask>, above: number): Generator<OpenTask> {
  yield head;
  for (const task of tasks) {
    if (task.priority <= above) return;
    yield task;
  }
}
