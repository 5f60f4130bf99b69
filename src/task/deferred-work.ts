/**
 * What a task's object owes to others besides answering calls: history to D1, reports to the
 * registry, updates to dependents, cancellations to workers, the deletion of garbage, its own
 * removal.
 *
 * - What must not be forgotten is in the record, with the instant at which it is due. The one alarm
 *   does it.
 * - A job that fails is due again later. It stops neither the jobs after it nor the alarm.
 * - Jobs are idempotent: the alarm may run twice, and the object may be evicted after any await. One
 *   run of each job at a time (`AlarmJobs`): two drains of one outbox that overlap could write an
 *   event twice (P7).
 */
import { deleteTaskObjects } from "../files/sweep.ts";
import { DRAIN_AFTER_MS, drainOutbox, historyFailure } from "../history/outbox.ts";
import { PatientWriter } from "../history/patient-writer.ts";
import { writeRows } from "../history/store.ts";
import { isEnded } from "../protocol/constants.ts";
import type { HistoryRow } from "../protocol/history-rows.ts";
import type { TaskStatus } from "../protocol/task.ts";
import type { TaskDefinition } from "../rpc/task.ts";
import { Dependents, UPDATE_INTERVAL_MS } from "./dependents.ts";
import { deleteGarbage } from "./garbage-collector.ts";
import { RegistryReporter } from "./registry-reporter.ts";
import { boundBlender } from "./rules/blender.ts";
import type { FrameSet } from "./rules/frame-set.ts";
import { withoutDeleted } from "./rules/garbage.ts";
import { expireLeases } from "./rules/lease-calls.ts";
import { claimable, statusOf, type Effects, type Transition } from "./rules/ledger.ts";
import { newsSent } from "./rules/news.ts";
import { isUncounted } from "./rules/next-alarm.ts";
import type { DeferredState, LoadedTask, TaskRecord } from "./rules/record.ts";
import { countStep } from "./rules/stored-bytes.ts";
import { changed, type Observer } from "./rules/transition.ts";
import type { TaskContext } from "./task-context.ts";
import type { Participant } from "./transactor.ts";

/**
 * A job that failed is tried again after this; the outbox has a backoff of its own. Shorter: a
 * failing R2 is called for nothing.
 */
const RETRY_MS = 5_000;
/**
 * A removal that waits for others is tried again after a tenth of the time that it has waited, and
 * after this at the latest. Longer: it ends late. Without it, each try costs three lists of R2, every
 * RETRY_MS for as long as D1 is away.
 */
const REMOVE_RETRY_MAX_MS = 300_000;
/**
 * R2 lists of 1,000 objects in one run, while a task's files are removed. More: the alarm may take
 * longer than it may run.
 */
const REMOVE_LISTS = 20;
/**
 * What a removed task owes to D1 and to dependents is dropped this long after its last grant ended,
 * with a line in the log. Longer: a full D1 or a broken dependent keeps the object, and wakes it all
 * the time (P13). Shorter: an outage of D1 of some hours loses the task's last events (P7).
 */
const GIVE_UP_MS = 86_400_000;

/**
 * Frames whose files are counted in one run of the alarm: some megabytes of rows. More: lease calls
 * wait for as long as it takes. Fewer: a task of a million frames needs more runs, each with a
 * checkpoint.
 */
const COUNT_FRAMES = 20_000;

/** What the registry and dependents must hear of at once when a transition changes it. */
interface Before {
  hasWork: boolean;
  status: TaskStatus;
  priority: number;
  name: string;
  skipped: FrameSet;
  /** The minor version of Blender that it is bound to, which is what it needs of a worker. */
  bound: string | undefined;
  /** Whether the stored bytes are still to be counted. */
  uncounted: boolean;
  /** What the registry tells the expiry by. */
  retention: Pick<TaskDefinition, "retention_days" | "retention_after_download_days">;
  downloaded: DeferredState["downloaded"];
}

export class DeferredWork implements Observer<Before>, Participant {
  readonly #context: TaskContext;
  readonly dependents: Dependents;
  readonly #registry: RegistryReporter;
  readonly #history: PatientWriter<HistoryRow[]>;

  constructor(context: TaskContext) {
    this.#context = context;
    this.#history = new PatientWriter((rows) => writeRows(context.env.HISTORY, rows));
    this.dependents = new Dependents(context);
    this.#registry = new RegistryReporter(context);
  }

  before({ definition, terms, record }: LoadedTask): Before {
    return {
      hasWork: claimable(terms, record.ledger) > 0,
      status: statusOf(terms, record.ledger),
      priority: definition.priority,
      name: definition.name,
      skipped: record.ledger.skipped,
      bound: boundBlender(record.ledger),
      uncounted: isUncounted(record.ledger, record.chores),
      retention: definition,
      downloaded: record.chores.downloaded,
    };
  }

