/** `tablao requeue --frames` and `--all`: frames are rendered again by name, finished ones after a question. */
import { z } from "zod";
import { ManagerError } from "../../client/manager-answer.ts";
import type { ManagerClient } from "../../client/manager-client.ts";
import { FinishedMeanwhile, NamedRequeue } from "../../protocol/named-requeue.ts";
import { framesPageSchema, taskSchema } from "../../protocol/task.ts";
import { queryString } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { count } from "../text.ts";

/**
 * Have these frames of a task rendered again: a frame list, or `all`. `confirms` is asked before
 * finished ones are taken. False when it said no, and nothing was changed. Throws `ManagerError`, and
 * `CliError` when frames were finished while it was asked.
 */
export async function requeueNamed(
  client: ManagerClient,
  id: number,
  frames: string,
  confirms: (question: string) => Promise<boolean>,
): Promise<boolean> {
  const at = `/tasks/${id}`;
  const calls = {
    task: async () => await client.call(taskSchema, "GET", at),
    frames: async (query: Record<string, string | number>) =>
      await client.call(framesPageSchema, "GET", `${at}/frames${queryString(query)}`),
    patch: async (json: object) => await client.call(z.null(), "PATCH", at, { json }),
    isStale,
  };
  const requeue = await NamedRequeue.read(calls, [frames]);
  if (requeue.finished > 0) {
    const files = requeue.makesFiles ? " Their files are deleted." : "";
    const question = `Render ${count(requeue.finished, "finished frame")} of task ${id} again?${files} [y/N] `;
    if (!(await confirms(question))) return false;
  }
  try {
    await requeue.send();
  } catch (thrown) {
    if (!(thrown instanceof FinishedMeanwhile)) throw thrown;
    const message = `frames of task ${id} were finished meanwhile, and nothing was changed`;
    throw new CliError(EXIT.refused, message, "Look at them, and ask again.");
  }
  return true;
}

function isStale(thrown: unknown): boolean {
  return (
    thrown instanceof ManagerError &&
    thrown.code === "conflict" &&
    thrown.errors.some(({ field }) => field === "files_version")
  );
}
