/** Tasks as the registry knows them: ids that are given out, and the reports of task objects. */
import { err, ok, type Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { ExpiredTasks, OverdueTask, ReportReply, Reservation, TaskReport, WokenTask } from "../rpc/registry.ts";
import type { RegistryContext } from "./context.ts";
import { needsSignature } from "./dispatch.ts";
import type { SubmissionIdentity } from "./reservation-store.ts";
import { isRestoring } from "./restore.ts";

/**
 * A task whose object has not reported this long after it should have woken is asked. Shorter: tasks
 * are asked whose alarm is merely late. Longer: with the five minutes between two runs of the
 * watchdog, a lost alarm would show later than P13 allows.
 */
export const OVERDUE_MS = 45_000;
/**
 * Tasks that one run of the watchdog asks. More: the run would need more processor time than a
 * Worker of the free plan has.
 */
const MAX_OVERDUE = 100;

/**
 * Rows of tasks that have ended which one call reads to find those that have expired. More: the
 * registry serves nobody else meanwhile; a page of these takes it about 30 ms.
 */
const EXPIRED_PAGE = 5_000;

export class TaskService {
  readonly #registry: RegistryContext;

  constructor(registry: RegistryContext) {
    this.#registry = registry;
  }

  /** The id of this submission: a new one, or the one it got before. */
  reserve(submission: SubmissionIdentity): Result<Reservation, Refusal> {
    return this.#registry.inTransaction(() => this.#registry.reservations.reserve(submission, Date.now()));
  }

  /** A task with this id is about to be restored. */
  expect(id: number): void {
    this.#registry.inTransaction(() => this.#registry.reservations.expect(id, Date.now()));
  }

  /** Ids of all tasks that exist, and of some that do not. Refusal: `conflict` during a restore. */
  ids(after: number, limit: number): Result<number[], Refusal> {
    if (isRestoring(this.#registry.storage)) return err({ code: "conflict", detail: "a backup is being restored" });
    return ok(this.#registry.tasks.ids(after, limit));
  }

  /** The objects of these ids hold no task. */
  notThere(ids: readonly number[]): void {
    this.#registry.inTransaction(() => this.#registry.reservations.notThere(ids, Date.now()));
  }

  /** Stores a report, then lets dispatch and the live view act on what has changed. */
  report(report: TaskReport): void {
    const nowMs = Date.now();
    const { tasks, webhooks, totals, reservations, liveLeases, dispatcher, farmLive } = this.#registry;
    const change = this.#registry.inTransaction(() => {
      const change = tasks.apply(report, nowMs);
      if (!change) return null;
      webhooks.changed(change, nowMs);
      return { ...change, totalsChanged: totals.add(change.did, nowMs) };
    });
    if (!change) return;
    if (report.claimable > 0 || report.wake_ms !== null) this.#registry.marker.opened();
    dispatcher.changed(change, liveLeases.apply(change), nowMs);
    farmLive.changed(change, change.totalsChanged);
    if (change.after === null) reservations.forget();
  }

  /** Tasks whose objects should have woken and have not reported since, the longest overdue first. */
  overdue(): OverdueTask[] {
    return this.#registry.tasks.overdue(Date.now() - OVERDUE_MS, MAX_OVERDUE);
  }

  /** Store what overdue tasks have answered. */
  woken(answers: readonly WokenTask[]): void {
    this.#registry.inTransaction(() => {
      for (const answer of answers) this.#registry.tasks.woken(answer);
    });
  }

  /** The tasks after this id that have expired, of one page, and the rule that this was decided by. */
  expired(after: number): ExpiredTasks {
    const { tasks, settings } = this.#registry;
    return { ...tasks.expired(after, EXPIRED_PAGE, Date.now()), farm: settings.retention() };
  }

  /** What a report is answered with. */
  replyTo({ needs }: TaskReport): ReportReply {
    const able = this.#registry.fleet.countAble(needs, needsSignature(needs), Date.now());
    return { able_workers: able, watched: this.#registry.farmLive.feed.count > 0 };
  }
}
