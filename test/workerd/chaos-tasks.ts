/**
 * Tasks for the tests of failures: submitted to their objects directly, and inspected through their
 * rows.
 */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { vi } from "vitest";
import { outputKey } from "../../src/files/keys.ts";
import type { Result } from "../../src/lib/result.ts";
import { taskStub } from "../../src/rpc/stubs.ts";
import { framesOf, parseFrameList } from "../../src/protocol/frame-list.ts";
import type { HistoryEvent } from "../../src/protocol/history.ts";
import type { Refusal } from "../../src/protocol/problem.ts";
import type { Task } from "../../src/protocol/task.ts";
import type { UnsignedClaimed, UnsignedLease, VerifiedFrame, TaskDefinition, TaskRpc } from "../../src/rpc/task.ts";
import { definitionOf } from "../support/definition.ts";
import { ring as ringAlarm } from "./alarms.ts";

export const admin = { role: "admin", id: 0, name: "admin" } as const;
const SHA = "cd".repeat(32);
let nextId = 50_000;
let nextKey = 0;

export const stubOf = (id: number) => taskStub(env, id);
export const object = (id: number): TaskRpc => taskStub(env, id) as unknown as TaskRpc;

/** A new task; of `demo_render` unless `over` says otherwise. Leases last five seconds. */
export async function submit(frames: string, over: Partial<TaskDefinition> = {}): Promise<number> {
  const id = nextId++;
  const settings = over.type === "print_string" ? { frames, text: "x" } : { frames };
  const definition = definitionOf(over.type ?? "demo_render", settings, { id, lease_ms: 5_000, ...over });
  const created = await object(id).create(definition, admin);
  if (!created.ok) throw new Error(created.error.detail);
  return id;
}

export const claimBody = () => ({
  key: `chaos-${String(nextKey++).padStart(8, "0")}`,
  platform: "linux" as const,
  epoch: 0,
});

export async function claim(id: number, worker: number): Promise<UnsignedClaimed> {
  const claimed = await object(id).claim({ id: worker }, claimBody());
  if (!claimed.ok) throw new Error(claimed.error.detail);
  return claimed.value;
}

export async function lease(id: number, worker: number): Promise<UnsignedLease> {
  const claimed = await claim(id, worker);
  if (!claimed.lease) throw new Error(`no lease: ${claimed.reason}`);
  return claimed.lease;
}

/** Upload the frames of a lease; returns the receipts for it. */
export async function rendered(given: UnsignedLease): Promise<VerifiedFrame[]> {
  const list = parseFrameList(given.frames);
  const done: VerifiedFrame[] = [];
  for (const frame of list.ok ? framesOf(list.value) : []) {
    const name = given.plan.outputs.find((output) => output.frame === frame)?.name;
    if (name) await env.FILES.put(outputKey(given.task_id, given.attempt, name), `attempt ${given.attempt}`);
    const claims = { task: given.task_id, attempt: given.attempt, name: name ?? "", size: 9, sha256: SHA };
    done.push({ frame, seconds: 1, receipts: name ? [claims] : [] });
  }
  return done;
}

export async function complete(given: UnsignedLease, worker: number, done?: VerifiedFrame[]) {
  const body = { attempt: given.attempt, done: done ?? (await rendered(given)), next: null };
  return await object(given.task_id).complete({ id: worker }, given.lease_id, body);
}

export async function view(id: number): Promise<Task> {
  const task = await object(id).view();
  if (!task.ok) throw new Error(task.error.detail);
  return task.value;
}

/** Have these frames rendered again, finished ones included, by somebody who has seen the files of now. */
export async function requeue(id: number, frames: string): Promise<Result<null, Refusal>> {
  const { files_version } = await view(id);
  return await object(id).patch({ status: "requeue", frames, files_version }, admin, null);
}

/** Move the manager's clock forward by this much. */
export function later(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

export async function ring(id: number): Promise<void> {
  await ringAlarm(stubOf(id));
}

export async function alarmOf(id: number): Promise<number | null> {
  return await runInDurableObject(stubOf(id), (_, state) => state.storage.getAlarm());
}

/** The events that D1 has of a task, in order. */
export async function history(id: number): Promise<HistoryEvent[]> {
  const rows = await env.HISTORY.prepare("SELECT events FROM history WHERE task_id = ? ORDER BY seq")
    .bind(id)
    .all<{ events: string }>();
  return rows.results.flatMap((row) => JSON.parse(row.events) as HistoryEvent[]).toSorted((a, b) => a.seq - b.seq);
}

/** Keys of a task's stored objects. */
export async function files(id: number): Promise<string[]> {
  return (await env.FILES.list({ prefix: `tasks/${id}/` })).objects.map((object) => object.key);
}
