/** From a submission to a task: compile it, check what it refers to, reserve its id, create its object. */
import { compileSubmission, needsOf, presetNameOf } from "../compilers/index.ts";
import type { Description } from "../compilers/compiler.ts";
import type { Env } from "../platform/env.ts";
import { err, ok, type Result } from "../platform/result.ts";
import { sha256Hex } from "../platform/signing.ts";
import { formatFrameList } from "../protocol/frame-list.ts";
import type { Input } from "../protocol/plan.ts";
import type { FieldError, Refusal } from "../protocol/problem.ts";
import { DEFAULT_LEASE_MS, type Dependency, type Task, type TaskSubmit } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";
import type { TaskDefinition } from "../task/rpc.ts";
import { callRegistry, callTask } from "./objects.ts";
import { ownerOf } from "./ownership.ts";
import { invalidFields } from "./problems.ts";

/** Name of the setting that holds the lease of tasks that ask for none, in seconds. */
const LEASE_SETTING = "lease_s";
/** The platform lets one request keep six connections open; more would only queue. */
const LOOK_UPS = 6;

/**
 * Submit a task. Whatever can be wrong is found before anything is written: a refusal leaves nothing behind. A new task can
 * depend on existing tasks only, and a task's dependencies never change, so cycles cannot arise.
 */
export async function submitTask(env: Env, submit: TaskSubmit, key: string | null, caller: Principal): Promise<Result<Task, Refusal>> {
  const presetName = presetNameOf(submit);
  const [preset, lease] = await Promise.all([
    presetName === null ? null : callRegistry(env, (registry) => registry.getSetting(presetName)),
    submit.lease_s === undefined ? callRegistry(env, (registry) => registry.getSetting(LEASE_SETTING)) : undefined,
  ]);
  const compiled = compileSubmission(submit, preset?.ok && isRecord(preset.value) ? preset.value : null);
  if (!compiled.ok) return compiled;
  const { description } = compiled.value;
  const dependsOn = withInputTask(submit.depends_on, description.inputTask);
  const missing = [...(await missingTasks(env, submit, description)), ...(await missingAssets(env, description.inputs))];
  if (missing.length > 0) return err(invalidFields(missing));
  const owner = ownerOf(caller);
  const reserved = await callRegistry(env, async (registry) =>
    registry.reserveTask({ owner, task_id: submit.task_id ?? null, idempotency_key: key, body_sha256: await sha256Hex(JSON.stringify(submit)) }),
  );
  if (!reserved.ok) return reserved;
  const { id, existing } = reserved.value;
  if (existing) {
    const task = await callTask(env, id, (object) => object.view());
    // A submission that broke off between its reservation and its object is finished now.
    if (task.ok || task.error.code !== "not_found") return task;
  }
  const leaseS = submit.lease_s ?? (lease?.ok && typeof lease.value === "number" ? lease.value : undefined);
  const definition: TaskDefinition = {
    id,
    type: compiled.value.type,
    parser: compiled.value.parser,
    settings: compiled.value.settings,
    frame_list: formatFrameList(description.frames),
    format: description.format,
    needs: needsOf(compiled.value, submit.tags),
    inputs: description.inputs,
    input_task: description.inputTask,
    files_per_frame: description.filesPerFrame,
    priority: submit.priority,
    name: submit.name ?? "",
    owner,
    task_id: submit.task_id ?? null,
    chunk: submit.chunk,
    order: submit.order,
    depends_on: dependsOn,
    lease_ms: leaseS === undefined ? DEFAULT_LEASE_MS : leaseS * 1_000,
    tries: submit.tries,
    paused: submit.paused,
  };
  return await callTask(env, id, (object) => object.create(definition, caller));
}

/** Each task once; waiting for all of it includes waiting for its frames. A task whose files are the input is waited for whole. */
export function withInputTask(dependsOn: readonly Dependency[], inputTask: number | null): Dependency[] {
  const byTask = new Map<number, Dependency>();
  for (const dependency of dependsOn) {
    if (byTask.get(dependency.task)?.frames !== "all") byTask.set(dependency.task, dependency);
  }
  if (inputTask !== null) byTask.set(inputTask, { task: inputTask, frames: "all" });
  return [...byTask.values()];
}

async function missingTasks(env: Env, submit: TaskSubmit, description: Description): Promise<FieldError[]> {
  const wanted = submit.depends_on.map(({ task }, index) => ({ task, field: `depends_on.${index}` }));
  if (description.inputTask !== null) wanted.push({ task: description.inputTask, field: "settings.task" });
  const found = await mapBounded(wanted, async ({ task }) => await callTask(env, task, (object) => object.view()));
  return wanted.flatMap(({ task, field }, index) => (found[index]?.ok ? [] : [{ field, message: `task ${task} does not exist` }]));
}

async function missingAssets(env: Env, inputs: readonly Input[]): Promise<FieldError[]> {
  const bySha = new Map(inputs.map((input) => [input.sha256, input]));
  const hashes = [...bySha.keys()];
  const heads = await mapBounded(hashes, async (sha256) => await env.FILES.head(`assets/${sha256}`));
  const sizes = new Map(hashes.map((sha256, index) => [sha256, heads[index]?.size]));
  return inputs.flatMap((input, index): FieldError[] => {
    const size = sizes.get(input.sha256);
    const field = `settings.assets.${index}`;
    if (size === undefined) return [{ field, message: `asset ${input.sha256} of '${input.path}' has not been uploaded` }];
    return size === input.size ? [] : [{ field, message: `asset ${input.sha256} has ${size} bytes, not ${input.size}` }];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Map with at most LOOK_UPS calls under way; results in the order of the items. */
async function mapBounded<T, R>(items: readonly T[], map: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await map(items[index]!);
  };
  await Promise.all(Array.from({ length: Math.min(LOOK_UPS, items.length) }, lane));
  return results;
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/** The `Idempotency-Key` header: 1 to 255 visible characters, or null when it is not sent. */
export function idempotencyKey(request: Request): Result<string | null, Refusal> {
  const key = request.headers.get("Idempotency-Key");
  if (key === null || KEY.test(key)) return ok(key);
  return err({ code: "invalid_request", detail: "Idempotency-Key must be 1 to 255 visible ASCII characters." });
}
