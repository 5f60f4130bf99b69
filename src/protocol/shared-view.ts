/**
 * What the holder of a share link sees of a task: its progress and its pictures. Left out are
 * settings and error texts, because they name files and paths of the task's makers, the owner, who
 * is a person, the submitter's own id, and what is wrong with the manager. Pure.
 */
import type { Frame, Task } from "./task.ts";

/**
 * The task without its settings, owner, newest error, the submitter's own id, failures of D1, and what
 * its makers have said of its retention. When it is deleted is shown.
 */
export function sharedTask(task: Task): Task {
  const {
    history_failure: _failure,
    retention_days: _days,
    retention_after_download_days: _afterDownload,
    retention_set_ms: _set,
    downloaded_ms: _downloaded,
    ...shown
  } = task;
  return { ...shown, settings: {}, owner: "", error: null, task_id: null };
}

/** The frame without its error text. */
export function sharedFrame(frame: Frame): Frame {
  return { ...frame, error: null };
}
