/** Tasks as the registry knows them: ids that are given out, and the reports of task objects. */
import type { Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { ReportReply, Reservation, TaskReport } from "../rpc/registry.ts";
import type { RegistryContext } from "./context.ts";
import { needsSignature } from "./dispatch.ts";
import type { SubmissionIdentity } from "./reservation-store.ts";

export class TaskService {
  readonly #registry: RegistryContext;

  constructor(registry: RegistryContext) {
    this.#registry = registry;
  }

  /** The id of this submission: a new one, or the one it got before. */
  reserve(submission: SubmissionIdentity): Result<Reservation, Refusal> {
    return this.#registry.inTransaction(() => this.#registry.reservations.reserve(submission, Date.now()));
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
    dispatcher.changed(change, liveLeases.apply(change), nowMs);
    farmLive.changed(change, change.totalsChanged);
    if (change.after === null) reservations.forget();
  }

  /** What a report is answered with. */
  replyTo({ needs }: TaskReport): ReportReply {
    const able = this.#registry.fleet.countAble(needs, needsSignature(needs), Date.now());
    return { able_workers: able, watched: this.#registry.farmLive.feed.count > 0 };
  }
}
