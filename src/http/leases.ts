/** `/tasks/{id}/leases…`: the lease protocol. The task's object is the fence; this only checks who and what. */
import type { z } from "zod";
import type { Result } from "../platform/result.ts";
import {
  claimSchema,
  completeSchema,
  failSchema,
  releaseSchema,
  renewSchema,
  type DoneFrame,
} from "../protocol/lease.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { Proven, TaskRpc, WorkerRef } from "../task/rpc.ts";
import { jsonResult, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readBody } from "./input.ts";
import { callTask } from "./objects.ts";
import { problemResponse } from "./problems.ts";
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
  return jsonResult(await callTask(env, id, (task) => task.claim({ id: principal.id }, claim.value)));
};

type Verb<T> = (
  task: TaskRpc,
  worker: WorkerRef,
  leaseId: string,
  body: Proven<T>,
) => Promise<Result<unknown, Refusal>>;

function leaseVerb<T extends { done: DoneFrame[] }>(schema: z.ZodType<T>, verb: Verb<T>): Handler {
  return async (request, { env, params, principal }) => {
    const id = idFrom(params["id"]);
    if (id === null) return notFound("task");
    const leaseId = params["lease_id"] ?? "";
    if (!LEASE_ID.test(leaseId)) return notFound("lease");
    const body = await readBody(request, schema);
    if (!body.ok) return problemResponse(body.error);
    const checked = await proven(env, body.value);
    if (!checked.ok) return problemResponse(checked.error);
    return jsonResult(await callTask(env, id, (task) => verb(task, { id: principal.id }, leaseId, checked.value)));
  };
}

/** POST /tasks/{id}/leases/{lease_id}/renew */
export const renewLease = leaseVerb(renewSchema, (task, worker, leaseId, body) => task.renew(worker, leaseId, body));
/** POST /tasks/{id}/leases/{lease_id}/complete */
export const completeLease = leaseVerb(completeSchema, (task, worker, leaseId, body) =>
  task.complete(worker, leaseId, body),
);
/** POST /tasks/{id}/leases/{lease_id}/fail */
export const failLease = leaseVerb(failSchema, (task, worker, leaseId, body) => task.fail(worker, leaseId, body));
/** POST /tasks/{id}/leases/{lease_id}/release */
export const releaseLease = leaseVerb(releaseSchema, (task, worker, leaseId, body) =>
  task.release(worker, leaseId, body),
);
