/**
 * The audit of retention (P14): from the history, and from what people did and when they were answered,
 * it checks each deletion by a rule. It does not use the rules of the product. Pure.
 */
import type { HistoryEvent } from "../../src/protocol/history.ts";

const DAY_MS = 86_400_000;

type Days = number | "forever";

/** A call of a person, by the manager's clock; `answeredMs` is null while it is not answered. */
interface Said {
  begunMs: number;
  answeredMs: number | null;
}

/** What happened in the phase of retention. */
export interface RetentionLog {
  /** Each rule of the farm, in the order in which they were set. The first was there before. */
  rules: (Said & { days: Days; afterDownload: Days })[];
  /** Values that a task got of its own. */
  own: (Said & { task: number; days: Days | null; afterDownload: Days | null })[];
  /** Downloads of all files that the manager took; `begunMs`: when the version of the files was read. */
  downloads: (Said & { task: number })[];
  /** Tasks that were submitted to wait for another one, and were taken. */
  dependents: (Said & { task: number; on: number })[];
  jobs: Said[];
}

/** The name under which the rule deletes. */
const ACTOR = "retention";

/** All deletions by a rule that were wrong. `historyOf`: the events of a task, in their order. */
export function auditRetention(
  log: RetentionLog,
  tasks: readonly number[],
  historyOf: (task: number) => readonly HistoryEvent[],
): string[] {
  const problems: string[] = [];
  for (const task of tasks) {
    const events = historyOf(task);
    const deleted = events.find((event) => event.kind === "deleted" && event.detail === ACTOR);
    if (!deleted) continue;
    const atMs = deleted.at_ms;
    const before = events.filter((event) => event.seq < deleted.seq);
    const endedMs = endedSince(before);
    if (endedMs === null) problems.push(`P14: task ${task} was deleted by a rule and had not ended`);
    else if (!mayGo(log, task, before, endedMs, atMs))
      problems.push(`P14: task ${task} ended at ${endedMs} and was deleted at ${atMs}, before any rule allowed it`);
    for (const { task: user, on, answeredMs } of log.dependents) {
      if (on !== task || answeredMs === null || answeredMs >= atMs) continue;
      const its = historyOf(user);
      // Events of the same millisecond may have come before or after.
      const open = [its.filter((one) => one.at_ms < atMs), its.filter((one) => one.at_ms <= atMs)];
      // Nothing of it came after the deletion but the end of a lease: its last frame was there.
      const rendersLater = its.some((one) => one.at_ms > atMs && one.kind === "done");
      const waits = !its.some((one) => one.at_ms > atMs && one.kind === "completed");
      if (open.every((past) => endedSince(past) === null) && (rendersLater || waits))
        problems.push(`P14: task ${task} was deleted while task ${user}, which depends on it, had not ended`);
    }
  }
  return problems;
}

/**
 * When the task ended, by these events; null when it has not, or was requeued since. A task is completed
 * with its last frame; the event comes when the lease of that frame is over, which may be later.
 */
function endedSince(events: readonly HistoryEvent[]): number | null {
  let endedMs: number | null = null;
  let frameMs: number | null = null;
  for (const { kind, at_ms } of events) {
    if (kind === "done" || kind === "skipped") frameMs = at_ms;
    if (kind === "completed") endedMs = frameMs ?? at_ms;
    if (kind === "failed" || kind === "canceled" || kind === "deleted") endedMs = at_ms;
    if (kind === "requeued") endedMs = null;
  }
  return endedMs;
}

/** Whether any rule that may have been in force allowed the deletion. */
function mayGo(
  log: RetentionLog,
  task: number,
  before: readonly HistoryEvent[],
  endedMs: number,
  atMs: number,
): boolean {
  // A run of the job reads the rule and then goes through the tasks.
  const readMs = Math.max(...log.jobs.filter(({ begunMs }) => begunMs <= atMs).map(({ begunMs }) => begunMs));
  const rules = inForce(log.rules, readMs, atMs);
  const changes = log.own.filter((one) => one.task === task);
  const owns: ((typeof changes)[number] | null)[] = inForce(changes, atMs, atMs);
  if (!changes.some(({ answeredMs }) => answeredMs !== null && answeredMs < atMs)) owns.push(null);
  const downloadedMs = downloadOf(log, task, before, atMs);
  return owns.some((own) =>
    rules.some((rule) => {
      const noticeMs = changedAt(changes, own) + DAY_MS;
      const farmNoticeMs = strictSince(log.rules, rule) + DAY_MS;
      const kept = own?.days === "forever";
      const goes = (mine: Days | null | undefined, farm: Days, fromMs: number | null): boolean => {
        const days = mine ?? (kept ? "forever" : farm);
        if (days === "forever" || fromMs === null) return false;
        const byFarm = mine === null || mine === undefined;
        const notBeforeMs = Math.max(noticeMs, byFarm ? farmNoticeMs : 0);
        return atMs >= fromMs + days * DAY_MS && atMs >= notBeforeMs;
      };
      return (
        goes(own?.days, rule.days, endedMs) ||
        goes(own?.afterDownload, rule.afterDownload, downloadedMs && Math.max(downloadedMs, endedMs))
      );
    }),
  );
}

/** The last that was answered before `fromMs`, and all that began until `toMs`. */
function inForce<T extends Said>(said: readonly T[], fromMs: number, toMs: number): T[] {
  const last = said.findLastIndex(({ answeredMs }) => answeredMs !== null && answeredMs < fromMs);
  return said.filter(({ begunMs }, i) => i >= last && begunMs <= toMs);
}

/** When the task's own values last became others, up to these. Those that are set again change nothing. */
function changedAt(changes: RetentionLog["own"], own: RetentionLog["own"][number] | null): number {
  const until = own === null ? [] : changes.slice(0, changes.indexOf(own) + 1);
  const last = until.findLastIndex(({ days, afterDownload }, i) => {
    const was = until[i - 1];
    return days !== (was?.days ?? null) || afterDownload !== (was?.afterDownload ?? null);
  });
  return last < 0 ? -DAY_MS : until[last]!.begunMs;
}

/** When the farm's rule was last made stricter, up to this rule. */
function strictSince(rules: RetentionLog["rules"], rule: RetentionLog["rules"][number]): number {
  const length = (days: Days): number => (days === "forever" ? Infinity : days);
  const until = rules.slice(0, rules.indexOf(rule) + 1);
  const last = until.findLastIndex(({ days, afterDownload }, i) => {
    const was = until[i - 1];
    return was && (length(days) < length(was.days) || length(afterDownload) < length(was.afterDownload));
  });
  return last < 0 ? 0 : until[last]!.begunMs;
}

/** The earliest download that is of the files as they were when the task was deleted. */
function downloadOf(log: RetentionLog, task: number, before: readonly HistoryEvent[], atMs: number): number | null {
  const changedMs = Math.max(
    0,
    ...before.filter(({ kind }) => kind === "done" || kind === "requeued").map(({ at_ms }) => at_ms),
  );
  // A call that is under way at the last change may have read the version after it.
  const good = log.downloads.filter(
    (one) => one.task === task && (one.answeredMs ?? Infinity) >= changedMs && one.begunMs <= atMs,
  );
  return good.length === 0 ? null : Math.min(...good.map(({ begunMs }) => begunMs));
}
