/**
 * From a submission to a task: compile it, check what it refers to, reserve its id, create its
 * object.
 */
import { compileResolved, needsOf, resolveSubmission, type Compiled, type Submission } from "../compilers/index.ts";
import type { InputSizes } from "../files/input-index.ts";
import { sizesOfInputs } from "../files/stored-inputs.ts";
import type { Env } from "../rpc/env.ts";
import { mapConcurrent } from "../lib/concurrency.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { sha256Hex } from "../platform/secrets.ts";
import { formatFrameList } from "../protocol/frame-list.ts";
import type { Input } from "../protocol/plan.ts";
import type { FieldError, Refusal } from "../protocol/problem.ts";
import { DEFAULT_LEASE_MS, type Dependency, type Task, type TaskSubmit } from "../protocol/task.ts";
import type { Principal } from "../protocol/token.ts";
import type { CompiledDefinition, TaskDefinition } from "../rpc/task.ts";
import { callRegistry, callTask } from "../rpc/stubs.ts";
import { ownerOf } from "./ownership.ts";
import { invalidFields } from "../platform/problem-response.ts";

/** Name of the setting that holds the lease of tasks that ask for none, in seconds. */
const LEASE_SETTING = "lease_s";
/**
 * Tasks that are looked up at a time. The platform lets one request keep six connections open; more
 * look-ups would only wait for each other.
 */
const LOOK_UPS = 6;

/**
 * Submit a task. All checks run before anything is written, so a refusal leaves nothing behind. A
 * new task can depend on existing tasks only, and a task's dependencies never change, so cycles
 * cannot arise.
 */
export async function submitTask(
  env: Env,
  submit: TaskSubmit,
  key: string | null,
  caller: Principal,
): Promise<Result<Task, Refusal>> {
  const [compiled, missing, leaseMs] = await Promise.all([
    compileFor(env, submit),
    missingTasks(env, submit.depends_on),
    submit.lease_s === undefined ? defaultLeaseMs(env) : submit.lease_s * 1_000,
  ]);
  if (!compiled.ok) return compiled;
  if (missing.length > 0) return err(invalidFields(missing));
  const parts = definitionOf(compiled.value, submit.tags);
  const owner = ownerOf(caller);
  const submission = {
    owner,
    task_id: submit.task_id ?? null,
    idempotency_key: key,
    body_sha256: await sha256Hex(JSON.stringify(submit)),
  };
  const reserved = await callRegistry(env, (registry) => registry.reserveTask(submission));
  if (!reserved.ok) return reserved;
  const { id, existing } = reserved.value;
  if (existing) {
    const task = await callTask(env, id, (object) => object.view());
    // The id is reserved but the object has no task: an earlier request broke off in between. It is
    // finished below.
    if (task.ok || task.error.code !== "not_found") return task;
  }
  const definition: TaskDefinition = {
    ...parts,
    id,
    type: compiled.value.type,
    parser: compiled.value.parser,
    priority: submit.priority,
    name: submit.name ?? "",
    owner,
    task_id: submit.task_id ?? null,
    chunk: submit.chunk,
    order: submit.order,
    depends_on: withInputTask(submit.depends_on, parts.input_task),
    lease_ms: leaseMs,
    tries: submit.tries,
    paused: submit.paused,
    ...(submit.retention_days != null && { retention_days: submit.retention_days }),
    ...(submit.retention_after_download_days != null && {
      retention_after_download_days: submit.retention_after_download_days,
    }),
  };
  const created = await callTask(env, id, (object) => object.create(definition, caller));
  if (created.ok || created.error.code !== "not_found") return created;
  return err({
    code: "conflict",
    detail: `Task ${id}, which this submission made before, is being removed; try again in a moment.`,
  });
}

/** New settings for an existing task, compiled as if submitted anew, for `TaskRpc.patch`. */
export async function recompileTask(
  env: Env,
  task: Pick<Task, "type" | "parser" | "tags">,
  settings: Record<string, unknown>,
): Promise<Result<CompiledDefinition, Refusal>> {
  const compiled = await compileFor(env, { type: task.type, parser: task.parser, settings });
  return compiled.ok ? ok(definitionOf(compiled.value, task.tags)) : compiled;
}

