/**
 * Retention: when a task that has ended is deleted by a rule (decision 022). The registry, the task's
 * object and the page decide by these functions. Pure; time is an argument. No schema library here,
 * because the page loads this file.
 */
import { isEnded, type TaskStatus } from "./constants.ts";

/** The value that keeps for ever. It is stored and sent. */
export const FOREVER = "forever";
/** For how many days something is kept. */
export type RetentionDays = number | typeof FOREVER;

/** The most days of a rule: a hundred years. A limit of our own, the same as that of `history_days`. */
export const MAX_RETENTION_DAYS = 36_500;
/** The rule that a value of days breaks; for people. */
export const RETENTION_RULE = `must be a whole number of days from 1 to ${MAX_RETENTION_DAYS}, or "${FOREVER}"`;

const DAY_MS = 86_400_000;
/**
 * Nothing is deleted within this time after a rule was set, shortened, or began to count for the
 * task. Without it, a mistyped `1` would delete a farm in the next night.
 */
export const NOTICE_MS = DAY_MS;

/** The rule of the farm: two of its settings, and when the rule was last set or shortened. */
export interface FarmRetention {
  retention_days: RetentionDays;
  retention_after_download_days: RetentionDays;
  from_ms: number | null;
}

/** The names of the rule's settings, which are those of a task's own fields. */
export const RETENTION_SETTINGS = ["retention_days", "retention_after_download_days"] as const;

/** The rule of a farm that has none. */
export const KEEP_ALL: FarmRetention = {
  retention_days: FOREVER,
  retention_after_download_days: FOREVER,
  from_ms: null,
};

/** What the rules need of a task. Fields are absent in what earlier releases stored. */
export interface Retained {
  status: TaskStatus;
  updated_ms: number;
  ended_ms?: number | null | undefined;
  downloaded_ms?: number | null | undefined;
  retention_days?: RetentionDays | null | undefined;
  retention_after_download_days?: RetentionDays | null | undefined;
  retention_set_ms?: number | null | undefined;
}

/** When and by which rule a task is deleted. */
export interface Expiry {
  at_ms: number;
  /** Whose rule it is. */
  by: "task" | "farm";
  days: number;
  after: "end" | "download";
}

/** Whether a value is a number of days or `forever`. */
export function isRetentionDays(value: unknown): value is RetentionDays {
  return (
    value === FOREVER || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_RETENTION_DAYS)
  );
}

/**
 * The value that a person has typed: a number of days, `forever`, or null for nothing; undefined where
 * it is none of these.
 */
export function daysOfText(text: string): RetentionDays | null | undefined {
  const typed = text.trim();
  if (typed === "") return null;
  const days = /^\d{1,6}$/.test(typed) ? Number(typed) : typed.toLowerCase();
  return isRetentionDays(days) ? days : undefined;
}

/**
 * When the task became completed, failed or canceled; null when it has not ended. Tasks that ended
 * under an earlier release did not store it: for those it is their last change.
 */
export function endOf(task: Retained): number | null {
  return isEnded(task.status) ? (task.ended_ms ?? task.updated_ms) : null;
}

/**
 * When a rule deletes the task at the earliest; null when none does.
 *
 * - A task's own value counts before the farm's of the same name. Own `retention_days: "forever"` keeps
 *   the task from both rules of the farm; only an own `retention_after_download_days` still counts.
 * - `retention_days` counts from the end, `retention_after_download_days` from the download, or from
 *   the end where that is later. The earlier of the two counts.
 * - Nothing expires before a day has passed since the rule was set (`NOTICE_MS`).
 */
export function expiryOf(task: Retained, farm: FarmRetention): Expiry | null {
  const endedMs = endOf(task);
  if (endedMs === null) return null;
  const keepsItself = task.retention_days === FOREVER;
  const downloadedMs = task.downloaded_ms ?? null;
  const found: Expiry[] = [];
  const add = (name: (typeof RETENTION_SETTINGS)[number], fromMs: number, after: Expiry["after"]): void => {
    const own = task[name] ?? null;
    const days = own ?? (keepsItself ? FOREVER : farm[name]);
    if (!isRetentionDays(days) || days === FOREVER) return;
    const setMs = Math.max(task.retention_set_ms ?? 0, own === null ? (farm.from_ms ?? 0) : 0);
    found.push({
      at_ms: Math.max(fromMs + days * DAY_MS, setMs + NOTICE_MS),
      by: own === null ? "farm" : "task",
      days,
      after,
    });
  };
  add("retention_days", endedMs, "end");
  if (downloadedMs !== null) add("retention_after_download_days", Math.max(downloadedMs, endedMs), "download");
  return found.reduce<Expiry | null>((first, one) => (first && first.at_ms <= one.at_ms ? first : one), null);
}

/** The task with the fields that say when and by whose rule it is deleted, when it has ended. */
export function withExpiry<T extends Retained>(
  task: T,
  farm: FarmRetention,
): T & { expires_ms?: number | null; expires_by?: Expiry["by"] | null } {
  if (!isEnded(task.status)) return task;
  const expiry = expiryOf(task, farm);
  return { ...task, expires_ms: expiry?.at_ms ?? null, expires_by: expiry?.by ?? null };
}

/** Whether a change of the farm's rule lets anything go earlier than before. */
export function isStricter(before: FarmRetention, after: FarmRetention): boolean {
  return RETENTION_SETTINGS.some((name) => lengthOf(after[name]) < lengthOf(before[name]));
}

function lengthOf(days: RetentionDays): number {
  return days === FOREVER ? Infinity : days;
}

/** What must hold so that a task that has ended is removed. */
export interface RemovalTerms {
  /** The farm's rule: the task must have expired. Null: a person asks. */
  farm: FarmRetention | null;
  /** It must have ended before this instant; null: whenever it ended. */
  ended_before_ms: number | null;
  /** So long ago it must have ended; null: however short. The clock is that of whoever decides. */
  ended_for_ms: number | null;
  /** Its files must have been downloaded. */
  downloaded: boolean;
}

/**
 * Why a task is not removed on these terms, as a phrase after its name ("has not ended"); null when
 * it may be. `users`: the tasks that depend on it or read its files, and have not ended.
 */
export function whyKept(
  task: Retained & { leases: number },
  terms: RemovalTerms,
  users: readonly number[],
  nowMs: number,
): string | null {
  const endedMs = endOf(task);
  if (endedMs === null || task.leases > 0) return `has not ended: it is ${task.status}`;
  if (terms.farm !== null && !((expiryOf(task, terms.farm)?.at_ms ?? Infinity) <= nowMs)) return "has not expired";
  if (terms.ended_before_ms !== null && endedMs >= terms.ended_before_ms)
    return `has ended later: ${new Date(endedMs).toISOString()}`;
  if (terms.ended_for_ms !== null && nowMs - endedMs < terms.ended_for_ms)
    return `has not ended long enough ago: ${new Date(endedMs).toISOString()}`;
  if (terms.downloaded && (task.downloaded_ms ?? null) === null) return "has not been downloaded as it is now";
  if (users.length > 0) return `is used by task ${users.join(", ")}`;
  return null;
}
