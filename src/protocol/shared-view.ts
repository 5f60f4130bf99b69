/**
 * What others than people see of a task. Pure.
 *
 * The holder of a share link sees its progress and its pictures. Left out are settings, warnings and error
 * texts, because they name files and paths of the task's makers, the owner, who is a person, the
 * submitter's own id, and what is wrong with the manager. A worker does not see the hashes of inputs.
 */
import type { Frame, Task } from "./task.ts";

/**
 * The task without its settings, owner, newest error, warnings, the submitter's own id, failures of D1, and what
 * its makers have said of its retention. When it is deleted is shown.
 */
export function sharedTask(task: Task): Task {
  const {
    history_failure: _failure,
    retention_days: _days,
    retention_after_download_days: _afterDownload,
    retention_set_ms: _set,
    downloaded_ms: _downloaded,
    warnings: _warnings,
    ...shown
  } = task;
  return { ...shown, settings: {}, owner: "", error: null, task_id: null };
}

/** The frame without the texts of its error and its warnings. */
export function sharedFrame({ warnings: _warnings, ...frame }: Frame): Frame {
  return { ...frame, error: null };
}

/**
 * The task as a worker sees it: with its settings, but without the hashes of its inputs. A lease has
 * those that its worker needs.
 */
export function workerTask(task: Task): Task {
  return { ...task, settings: withoutHashes(task.settings) as Task["settings"] };
}

/** The value without the `sha256` of each input in it: of each object that has a path, too. */
function withoutHashes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutHashes);
  if (typeof value !== "object" || value === null) return value;
  const isInput = "path" in value && "sha256" in value;
  const shown = Object.entries(value).filter(([name]) => !isInput || name !== "sha256");
  return Object.fromEntries(shown.map(([name, inner]) => [name, withoutHashes(inner)]));
}
