/** What the command line says of a task's retention. Pure. */
import { isEnded } from "../protocol/constants.ts";
import type { Task } from "../protocol/task.ts";
import { FOREVER, type RetentionDays } from "../protocol/retention.ts";
import { count, instant } from "./text.ts";

/** Lines for people, each with its key; none when nothing deletes the task and nobody said anything. */
export function retentionLines(task: Task): [key: string, text: string][] {
  const lines: [string, string][] = [];
  const { downloaded_ms: downloaded, expires_ms: expires, expires_by: by } = task;
  if (downloaded != null) lines.push(["downloaded", `${instant(downloaded)} UTC`]);
  const own = [
    ownText(task.retention_days, "its age", "its end"),
    ownText(task.retention_after_download_days, "the download", "the download"),
  ].filter((text) => text !== null);
  if (own.length > 0) lines.push(["retention", own.join(", ")]);
  if (expires != null)
    lines.push(["deleted", `after ${instant(expires)} UTC, by ${by === "task" ? "its own" : "the farm's"} rule`]);
  return lines;
}

/** The same in one line, for a person who has just changed it. The farm's rules are not known here. */
export function retentionText(task: Task): string {
  const told = retentionLines(task).map(([key, text]) => `${key} ${text}`);
  if (isEnded(task.status) && task.expires_ms == null) told.push("no rule deletes it at present");
  return told.join("; ") || "no rule of its own; the farm's rules count when it has ended";
}

function ownText(days: RetentionDays | null | undefined, reason: string, after: string): string | null {
  if (days == null) return null;
  return days === FOREVER ? `not deleted for ${reason}` : `deleted ${count(days, "day")} after ${after}`;
}
