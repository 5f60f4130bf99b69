/** `/storage/unused-inputs`: see what a sweep of inputs would delete, and do it now. */
import { sweepInputs } from "../../files/input-sweep.ts";
import { ok, type Result } from "../../lib/result.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Refusal } from "../../protocol/problem.ts";
import { pruneInputsSchema, unusedInputsSchema, type UnusedInputs } from "../../protocol/unused-inputs.ts";
import { ADMINS, defineRoute, type Route } from "../server/route.ts";
import { sweepDependencies, unusedInputsDays, unusedInputsOf } from "../unused-inputs.ts";

const tag = "storage";

const showUnusedInputs = defineRoute({
  method: "GET",
  path: "/storage/unused-inputs",
  operationId: "showUnusedInputs",
  tag,
  summary: "Inputs that nothing uses, and how far their deletion is",
  who: ADMINS,
  answers: { 200: { description: "Inputs and bytes", schema: unusedInputsSchema } },
  handle: async ({ env }) => await answering(async () => unusedInputsOf(env, await unusedInputsDays(env), null)),
});

const pruneInputs = defineRoute({
  method: "POST",
  path: "/storage/unused-inputs",
  operationId: "pruneInputs",
  tag,
  summary: "Delete inputs that nothing uses, a part at a time",
  description:
    "Does a bounded part of the work, and says how far it is: call again until `done`. Inputs that a task names, and those that something " +
    "has used in the last 7 days, are never deleted.",
  who: ADMINS,
  body: pruneInputsSchema,
  example: { dry_run: true },
  answers: { 200: { description: "How far it is", schema: unusedInputsSchema } },
  handle: async ({ env, body }) =>
    await answering(async () => {
      const days = body.days ?? (await unusedInputsDays(env));
      if (days === null) return await unusedInputsOf(env, null, HELD);
      const progress = await sweepInputs(sweepDependencies(env), { days, deletes: !body.dry_run });
      return await unusedInputsOf(env, days, progress);
    }),
});

const HELD = {
  phase: "idle",
  done: true,
  wait_ms: 0,
  held: "the farm keeps unused inputs for ever (setting unused_inputs_days); say for how many days",
  asked: 0,
  deleted: { inputs: 0, bytes: 0 },
} as const;

/** The answer; a failure of D1, R2 or a task is told, and ends nothing: the next call goes on. */
async function answering(work: () => Promise<UnusedInputs>): Promise<Result<UnusedInputs, Refusal>> {
  try {
    return ok(await work());
  } catch (error) {
    console.warn(JSON.stringify({ at: "unused inputs", error: messageOf(error) }));
    return { ok: false, error: { code: "overloaded", detail: `It did not get further: ${messageOf(error)}.` } };
  }
}

export const unusedInputRoutes: readonly Route[] = [showUnusedInputs, pruneInputs];
