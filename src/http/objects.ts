/** Calls to the farm's objects, as handlers make them: on a fresh stub each time, retried where the platform says so. */
import { registryOf, taskOf, type Env } from "../platform/env.ts";
import { withRetry } from "../platform/retry.ts";
import type { RegistryRpc } from "../registry/rpc.ts";
import type { TaskRpc } from "../task/rpc.ts";

/**
 * The RPC types of the platform turn `unknown` inside a settings record into `never`; the interfaces of `rpc.ts` are what
 * both sides implement, so calls go through them.
 */
function asTask(stub: unknown): TaskRpc {
  return stub as TaskRpc;
}

function asRegistry(stub: unknown): RegistryRpc {
  return stub as RegistryRpc;
}

/** Call a task's object. Every method of `TaskRpc` may run twice: verbs are keyed or fenced, the rest are idempotent. */
export async function callTask<T>(env: Env, id: number, call: (task: TaskRpc) => Promise<T>): Promise<T> {
  return await withRetry(() => call(asTask(taskOf(env, id))));
}

/** Call the registry with a method that may run twice. */
export async function callRegistry<T>(env: Env, call: (registry: RegistryRpc) => Promise<T>): Promise<T> {
  return await withRetry(() => call(asRegistry(registryOf(env))));
}

/** Call the registry with a method that makes something new each time (a token, a worker): the client decides on a second try. */
export async function callRegistryOnce<T>(env: Env, call: (registry: RegistryRpc) => Promise<T>): Promise<T> {
  return await call(asRegistry(registryOf(env)));
}
