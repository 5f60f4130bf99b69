/** Bindings and secrets of the manager, as `wrangler.toml` declares them. */
import type { TaskDO } from "../task/task-do.ts";
import type { WorkerRegistry } from "../registry/worker-registry.ts";

export interface Env {
  TASK: DurableObjectNamespace<TaskDO>;
  REGISTRY: DurableObjectNamespace<WorkerRegistry>;
  HISTORY: D1Database;
  FILES: R2Bucket;
  /** The page's files; tests of the Worker alone have none. */
  ASSETS?: Fetcher;
  /** The first admin token. Unset: the manager serves nothing but /healthz. */
  TABLAO_ADMIN_TOKEN?: string;
  /** Key of access tokens, grants and receipts (HMAC-SHA-256). Unset: derived from the admin token. */
  TABLAO_SIGNING_KEY?: string;
}

/** The registry is one object for the whole farm. */
export const REGISTRY_NAME = "registry";

/** A fresh stub: a stub that saw an error stays broken, so nobody keeps one across calls. */
export function registryOf(env: Env): DurableObjectStub<WorkerRegistry> {
  return env.REGISTRY.getByName(REGISTRY_NAME);
}

/** The object of a task, addressed by the task's id. */
export function taskOf(env: Env, id: number): DurableObjectStub<TaskDO> {
  return env.TASK.getByName(String(id));
}
