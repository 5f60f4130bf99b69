/** `/storage`: what is stored, by owner and by task, and what it costs. */
import { z } from "zod";
import { inputTotals } from "../../files/input-totals.ts";
import { messageOf } from "../../lib/errors.ts";
import { ok } from "../../lib/result.ts";
import { refuse } from "../../protocol/problem.ts";
import { STORAGE_PRICE, storageDollars } from "../../protocol/prices.ts";
import { storageSchema, type Storage } from "../../protocol/storage.ts";
import { taskListSchema } from "../../protocol/task.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { ownerOf } from "../ownership.ts";
import { pageCursor, pageLimit } from "../server/paging.ts";
import { defineRoute, SUBMITTERS, type Route } from "../server/route.ts";

const tag = "storage";

const showStorage = defineRoute({
  method: "GET",
  path: "/storage",
  operationId: "showStorage",
  tag,
  summary: "What is stored, by owner, and what a month of it costs",
  description:
    "Admins see the farm, artists what their own tasks store. Tasks report what they store while they render, up to ten seconds late. Not counted: " +
    "uploads that are not finished, files that wait to be deleted, and the databases.",
  who: SUBMITTERS,
  answers: { 200: { description: "What is stored", schema: storageSchema } },
  handle: async ({ env, principal }) => {
    const isAdmin = principal.role === "admin";
    const [figures, inputs, builds] = await Promise.all([
      callRegistry(env, (registry) => registry.storage(isAdmin ? null : ownerOf(principal))),
      isAdmin ? inputsOf(env) : NOT_TOLD,
      isAdmin ? buildsOf(env) : null,
    ]);
    const cost = isAdmin ? costOf(figures.outputs, inputs.inputs, builds?.bytes ?? 0) : null;
    return ok({ ...figures, ...inputs, ...(builds && { blender_builds: builds }), cost });
  },
});

const listLargest = defineRoute({
  method: "GET",
  path: "/storage/tasks",
  operationId: "listLargestTasks",
  tag,
  summary: "The tasks that store most, the largest first",
  description: "Artists see their own. Tasks that store nothing, or have not counted their files yet, are left out.",
  who: SUBMITTERS,
  query: z.strictObject({
    owner: z.string().min(1).max(200).optional().meta({ description: "`admin`, or `name#id`" }),
    limit: pageLimit(20, 500),
    cursor: pageCursor,
  }),
  answers: { 200: { description: "A page of tasks", schema: taskListSchema } },
  handle: async ({ env, query, principal }) => {
    const own = principal.role === "admin" ? undefined : ownerOf(principal);
    if (own !== undefined && query.owner !== undefined && query.owner !== own)
      return refuse("forbidden", "Only an admin sees what others store.", "owner");
    return await callRegistry(env, (registry) => registry.largestTasks({ ...query, owner: own ?? query.owner }));
  },
});

export const storageRoutes: readonly Route[] = [showStorage, listLargest];

type Inputs = Pick<Storage, "inputs" | "inputs_problem">;

const NOT_TOLD: Inputs = {
  inputs: null,
  inputs_problem: "The inputs of a farm belong to nobody: only admins see how much they are.",
};

/** The inputs, or why they cannot be told: the rest of the answer does not need D1. */
async function inputsOf(env: Env): Promise<Inputs> {
  try {
    return { inputs: await inputTotals(env, Date.now()), inputs_problem: null };
  } catch (error) {
    console.warn(JSON.stringify({ at: "storage", chore: "inputs", error: messageOf(error) }));
    return { inputs: null, inputs_problem: "The index of inputs (D1) does not answer; try again shortly." };
  }
}

/** The archives of builds; two builds may be of one. */
async function buildsOf(env: Env): Promise<NonNullable<Storage["blender_builds"]>> {
  const builds = await callRegistry(env, (registry) => registry.listBuilds());
  const archives = new Map(builds.map(({ sha256, bytes }) => [sha256, bytes]));
  return { builds: builds.length, bytes: [...archives.values()].reduce((sum, bytes) => sum + bytes, 0) };
}

function costOf(outputs: Storage["outputs"], inputs: Storage["inputs"], buildBytes: number): Storage["cost"] {
  return {
    month_dollars: storageDollars(outputs.bytes + (inputs?.bytes ?? 0) + buildBytes),
    is_whole: outputs.uncounted_tasks === 0 && inputs?.complete === true,
    dollars_per_gb: STORAGE_PRICE.dollarsPerGb,
    free_gb: STORAGE_PRICE.freeGb,
    source: STORAGE_PRICE.source,
    as_of: STORAGE_PRICE.asOf,
  };
}
