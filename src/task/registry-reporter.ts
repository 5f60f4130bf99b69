/**
 * What a task's object tells the registry, and asks of it. Rendering waits for none of the answers.
 */
import { noteUnreported } from "../files/open-marker.ts";
import { messageOf } from "../lib/errors.ts";
import { within } from "../lib/within.ts";
import type { TaskReport } from "../rpc/registry.ts";
import { callRegistry } from "../rpc/stubs.ts";
import type { Effects, Transition } from "./rules/ledger.ts";
import { needsNow } from "./rules/blender.ts";
import { REPORT_RETRY_MS, type LoadedTask } from "./rules/record.ts";
import type { AlarmScheduler } from "../platform/alarm.ts";
import type { TaskContext } from "./task-context.ts";
import type { Transactor } from "./transactor.ts";
import { taskReport } from "./views/task.ts";

/**
 * While pages show the farm, counters reach the registry at most this often, and only after so many
 * changes. More often: the registry is busy with counters while many tasks render.
 */
const REPORT_MIN_MS = 1_000;
const REPORT_CHANGES = 6;
/** Otherwise this often: a report costs a request and two rows. */
const REPORT_MAX_MS = 10_000;
/**
 * A report that is not answered within this is made again. Without it, one call that hangs would hold
 * back all later reports.
 */
const ANSWER_MS = 30_000;

/** What of the context it needs. */
export interface ReporterContext extends Pick<TaskContext, "env"> {
  readonly transactor: Pick<Transactor, "committed">;
  readonly alarm: Pick<AlarmScheduler, "arm">;
}

export class RegistryReporter {
  readonly #context: ReporterContext;
  #reportedMs = 0;
  #changes = 0;
  /** Whether pages show the farm, as the registry last said. */
  #farmWatched = false;
  /**
   * The ledger version that the registry must hear of; a report of an earlier one does not settle
   * that.
   */
  #tellVersion = 0;
  /**
   * How often memory was discarded: a report that began before says nothing about the versions
   * after.
   */
  #era = 0;
  /** The watchdog has been told that reports fail. */
  #noted = false;
  /** The report that is under way, and the one after it. */
  #reporting: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(context: ReporterContext) {
    this.#context = context;
  }

  /**
   * Memory was discarded. Otherwise it would wait for a report of a version that never reached the
   * rows.
   */
  discarded(): void {
    this.#tellVersion = 0;
    this.#era++;
  }

  /**
   * After a transition, before it is written. `urgent`: the registry must hear of it, even if this
   * object is evicted before.
   */
  note(task: LoadedTask, t: Transition, urgent: boolean): void {
    this.#changes++;
    if (!urgent) return;
    task.record.chores.report_due_ms = t.nowMs + REPORT_RETRY_MS;
    this.#tellVersion = t.ledger.version;
  }

  /** After a commit: whether it is time to report. If so, the counting of changes starts anew. */
  takeTurn(task: LoadedTask, nowMs: number): boolean {
    const sinceMs = nowMs - this.#reportedMs;
    const soon = this.#farmWatched && sinceMs >= REPORT_MIN_MS && this.#changes >= REPORT_CHANGES;
    const worthIt = soon || (sinceMs >= REPORT_MAX_MS && this.#changes > 0);
    if (task.record.chores.report_due_ms === null && !worthIt) return false;
    this.#reportedMs = nowMs;
    this.#changes = 0;
    return true;
  }

  /**
   * Report the task's present state, and learn how many workers could do it. One report at a time:
   * what changes while one is under way goes into the next, so that a slow registry is not called
   * by every transition. Does not throw: a report that fails is due again.
   */
  async report(): Promise<void> {
    // The read commits what is pending. That commit may start a report by itself, which is under
    // way on the next line then.
    void this.#context.transactor.committed;
    if (!this.#reporting) {
      this.#reporting = this.#report().finally(() => (this.#reporting = null));
      return await this.#reporting;
    }
    const again = (): Promise<void> => {
      this.#next = null;
      return this.report();
    };
    this.#next ??= this.#reporting.then(again, again);
    await this.#next;
  }

  async #report(): Promise<void> {
    const task = this.#context.transactor.committed;
    if (!task) return;
    const era = this.#era;
    const report = taskReport(task, Date.now());
    try {
      const reply = await within(
        ANSWER_MS,
        callRegistry(this.#context.env, (registry) => registry.report(report)),
      );
      const { chores } = this.#context.transactor.committed?.record ?? task.record;
      chores.able_workers = Math.max(1, reply.able_workers);
      this.#farmWatched = reply.watched;
      this.#noted = false;
      if (this.#settles(report, era)) chores.report_due_ms = null;
    } catch {
      const { chores } = this.#context.transactor.committed?.record ?? task.record;
      chores.report_due_ms = Date.now() + REPORT_RETRY_MS;
      this.#context.alarm.arm();
      await this.#note(report.summary.id);
    }
  }

  /**
   * If the alarm that repeats the report is lost as well, nobody but the watchdog would ever call
   * this object: what the registry does not know of gets no worker.
   */
  async #note(task: number): Promise<void> {
    if (this.#noted) return;
    this.#noted = true;
    try {
      await within(ANSWER_MS, noteUnreported(this.#context.env.FILES, task));
    } catch (error) {
      this.#noted = false;
      console.error(JSON.stringify({ at: "task", task, chore: "note for the watchdog", error: messageOf(error) }));
    }
  }

  #settles(report: TaskReport, era: number): boolean {
    return era === this.#era && report.version >= this.#tellVersion;
  }

  /**
   * Ask how many workers there are to try, and keep it in the record. Throws when the registry does
   * not answer.
   */
  async countAbleWorkers({ definition, record }: LoadedTask): Promise<void> {
    const able = await callRegistry(this.#context.env, (registry) =>
      registry.ableWorkers(needsNow(definition.needs, record.ledger)),
    );
    record.chores.able_workers = Math.max(1, able);
  }

  /**
   * Have workers with a socket told that these leases are void. Throws when the registry does not
   * answer.
   */
  async pushCancels(taskId: number, canceled: Effects["canceled"]): Promise<void> {
    const byWorker = new Map<number, string[]>();
    for (const { worker_id, lease_id } of canceled)
      byWorker.set(worker_id, [...(byWorker.get(worker_id) ?? []), lease_id]);
    const pushes = [...byWorker].map(([worker_id, lease_ids]) => ({ worker_id, task_id: taskId, lease_ids }));
    await callRegistry(this.#context.env, (registry) => registry.pushCancel(pushes));
  }
}
