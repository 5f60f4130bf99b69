/**
 * What the holder of a share link sees of a task: its progress and its pictures. Left out are
 * settings and error texts, because they name files and paths of the task's makers, the owner, who
 * is a person, and the submitter's own id. Pure.
 */
import type { Frame, Task } from "./task.ts";

/** The task without its settings, owner, newest error and the submitter's own id. */
export function sharedTask(task: Task): Task {
  return { ...task, settings: {}, owner: "", error: null, task_id: null };
}

/** The frame without its error text. */
export function sharedFrame(frame: Frame): Frame {
  return { ...frame, error: null };
}
