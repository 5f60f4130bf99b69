/** The warnings of a task, as the command line shows them. Pure. */
import type { Task } from "../protocol/task.ts";
import { count } from "./text.ts";

/** Each warning in a line, with the frames that have it: `2 frames, first 7: Image file … does not exist`. */
export function warningLines({ warnings = [] }: Pick<Task, "warnings">): string[] {
  return warnings.map(({ text, frames, first_frame }) => {
    const first = first_frame === null ? "" : frames === 1 ? ` (${first_frame})` : `, first ${first_frame}`;
    return `${count(frames, "frame")}${first}: ${text}`;
  });
}
