/**
 * What a task's object owes others, besides answering calls: history to D1, reports to the registry, news to dependents,
 * pushes to workers, the sweep of superseded uploads, its own removal. Everything that must not be forgotten is in the
 * record with the instant it is due; the one alarm does it. A failing chore is tried again later and never ends the chain.
 */
import { deleteTaskObjects } from "../files/sweep.ts";
import { DRAIN_AFTER_MS, drainOutbox } from "../history/outbox.ts";
import { writeRows } from "../history/store.ts";
import type { Env } from "../rpc/env.ts";
import { ok, type Result } from "../lib/result.ts";
import { AlarmScheduler } from "../platform/alarm.ts";
import type { Refusal } from "../protocol/problem.ts";
import { Dependents, NEWS_MS } from "./dependents.ts";
import { minus } from "./rules/frame-set.ts";
import { claimable, statusOf, type Effects, type Transition } from "./rules/ledger.ts";
import { expire } from "./rules/settle.ts";
import { RegistryLine } from "./registry-reporter.ts";
import { sweepDue } from "./garbage-collector.ts";
import type { Loaded, Settle } from "./transactor.ts";
import type { ChoreState, TaskStore } from "./storage/task-store.ts";
import { nextWakeMs } from "./rules/next-alarm.ts";

/** A chore that failed is tried again after this; the outbox has a backoff of its own. */
const AGAIN_MS = 5_000;
/** After a chore that threw, as it does when the database is full, nothing that is overdue comes sooner than this. */
const BREATHE_MS = 500;
/** R2 lists of 1,000 objects per wake while a task's files are removed. */
const REMOVE_LISTS = 20;

/** What a transition may change that others must hear of at once. */
interface Before {
  hasWork: boolean;
  status: string;
  priority: number;
  name: string;
}

/** The object, as its chores see it. */
export interface Host {
  ctx: DurableObjectState;
  env: Env;
  store: TaskStore;
  loaded(): Loaded | null;
  transit(change: (t: Transition) => Result<null, Refusal>): unknown;
  settle: Settle;
  /** The task's storage is empty now. */
  gone(): void;
}

export class TaskChores {
  readonly #host: Host;
  readonly #alarm: AlarmScheduler;
  /** Settles when the last run that was asked for is over. */
  #running: Promise<void> = Promise.resolve();
  readonly dependents: Dependents;
  readonly #registry: RegistryLine;

  constructor(host: Host) {
    this.#host = host;
    this.dependents = new Dependents(host.env, host.store);
    this.#registry = new RegistryLine({ env: host.env, loaded: () => host.loaded(), arm: () => this.arm() });
    this.#alarm = new AlarmScheduler(host.ctx, { task: () => this.#dueMs() });
  }

  before({ definition, terms, record }: Loaded): Before {
    return {
      hasWork: claimable(terms, record.ledger) > 0,
      status: statusOf(terms, record.ledger),
      priority: definition.priority,
      name: definition.name,
    };
  }

  /** Inside the transaction: write down what the transition makes due. */
  plan(loaded: Loaded, t: Transition, was: Before): void {
    const { chores, tail } = loaded.record;
    const now = this.before(loaded);
    const ended = now.status !== was.status && ["completed", "failed", "canceled"].includes(now.status);
    if (tail.length > 0)
      chores.outbox_due_ms = ended || chores.remove ? t.nowMs : (chores.outbox_due_ms ?? t.nowMs + DRAIN_AFTER_MS);
    const urgent =
      now.hasWork !== was.hasWork ||
      now.status !== was.status ||
      now.priority !== was.priority ||
      now.name !== was.name;
    this.#registry.note(loaded, t, urgent);
    const flipped = (now.status === "completed") !== (was.status === "completed");
    this.dependents.plan(chores, t, flipped || chores.remove !== null);
  }

  /** The rows are others than what is remembered of them. */
  forget(): void {
    this.dependents.forget();
    this.#registry.forget();
  }

  /** After the commit: tell at once what may not wait for the alarm, and arm it. `canceled`: leases that what was committed has canceled. */
  follow(loaded: Loaded, canceled: Effects["canceled"] = []): void {
    if (this.#registry.takeTurn(loaded, Date.now())) this.#host.ctx.waitUntil(this.report());
    if (canceled.length > 0) {
      const push = (): Promise<void> => this.#registry.pushCancels(loaded.definition.id, canceled);
      this.#host.ctx.waitUntil(this.#attempt("push cancel", push));
    }
    this.arm();
  }

  /** Set the alarm when nothing, or something later, is set. An early wake costs little and sets it anew. */
  arm(): void {
    this.#alarm.arm();
  }

  #dueMs(): number | null {
    const loaded = this.#host.loaded();
    if (!loaded) return null;
    const { ledger, chores } = loaded.record;
    return nextWakeMs({
      leases: ledger.leases,
      sweeps: ledger.sweeps,
      outboxMs: chores.outbox_due_ms,
      reportMs: chores.report_due_ms,
      newsMs: chores.news_due_ms,
      removeMs: chores.remove?.due_ms ?? null,
    });
  }

  /**
   * The alarm. Idempotent: it looks at what is due, not at why it woke. One run at a time, whatever the platform does: two
   * drains of one outbox that overlap could tell an event twice (P7).
   */
  async run(): Promise<void> {
    const before = this.#running;
    const mine = Promise.withResolvers<void>();
    this.#running = mine.promise;
    try {
      await before;
      await this.#doWhatIsDue();
    } finally {
      mine.resolve();
    }
  }

