/** Self-updates of workers: what each runs, and which of them may fetch the program that the manager serves. */
import { ok, type Result } from "../lib/result.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { ProgramRecord, ProgramReport, ProgramReported } from "../protocol/program.ts";
import { AGENT_UPDATES } from "../protocol/setting-rules.ts";
import type { RegistryContext } from "./context.ts";
import { rolloutFor } from "./program-rollout.ts";

/** A worker that may not fetch it yet asks again after this: a lease of the first ones takes minutes. */
const RETRY_MS = 20_000;
/** A worker that will not be allowed to by waiting asks again after this. */
const LONG_RETRY_MS = 3_600_000;

export class ProgramService {
  readonly #registry: RegistryContext;

  constructor(registry: RegistryContext) {
    this.#registry = registry;
  }

  /** The worker tells which program it runs; `served` is the manager's own, null where there is none. */
  report(id: number, report: ProgramReport, served: ProgramRecord | null): Result<ProgramReported, Refusal> {
    const { fleet, programs, settings, farmLive } = this.#registry;
    if (!fleet.get(id)) return refuse("not_found", "there is no such worker");
    const nowMs = Date.now();
    return this.#registry.inTransaction(() => {
      const all = programs.list();
      const before = all.find((one) => one.worker === id);
      const same = before?.running === report.sha256;
      const own = {
        worker: id,
        running: report.sha256,
        sinceMs: same ? before.sinceMs : nowMs,
        proven: report.proven || (same && before.proven),
        failed: report.failed_sha256,
        allowed: before?.allowed ?? null,
        allowedMs: before?.allowedMs ?? 0,
        seenMs: nowMs,
      };
      const others = all.filter((one) => one.worker !== id);
      const off = settings.get(AGENT_UPDATES) === "off";
      const rollout = served === null || off ? null : rolloutFor([...others, own], id, served.sha256, nowMs);
      const update = rollout?.kind === "update" ? served : null;
      if (update) Object.assign(own, { allowed: update.sha256, allowedMs: nowMs });
      programs.put(own);
      if (before?.failed !== own.failed) farmLive.worker(id);
      const why = off ? "the setting agent_updates is off" : rollout?.kind === "wait" ? rollout.why : null;
      const waits = rollout?.kind === "wait" && own.failed !== served?.sha256;
      return ok({ update, why, retry_after_ms: waits ? RETRY_MS : LONG_RETRY_MS });
    });
  }
}
