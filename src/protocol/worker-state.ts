/** What a worker's fields say together, in the words of the page and the command line. Pure. */
import type { Worker } from "./worker.ts";

/**
 * Whether a worker that drains has nothing left to finish: it holds no lease and takes none, so the
 * machine can be switched off without a frame being lost.
 */
export function isDrained({
  draining,
  status,
  current_task,
}: Pick<Worker, "draining" | "status" | "current_task">): boolean {
  return draining && status !== "rendering" && current_task === null;
}