  async #doWhatIsDue(): Promise<void> {
    this.#alarm.rang();
    if (!this.#host.loaded()) return;
    await this.#attempt("expire", async () => {
      this.#host.transit((t) => {
        expire(t);
        t.effects.idle = true;
        return ok(null);
      });
    });
    const due = (atMs: number | null | undefined): boolean => atMs !== null && atMs !== undefined && atMs <= Date.now();
    const chores = (): ChoreState | undefined => this.#host.loaded()?.record.chores;
    if (due(chores()?.outbox_due_ms)) await this.#attempt("history", () => this.#drain());
    if (this.#host.loaded()?.record.ledger.sweeps.some((sweep) => due(sweep.due_ms)))
      await this.#attempt("sweep", () => this.#sweep());
    if (due(chores()?.report_due_ms)) await this.report();
    if (due(chores()?.news_due_ms)) await this.#attempt("news", () => this.#tellDependents());
    if (due(chores()?.remove?.due_ms)) await this.#attempt("remove", () => this.#remove());
    this.arm();
  }

  async #attempt(chore: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#alarm.holdOff(Date.now() + BREATHE_MS);
      console.error(
        JSON.stringify({
          at: "task",
          task: this.#host.loaded()?.definition.id,
          chore,
          error: error instanceof Error ? error.message : "unknown",
        }),
      );
    }
  }

  async #drain(): Promise<void> {
    const { env, store, settle } = this.#host;
    const record = (): Loaded["record"] => this.#host.loaded()!.record;
    const result = await drainOutbox(
      { failures: record().chores.outbox_failures },
      {
        read: (limit) => store.waitingEvents(record().tail, limit),
        remove: (throughSeq) =>
          settle((now) => {
            now.tail = store.dropEvents(now.tail, throughSeq);
          }),
        write: (rows) => writeRows(env.HISTORY, rows),
        nowMs: () => Date.now(),
      },
    );
    settle(({ chores, tail }) => {
      chores.outbox_failures = result.failures;
      chores.outbox_due_ms = result.retryAtMs ?? (tail.length > 0 ? Date.now() + DRAIN_AFTER_MS : null);
    });
  }

  /** Delete what superseded attempts uploaded and no commit took. */
  async #sweep(): Promise<void> {
    const { env, store, settle } = this.#host;
    const { definition, record } = this.#host.loaded()!;
    const due = record.ledger.sweeps.filter((sweep) => sweep.due_ms <= Date.now());
    await sweepDue(due, {
      bucket: env.FILES,
      definition,
      book: store.book,
      done: (sweeps) => {
        // The record may have been read anew meanwhile, so they are known by what they say.
        const carriedOut = new Set(sweeps.map((sweep) => JSON.stringify(sweep)));
        settle(({ ledger }) => {
          ledger.sweeps = ledger.sweeps.filter((other) => !carriedOut.has(JSON.stringify(other)));
        });
      },
      failed: (sweeps) => {
        for (const sweep of sweeps) sweep.due_ms = Date.now() + AGAIN_MS;
      },
    });
  }

  /** Tell the registry how the task stands. */
  async report(): Promise<void> {
    await this.#registry.report();
  }

  /** Before a failure is judged: how many workers there are to try (P6). The last known number serves when nobody answers. */
  async countAbleWorkers(): Promise<void> {
    const loaded = this.#host.loaded();
    if (loaded) await this.#attempt("count workers", () => this.#registry.countAbleWorkers(loaded));
  }

  async #tellDependents(): Promise<void> {
    const { sent, state } = await this.dependents.tell(this.#host.loaded()!);
    const now = this.#host.loaded();
    if (!now) return;
    // It may have completed, or been removed, while they were told that it is open: nothing else would tell them any more.
    const moved = this.dependents.progress(now, null).state !== state;
    this.#host.settle(({ chores }) => {
      if (sent) chores.news = minus(chores.news, sent);
      if (sent === null) chores.news_due_ms = Date.now() + AGAIN_MS;
      else if (moved) chores.news_due_ms = Date.now();
      else chores.news_due_ms = chores.news.length > 0 ? Date.now() + NEWS_MS : null;
    });
  }

  /** Files first, again when the last grant has run out, then history, and the object's own storage last. */
  async #remove(): Promise<void> {
    const { ctx, env } = this.#host;
    const { definition, record } = this.#host.loaded()!;
    const nowMs = Date.now();
    record.chores.remove!.due_ms = nowMs + AGAIN_MS;
    const swept = await deleteTaskObjects(env.FILES, definition.id, REMOVE_LISTS);
    const { tail, chores } = this.#host.loaded()!.record;
    const remove = chores.remove!;
    const owes =
      tail.length > 0 || chores.outbox_due_ms !== null || chores.report_due_ms !== null || chores.news_due_ms !== null;
    if (swept && nowMs >= remove.until_ms && !owes) {
      await ctx.storage.deleteAll();
      this.#host.gone();
      return;
    }
    const dueMs = !swept ? nowMs : nowMs < remove.until_ms ? remove.until_ms : nowMs + AGAIN_MS;
    this.#host.settle((record) => {
      record.chores.remove = { ...remove, due_ms: dueMs };
    });
  }
}
