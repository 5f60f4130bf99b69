/**
 * Which inputs a worker may read: those that the task of its lease names, and the pieces of the piece
 * lists among them (decision 027). The grant says which task. What a task names never changes after
 * its first lease, so an isolate remembers it: its object is asked once, and not for each input.
 */
import { assetKey } from "../files/keys.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { sha256Schema } from "../protocol/fields.ts";
import { GRANT_HEADER } from "../protocol/file.ts";
import { PIECE_LIST_HEADER, readPieceList } from "../protocol/piece-list.ts";
import type { Plan } from "../protocol/plan.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { Env } from "../rpc/env.ts";
import { callRegistry, callTask } from "../rpc/stubs.ts";
import { grantIfSent, type GrantHolder } from "./grants.ts";
import { liveAttempt } from "./ownership.ts";
import { BoundedCache } from "./server/bounded-cache.ts";
import { SetCache } from "./server/set-cache.ts";

/**
 * Hashes that an isolate remembers, some 150 bytes each, so 5 MB of its 128. One task names at most
 * 10,000 inputs, and a list 1,000 pieces.
 */
const MAX_HASHES = 30_000;
/**
 * How long the live leases of a worker that sends no grant are believed without asking. A grant
 * outlives its lease for longer.
 */
const LEASED_MS = 30_000;
/** Workers that send no grant, of which the tasks are remembered: 100 bytes each. */
const MAX_WORKERS = 1_000;

/** What a task names: its inputs (`task/<id>`), those of them that are piece lists (`lists/<id>`); the pieces of a list. */
const named = new SetCache(MAX_HASHES);
/** Tasks of which a worker that sends no grant has a live lease. */
const leased = new BoundedCache<readonly number[]>(MAX_WORKERS);

/**
 * A worker has got a lease with this plan. What it names is remembered, because the worker will now
 * fetch it, most likely from this isolate.
 */
export function noteInputs(task: number, { inputs }: Pick<Plan, "inputs">): void {
  if (!named.get(`task/${task}`)) remember(task, inputs);
}

/**
 * Ok when the caller may read this input: people by their role, a worker when the task of its grant
 * names it. A worker that sends no grant, as agents up to version 0.1, may read what a task names of
 * which it has a live lease; until version 0.3. The answer says nothing about whether the input is
 * stored. Refusals: `forbidden`, `lease_lost`, `invalid`, `not_found` (a piece list is gone).
 */
export async function mayReadInput(holder: GrantHolder, sha256: string): Promise<Result<null, Refusal>> {
  const { request, env, principal } = holder;
  if (principal.role !== "worker") return ok(null);
  const list = request.headers.get(PIECE_LIST_HEADER);
  if (list !== null && !sha256Schema.safeParse(list).success)
    return refuse("invalid", `${PIECE_LIST_HEADER} must be a SHA-256 in lower-case hexadecimal.`, PIECE_LIST_HEADER);
  const grant = await grantIfSent(holder);
  if (!grant.ok) return grant;
  if (grant.value) return await namedBy(env, grant.value.task, sha256, list);
  for (const remembered of [true, false]) {
    for (const task of await leasedTasks(env, principal.id, remembered)) {
      const allowed = await namedBy(env, task, sha256, list);
      if (allowed.ok) return allowed;
    }
  }
  return refuse("forbidden", `No live lease of this worker names this input; send its grant.`, GRANT_HEADER);
}

/** Ok when the task names the input, or with `list` the list, which has the piece. */
async function namedBy(env: Env, task: number, sha256: string, list: string | null): Promise<Result<null, Refusal>> {
  const has = await (list === null ? inputsOf(env, task, "task") : inputsOf(env, task, "lists"));
  if (!has?.has(list ?? sha256)) return err(NOT_NAMED);
  if (list === null) return ok(null);
  const pieces = await piecesOf(env, list);
  if (!pieces) return refuse("not_found", "The piece list is not there.");
  return pieces.has(sha256) ? ok(null) : err(NOT_NAMED);
}

const NOT_NAMED: Refusal = { code: "forbidden", detail: "The task of this lease does not name this input." };

/** The inputs that a task names, or the piece lists among them; undefined when there is no such task. */
async function inputsOf(env: Env, task: number, which: "task" | "lists"): Promise<ReadonlySet<string> | undefined> {
  const known = named.get(`${which}/${task}`);
  if (known) return known;
  const inputs = await callTask(env, task, (object) => object.inputsNamed());
  if (!inputs) return undefined;
  const lists = new Set(inputs.lists);
  return remember(
    task,
    inputs.inputs.map((sha256) => ({ sha256, pieces: lists.has(sha256) })),
  )[which];
}

function remember(
  task: number,
  inputs: readonly { sha256: string; pieces?: boolean | undefined }[],
): Record<"task" | "lists", ReadonlySet<string>> {
  const all = new Set(inputs.map(({ sha256 }) => sha256));
  const lists = new Set(inputs.filter(({ pieces }) => pieces).map(({ sha256 }) => sha256));
  named.set(`task/${task}`, all);
  named.set(`lists/${task}`, lists);
  return { task: all, lists };
}

/** The pieces of a stored list; undefined when it is not there. */
async function piecesOf(env: Env, list: string): Promise<ReadonlySet<string> | undefined> {
  const known = named.get(`pieces/${list}`);
  if (known) return known;
  const object = await env.FILES.get(assetKey(list));
  const pieces = object && readPieceList(await object.text());
  if (!pieces?.ok) return undefined;
  const hashes = new Set(pieces.value.map(({ sha256 }) => sha256));
  named.set(`pieces/${list}`, hashes);
  return hashes;
}

/** Tasks of which the worker has a live lease, as their objects say; `remembered`: said lately. */
async function leasedTasks(env: Env, worker: number, remembered: boolean): Promise<readonly number[]> {
  if (remembered) return leased.get(String(worker), Date.now()) ?? [];
  const tasks: number[] = [];
  for (const task of await callRegistry(env, (registry) => registry.tasksOfWorker(worker)))
    if ((await liveAttempt(env, task, worker)).ok) tasks.push(task);
  if (tasks.length > 0) leased.set(String(worker), tasks, Date.now() + LEASED_MS);
  return tasks;
}
