/**
 * What the holder of a share link sees of a task: how it goes, and its pictures. Settings and error texts name files and paths of
 * the people who made it, and owners are people: these stay out. Pure.
 */
import type { Frame, Task } from "./task.ts";

export function sharedTask(task: Task): Task {
  return { ...task, settings: {}, owner: "", error: null, task_id: null };
}

export function sharedFrame(frame: Frame): Frame {
  return { ...frame, error: null };
}
