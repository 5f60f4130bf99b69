/** What a task's object tells the registry, and asks of it. Nobody's rendering waits for an answer. */
import { callRegistry } from "../rpc/stubs.ts";
import type { Env } from "../rpc/env.ts";
import type { Loaded } from "./transactor.ts";
import type { Transition } from "./rules/ledger.ts";
import { REPORT_AGAIN_MS } from "./storage/record.ts";
import { reportOf } from "./views/task.ts";

/** While pages show the farm, counters reach the registry at most this often, and then only after so many changes. */
const REPORT_MIN_MS = 1_000;
const REPORT_CHANGES = 6;
/** Otherwise, and where little changes, this often: a report costs a request and two rows. */
const REPORT_MAX_MS = 10_000;

/** The object, as its line to the registry sees it. */
export interface LineHost {
  env: Env;
  loaded(): Loaded | null;
  /** A report is due anew. */
  arm(): void;
}

export class RegistryLine {
  readonly #host: LineHost;
  #reportedMs = 0;
  #changes = 0;
  /** As the registry last said. */
  #farmWatched = false;
  /** Ledger version the registry must hear of. */
  #tellVersion = 0;
  /** Counts how often the rows became others than was remembered: reports from before it settle nothing. */
  #era = 0;
  /** The report under way, and the one after it. */
  #reporting: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(host: LineHost) {
    this.#host = host;
  }

  /** The rows are others than what was noted here: a version that was never written would be waited for without end. */
  forget(): void {
    this.#tellVersion = 0;
    this.#era++;
  }

  /** Inside the transaction: a transition happened; `urgent`: the registry must hear of it, whatever becomes of this object. */
  note(loaded: Loaded, t: Transition, urgent: boolean): void {
    this.#changes++;
    if (!urgent) return;
    loaded.record.chores.report_due_ms = t.nowMs + REPORT_AGAIN_MS;
    this.#tellVersion = t.ledger.version;
  }

  /** After a commit: whether it is time to report; then counting starts anew. */
  takeTurn(loaded: Loaded, nowMs: number): boolean {
    const sinceMs = nowMs - this.#reportedMs;
    const soon = this.#farmWatched && sinceMs >= REPORT_MIN_MS && this.#changes >= REPORT_CHANGES;
    const worthIt = soon || (sinceMs >= REPORT_MAX_MS && this.#changes > 0);
    if (loaded.record.chores.report_due_ms === null && !worthIt) return false;
    this.#reportedMs = nowMs;
    this.#changes = 0;
    return true;
  }

  /**
   * Tell how the task stands, and learn how many workers could do it. One report at a time: what changes while one is under way is
   * told by the next, for a registry that is slow must not be called by every transition.
   */
  async report(): Promise<void> {
    // Writes what lease calls have changed; that may itself be worth a report, which is then under way.
    this.#host.loaded();
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
    const loaded = this.#host.loaded();
    if (!loaded) return;
    const { definition, terms, record } = loaded;
    const era = this.#era;
    const report = reportOf(
      definition,
      terms,
      record.ledger,
      record.chores.created_ms,
      Date.now(),
      record.chores.remove !== null,
    );
    try {
      const reply = await callRegistry(this.#host.env, (registry) => registry.report(report));
      const { chores } = this.#host.loaded()?.record ?? record;
      chores.able_workers = Math.max(1, reply.able_workers);
      this.#farmWatched = reply.watched;
      if (era === this.#era && report.version >= this.#tellVersion) chores.report_due_ms = null;
    } catch {
      const { chores } = this.#host.loaded()?.record ?? record;
      chores.report_due_ms = Date.now() + REPORT_AGAIN_MS;
      this.#host.arm();
    }
  }

  /** How many workers there are to try; what they are is kept in the record. Throws when the registry does not answer. */
  async countAbleWorkers(loaded: Loaded): Promise<void> {
    const able = await callRegistry(this.#host.env, (registry) => registry.ableWorkers(loaded.definition.needs));
    loaded.record.chores.able_workers = Math.max(1, able);
  }

  /** Have workers with a socket told that these leases are void. Throws when the registry does not answer. */
  async pushCancels(taskId: number, canceled: Transition["effects"]["canceled"]): Promise<void> {
    const byWorker = new Map<number, string[]>();
    for (const { worker_id, lease_id } of canceled)
      byWorker.set(worker_id, [...(byWorker.get(worker_id) ?? []), lease_id]);
    const pushes = [...byWorker].map(([worker_id, lease_ids]) => ({ worker_id, task_id: taskId, lease_ids }));
    await callRegistry(this.#host.env, (registry) => registry.pushCancel(pushes));
  }
}
