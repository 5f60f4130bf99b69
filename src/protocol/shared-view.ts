/**
 * What the holder of a share link sees of a task: its progress and its pictures. Left out: settings
 * and error texts, because they name files and paths of its makers, and the owner, who is a person.
 * Pure.
 */
import type { Frame, Task } from "./task.ts";

export function sharedTask(task: Task): Task {
  return { ...task, settings: {}, owner: "", error: null, task_id: null };
}

export function sharedFrame(frame: Frame): Frame {
  return { ...frame, error: null };
}