/** Compile, and check that the preset, task and assets which the settings name exist. */
async function compileFor(env: Env, submission: Submission): Promise<Result<Compiled, Refusal>> {
  const resolved = resolveSubmission(submission);
  if (!resolved.ok) return resolved;
  const { presetName } = resolved.value;
  const preset = presetName === null ? null : await callRegistry(env, (registry) => registry.getSetting(presetName));
  const compiled = compileResolved(resolved.value, preset?.ok && isRecord(preset.value) ? preset.value : null);
  if (!compiled.ok) return compiled;
  const { inputs, inputTask } = compiled.value.description;
  const wanted = inputTask === null ? [] : [{ task: inputTask, field: "settings.task" }];
  const [tasks, assets] = await Promise.all([missingByField(env, wanted), missingAssets(env, inputs)]);
  if (!assets.ok) return assets;
  const missing = [...tasks, ...assets.value];
  return missing.length > 0 ? err(invalidFields(missing)) : compiled;
}

function definitionOf(compiled: Compiled, tags: readonly string[]): CompiledDefinition {
  const { description, settings } = compiled;
  return {
    settings,
    frame_list: formatFrameList(description.frames),
    format: description.format,
    needs: needsOf(compiled, tags),
    input_task: description.inputTask,
    files_per_frame: description.filesPerFrame,
    strict: description.strict === true,
  };
}

async function defaultLeaseMs(env: Env): Promise<number> {
  const setting = await callRegistry(env, (registry) => registry.getSetting(LEASE_SETTING));
  return setting.ok && typeof setting.value === "number" ? setting.value * 1_000 : DEFAULT_LEASE_MS;
}

/**
 * The dependencies with each task once: to wait for the whole of a task includes to wait for its
 * frames. The task whose files are the input is waited for as a whole.
 */
function withInputTask(dependsOn: readonly Dependency[], inputTask: number | null): Dependency[] {
  const byTask = new Map<number, Dependency>();
  for (const dependency of dependsOn) {
    if (byTask.get(dependency.task)?.frames !== "all") byTask.set(dependency.task, dependency);
  }
  if (inputTask !== null) byTask.set(inputTask, { task: inputTask, frames: "all" });
  return [...byTask.values()];
}

async function missingTasks(env: Env, dependsOn: readonly Dependency[]): Promise<FieldError[]> {
  return await missingByField(
    env,
    dependsOn.map(({ task }, index) => ({ task, field: `depends_on.${index}` })),
  );
}

async function missingByField(env: Env, wanted: readonly { task: number; field: string }[]): Promise<FieldError[]> {
  const found = await mapConcurrent(
    wanted,
    LOOK_UPS,
    async ({ task }) => await callTask(env, task, (object) => object.view()),
  );
  return wanted.flatMap(({ task, field }, index) =>
    found[index]?.ok ? [] : [{ field, message: `task ${task} does not exist` }],
  );
}

/** Refusal: `overloaded`, when it cannot be known at present which inputs are stored. */
async function missingAssets(env: Env, inputs: readonly Input[]): Promise<Result<FieldError[], Refusal>> {
  const hashes = [...new Set(inputs.map(({ sha256 }) => sha256))];
  const lists = new Set(inputs.filter(({ pieces }) => pieces).map(({ sha256 }) => sha256));
  const sizes = await sizesOfInputs(env, hashes, Date.now, lists);
  if (!sizes.ok) return sizes;
  const errors = inputs.flatMap((input, index): FieldError[] => {
    const message = whyNotThere(input, sizes.value.get(input.sha256));
    return message === null ? [] : [{ field: `settings.assets.${index}`, message }];
  });
  return ok(errors);
}

/** Why an input cannot be used, given what is stored under its hash; null when it can. */
function whyNotThere({ path, sha256, size, pieces }: Input, stored: InputSizes | undefined): string | null {
  if (stored === undefined) return `${pieces ? "piece list" : "asset"} ${sha256} of '${path}' has not been uploaded`;
  if (pieces && stored.whole === null) return `asset ${sha256} of '${path}' has not been uploaded as a piece list`;
  const [what, bytes] = pieces ? ["the file of piece list", stored.whole] : ["asset", stored.size];
  return bytes === size ? null : `${what} ${sha256} has ${bytes} bytes, not ${size}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/** The `Idempotency-Key` header: 1 to 255 visible characters, or null when it is not sent. */
export function idempotencyKey(request: Request): Result<string | null, Refusal> {
  const key = request.headers.get("Idempotency-Key");
  if (key === null || KEY.test(key)) return ok(key);
  return err({ code: "invalid_request", detail: "Idempotency-Key must be 1 to 255 visible ASCII characters." });
}
