/** Who owns a task, who may change it, and which worker has a lease of it. */
import { ok, type Result } from "../lib/result.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { Principal } from "../protocol/token.ts";
import type { Env } from "../rpc/env.ts";
import { callTask } from "../rpc/stubs.ts";

/**
 * A task's owner: `admin` for every admin, `name#id` for an artist. Two tokens may have the same
 * name, but ids are never reused, so the pair is unambiguous. The text after the last `#` is always
 * the id.
 */
export function ownerOf(principal: Principal): string {
  return principal.role === "admin" ? "admin" : `${principal.name}#${principal.id}`;
}

/**
 * Ok when this caller may change this task: its owner, or an admin. A task's owner never changes,
 * so the answer is still right when the change is made.
 */
export async function mayChange(env: Env, taskId: number, principal: Principal): Promise<Result<null, Refusal>> {
  if (principal.role === "admin") return ok(null);
  const task = await callTask(env, taskId, (object) => object.view());
  if (!task.ok) return task;
  if (principal.role === "artist" && task.value.owner === ownerOf(principal)) return ok(null);
  return refuse("forbidden", "This task belongs to somebody else.");
}

/**
 * The attempt of a live lease that this worker has of this task: the newest, or the one that
 * `attempt` names. A worker's token acts on its own leases only (P9). Refusal: `lease_lost` when
 * there is none.
 */
export async function liveAttempt(
  env: Env,
  taskId: number,
  workerId: number,
  attempt?: number,
): Promise<Result<number, Refusal>> {
  const task = await callTask(env, taskId, (object) => object.view());
  if (!task.ok) return task;
  const mine = task.value.leases.filter(
    (lease) => lease.worker_id === workerId && (attempt === undefined || lease.attempt === attempt),
  );
  const newest = mine.reduce((best, lease) => Math.max(best, lease.attempt), 0);
  return newest > 0 ? ok(newest) : refuse("lease_lost", "This worker has no such live lease of this task.");
}
