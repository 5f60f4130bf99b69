/** Commands that answers of the manager name, for whoever can mend what they say. Pure. */
import type { Task } from "./task.ts";

/** How a dependency on a deleted task is dropped. */
export function dropHint(task: number, deleted: number): string {
  return `drop the dependency with \`tablao drop-dependency ${task} ${deleted}\``;
}

/** How a task that is out of date is made again. `frames`: only these; undefined: all of it. */
export function againHint(task: number, frames: Task["outdated_frames"]): string {
  const which = frames === undefined ? "--all" : `--frames ${frames}`;
  return `make it again with \`tablao requeue ${task} ${which}\``;
}
