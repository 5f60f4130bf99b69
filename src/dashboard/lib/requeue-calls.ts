/** The calls by which the page has frames of a task rendered again. */
import type { RequeueCalls } from "../../protocol/named-requeue.ts";
import type { Frame, Task } from "../../protocol/task.ts";
import { call, get, withQuery } from "./api.ts";
import { ApiError } from "./problem.ts";

export function requeueCalls(id: number): RequeueCalls {
  const at = `/tasks/${id}`;
  return {
    task: async () => await get<Task>(at),
    frames: async (query) => await get<{ frames: Frame[]; cursor: string | null }>(withQuery(`${at}/frames`, query)),
    patch: async (body) => await call("PATCH", at, { body }),
    isStale: (thrown) =>
      thrown instanceof ApiError &&
      thrown.code === "conflict" &&
      thrown.errors.some(({ field }) => field === "files_version"),
  };
}
