/** `/tasks/{id}/leases…`: the lease protocol. The task's object is the fence; this only checks who and what. */
import type { z } from "zod";
import type { Env } from "../rpc/env.ts";
import { ok, type Result } from "../lib/result.ts";
import {
  claimSchema,
  completeSchema,
  failSchema,
  releaseSchema,
  renewSchema,
  type DoneFrame,
} from "../protocol/lease.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { GivenNext, Proven, TaskRpc, WorkerRef } from "../rpc/task.ts";
import { json, jsonResult, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { grantedClaim, grantedNext, grantedRenewal } from "./grants.ts";
import { readBody } from "./input.ts";
import { callTask } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { proven } from "./receipts.ts";
import { idFrom } from "./request.ts";

/** Lease ids are made by the manager; anything longer or stranger is none. */
const LEASE_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** POST /tasks/{id}/leases */
export const claimLease: Handler = async (request, { env, params, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const claim = await readBody(request, claimSchema);
  if (!claim.ok) return problemResponse(claim.error);
  const given = await callTask(env, id, (task) => task.claim({ id: principal.id }, claim.value));
  return given.ok ? json(await grantedClaim(env, principal.id, given.value)) : problemResponse(given.error);
};

/** A call of a lease as the task's object takes it. */
interface LeaseCall<T> {
  env: Env;
  id: number;
  worker: WorkerRef;
  leaseId: string;
  body: Proven<T>;
}

function leaseVerb<T extends { done: DoneFrame[] }>(
  schema: z.ZodType<T>,
  carryOut: (call: LeaseCall<T>) => Promise<Result<unknown, Refusal>>,
): Handler {
  return async (request, { env, params, principal }) => {
    const id = idFrom(params["id"]);
    if (id === null) return notFound("task");
    const leaseId = params["lease_id"] ?? "";
    if (!LEASE_ID.test(leaseId)) return notFound("lease");
    const body = await readBody(request, schema);
    if (!body.ok) return problemResponse(body.error);
    const checked = await proven(env, body.value);
    if (!checked.ok) return problemResponse(checked.error);
    return jsonResult(await carryOut({ env, id, worker: { id: principal.id }, leaseId, body: checked.value }));
  };
}

/** A verb that ends its lease, and may claim the next. */
function settlement<T extends { done: DoneFrame[] }>(
  schema: z.ZodType<T>,
  verb: (task: TaskRpc, worker: WorkerRef, leaseId: string, body: Proven<T>) => Promise<Result<GivenNext, Refusal>>,
): Handler {
  return leaseVerb(schema, async ({ env, id, worker, leaseId, body }) => {
    const settled = await callTask(env, id, (task) => verb(task, worker, leaseId, body));
    return settled.ok ? ok(await grantedNext(env, worker.id, settled.value)) : settled;
  });
}

/** POST /tasks/{id}/leases/{lease_id}/renew */
export const renewLease = leaseVerb(renewSchema, async ({ env, id, worker, leaseId, body }) => {
  const extended = await callTask(env, id, (task) => task.renew(worker, leaseId, body));
  if (!extended.ok) return extended;
  const lease = { task: id, lease_id: leaseId, attempt: body.attempt, worker: worker.id };
  return ok(await grantedRenewal(env, lease, extended.value));
});
/** POST /tasks/{id}/leases/{lease_id}/complete */
export const completeLease = settlement(completeSchema, (task, ...call) => task.complete(...call));
/** POST /tasks/{id}/leases/{lease_id}/fail */
export const failLease = settlement(failSchema, (task, ...call) => task.fail(...call));
/** POST /tasks/{id}/leases/{lease_id}/release */
export const releaseLease = settlement(releaseSchema, (task, ...call) => task.release(...call));
