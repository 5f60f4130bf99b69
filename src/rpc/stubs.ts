/**
 * Stubs of the farm's Durable Objects, and calls through them. A stub that saw an error stays
 * broken, so each try of a call makes a stub of its own.
 */
import { isMissingMethod, withRetry } from "../lib/retry.ts";
import type { Env } from "./env.ts";
import { placement } from "./location.ts";
import type { RegistryRpc } from "./registry.ts";
import type { TaskRpc } from "./task.ts";

/** The registry is one object for the whole farm. */
export const REGISTRY_NAME = "registry";

/**
 * The types of stubs. The platform's own RPC types turn `unknown` inside a settings record into
 * `never`, so calls are typed by the interfaces of this folder, which the objects implement.
 */
export type RegistryStub = DurableObjectStub & RegistryRpc;
export type TaskStub = DurableObjectStub & TaskRpc;

/** A fresh stub of the registry. */
export function registryStub(env: Pick<Env, "REGISTRY" | "TABLAO_LOCATION">): RegistryStub {
  return env.REGISTRY.getByName(REGISTRY_NAME, placement(env)) as RegistryStub;
}

/** A fresh stub of a task's object, which is addressed by the task's id. */
export function taskStub(env: Pick<Env, "TASK" | "TABLAO_LOCATION">, id: number): TaskStub {
  return env.TASK.getByName(String(id), placement(env)) as TaskStub;
}

/**
 * Call a task's object, with retries. Every method of `TaskRpc` may run twice: verbs are keyed or
 * fenced, the rest idempotent.
 */
export async function callTask<T>(env: Env, id: number, call: (task: TaskRpc) => Promise<T>): Promise<T> {
  return await withRetry(() => call(taskStub(env, id)));
}

/** Call a method of the registry that may run twice, with retries. */
export async function callRegistry<T>(env: Env, call: (registry: RegistryRpc) => Promise<T>): Promise<T> {
  return await withRetry(() => call(registryStub(env)));
}

/**
 * Call a method of the registry that creates something each time (a token, a worker). It is called
 * again only where the object did not have the method; after any other error the client decides.
 */
export async function callRegistryOnce<T>(env: Env, call: (registry: RegistryRpc) => Promise<T>): Promise<T> {
  return await withRetry(() => call(registryStub(env)), { mayRetry: isMissingMethod });
}