  /** Write down in the record what the transition makes due. */
  after(task: LoadedTask, t: Transition, was: Before): void {
    const { chores, tail } = task.record;
    const now = this.before(task);
    const ended = now.status !== was.status && isEnded(now.status);
    if (tail.length > 0)
      chores.outbox_due_ms = ended || chores.remove ? t.nowMs : (chores.outbox_due_ms ?? t.nowMs + DRAIN_AFTER_MS);
    const urgent =
      now.hasWork !== was.hasWork ||
      now.status !== was.status ||
      now.priority !== was.priority ||
      now.name !== was.name ||
      now.bound !== was.bound ||
      now.uncounted !== was.uncounted ||
      now.downloaded !== was.downloaded ||
      now.retention.retention_days !== was.retention.retention_days ||
      now.retention.retention_after_download_days !== was.retention.retention_after_download_days;
    if (now.status !== was.status) chores.ended_ms = isEnded(now.status) ? t.nowMs : null;
    this.#registry.note(task, t, urgent);
    const flipped = (now.status === "completed") !== (was.status === "completed");
    this.dependents.note(chores, t, was.skipped, flipped || chores.remove !== null);
  }

  discarded(): void {
    this.dependents.discarded();
    this.#registry.discarded();
  }

  /** Tell at once what should not wait for the alarm, and set the alarm. */
  afterCommit(task: LoadedTask, canceled: Effects["canceled"]): void {
    const { ctx, alarm } = this.#context;
    if (this.#registry.takeTurn(task, Date.now())) ctx.waitUntil(this.report());
    if (canceled.length > 0) {
      const push = (): Promise<void> => this.#registry.pushCancels(task.definition.id, canceled);
      ctx.waitUntil(alarm.attempt("push cancel", push));
    }
    alarm.arm();
  }

  /** Tell the registry how the task stands. Does not throw. */
  async report(): Promise<void> {
    await this.#registry.report();
  }

  /**
   * Before a failure is judged: ask how many workers there are to try (P6). Without an answer the
   * last known number serves.
   */
  async countAbleWorkers(): Promise<void> {
    const task = this.#context.transactor.committed;
    const { alarm } = this.#context;
    if (task) await alarm.attempt("count workers", () => this.#registry.countAbleWorkers(task));
  }

  /** The work of the alarm: do what is due, whatever set it. */
  async run(): Promise<void> {
    const { alarm, transactor } = this.#context;
    if (!transactor.committed) return;
    await alarm.job("expire", () => void transactor.transact(expireLeases));
    const due = (atMs: number | null | undefined): boolean => atMs !== null && atMs !== undefined && atMs <= Date.now();
    // Read again before each job: the one before may have changed the record, or removed the task.
    const state = (): DeferredState | undefined => transactor.committed?.record.chores;
    if (due(state()?.outbox_due_ms)) await alarm.job("history", () => this.#drain());
    if (transactor.committed?.record.ledger.sweeps.some((garbage) => due(garbage.due_ms)))
      await alarm.job("sweep", () => this.#collectGarbage());
    const task = transactor.committed;
    if (task && isUncounted(task.record.ledger, task.record.chores))
      await alarm.job("count stored bytes", () => this.#countStored());
    if (due(state()?.report_due_ms)) await alarm.job("report", () => this.report());
    if (due(state()?.news_due_ms)) await alarm.job("news", () => this.#updateDependents());
    if (due(state()?.remove?.due_ms)) await alarm.job("remove", () => this.#remove());
  }

  /** Write waiting history events to D1. */
  async #drain(): Promise<void> {
    const { store, transactor } = this.#context;
    const record = (): TaskRecord => transactor.committed!.record;
    const said = JSON.stringify(record().chores.history_failure ?? null);
    const result = await drainOutbox(
      { failures: record().chores.outbox_failures },
      {
        read: (limit) => store.waitingEvents(record().tail, limit),
        remove: (throughSeq) =>
          transactor.persist((now) => {
            now.tail = store.dropEvents(now.tail, throughSeq);
          }),
        drop: (throughSeq, events) =>
          transactor.persist((now) => {
            now.tail = store.dropEvents(now.tail, throughSeq);
            const before = now.chores.history_failure ?? { since_ms: null, reason: null, dropped: 0 };
            now.chores.history_failure = { ...before, dropped: before.dropped + events };
            now.chores.report_due_ms = Date.now();
          }),
        waitingBytes: () => store.waitingBytes(),
        write: (rows) => this.#history.write(rows),
        nowMs: () => Date.now(),
      },
    );
    const failure = historyFailure(record().chores.history_failure ?? null, result, Date.now());
    const isNews = JSON.stringify(failure) !== said;
    transactor.persist(({ chores, tail }) => {
      chores.outbox_failures = result.failures;
      chores.outbox_due_ms = result.retryAtMs ?? (tail.length > 0 ? Date.now() + DRAIN_AFTER_MS : null);
      if (failure || chores.history_failure) chores.history_failure = failure;
      // Whoever looks at the farm learns it now, and not with the next frame.
      if (isNews) chores.report_due_ms = Date.now();
    });
    if (isNews && failure)
      console.error(
        JSON.stringify({ at: "task", task: transactor.committed?.definition.id, chore: "history", failure }),
      );
  }

  /** Delete uploads that are no frame's result, and forget them. */
  async #collectGarbage(): Promise<void> {
    const { env, store, transactor } = this.#context;
    const { definition, record } = transactor.committed!;
    const due = record.ledger.sweeps.filter((garbage) => garbage.due_ms <= Date.now());
    await deleteGarbage(due, {
      bucket: env.FILES,
      definition,
      table: store.frameTable,
      deleted: (garbage) => {
        transactor.persist(({ ledger }) => {
          ledger.sweeps = withoutDeleted(ledger.sweeps, garbage);
        });
      },
      failed: (garbage) => {
        for (const one of garbage) one.due_ms = Date.now() + RETRY_MS;
      },
    });
  }

  /** Count the files of a task of an earlier release, or of some of its frames: the alarm rings again for the rest. */
  #countStored(): void {
    const { store, transactor } = this.#context;
    transactor.transact((t) => {
      countStep(t.ledger, (frame) => store.entries(frame), COUNT_FRAMES);
      return changed(null);
    });
  }

  async #updateDependents(): Promise<void> {
    const { transactor } = this.#context;
    const { sent, state } = await this.dependents.update(transactor.committed!);
    const now = transactor.committed;
    if (!now) return;
    // The task may have completed, or been removed, while dependents were told that it is open. No
    // later update would tell them.
    const moved = this.dependents.progress(now, null).state !== state;
    transactor.persist(({ chores }) => {
      if (sent) newsSent(chores, sent);
      if (sent === null) chores.news_due_ms = Date.now() + RETRY_MS;
      else if (moved || (chores.taken_back ?? []).length > 0) chores.news_due_ms = Date.now();
      else chores.news_due_ms = chores.news.length > 0 ? Date.now() + UPDATE_INTERVAL_MS : null;
    });
  }

  /**
   * One step of the removal, in this order: the files, the files once more when the last grant has
   * run out, what is owed to D1, the registry and dependents, and the object's own storage. What is
   * owed to D1 and dependents is dropped in the end; a report is not, because without it the registry
   * would list the task for ever.
   */
  async #remove(): Promise<void> {
    const { ctx, env, transactor, alarm } = this.#context;
    const { definition, record } = transactor.committed!;
    const nowMs = Date.now();
    const { until_ms: untilMs } = record.chores.remove!;
    const retryMs = nowMs + Math.min(Math.max(Math.ceil((nowMs - untilMs) / 10), RETRY_MS), REMOVE_RETRY_MAX_MS);
    record.chores.remove!.due_ms = retryMs;
    const deleted = await deleteTaskObjects(env.FILES, definition.id, REMOVE_LISTS);
    const { tail, chores } = transactor.committed!.record;
    const owes = tail.length > 0 || chores.outbox_due_ms !== null || chores.news_due_ms !== null;
    const over = deleted && nowMs >= untilMs && chores.report_due_ms === null;
    if (over && (!owes || nowMs >= untilMs + GIVE_UP_MS)) {
      if (owes) this.#logLoss(transactor.committed!);
      await ctx.storage.deleteAll();
      alarm.emptied();
      transactor.removed();
      return;
    }
    const dueMs = !deleted ? nowMs : nowMs < untilMs ? untilMs : retryMs;
    transactor.persist((record) => {
      record.chores.remove = { due_ms: dueMs, until_ms: untilMs };
    });
  }

  /** A removal ends although something is owed: the log is all that is left of it. */
  #logLoss({ definition: { id }, record: { tail, chores } }: LoadedTask): void {
    const events = this.#context.store.countWaiting(tail);
    const dependents = chores.news_due_ms !== null;
    console.error(JSON.stringify({ at: "task", task: id, chore: "remove", dropped: { events, dependents } }));
  }
}
