/**
 * `/tasks/{id}/leases…`: the lease protocol. The routes check who calls and what the receipts
 * prove; the task's object decides whether the lease is valid.
 */
import { ok, type Result } from "../../lib/result.ts";
import {
  claimedSchema,
  claimSchema,
  completeSchema,
  failSchema,
  releaseSchema,
  renewedSchema,
  renewSchema,
  settledSchema,
  type Claimed,
  type Settled,
} from "../../protocol/lease.ts";
import { FETCHABLE_HEADER } from "../../protocol/blender-build.ts";
import { BLENDERS_HEADER, blendersIn } from "../../protocol/blender-version.ts";
import type { Refusal } from "../../protocol/problem.ts";
import type { Principal } from "../../protocol/token.ts";
import type { Env } from "../../rpc/env.ts";
import { callTask } from "../../rpc/stubs.ts";
import type { UnsignedClaimed, UnsignedSettled, WorkerRef } from "../../rpc/task.ts";
import { grantedClaim, grantedRenewal } from "../grants.ts";
import { noteInputs } from "../input-rights.ts";
import { verifiedReceipts } from "../receipts.ts";
import { taskId, textOf } from "../server/path-parameters.ts";
import { defineRoute, WORKERS, type Route } from "../server/route.ts";

const common = { method: "POST", tag: "leases", who: WORKERS } as const;

/** The manager makes lease ids; a text that is longer or has other characters is none. */
const leaseParams = { id: taskId, lease_id: textOf("lease", /^[A-Za-z0-9_-]{1,128}$/) };

const settledAnswers = {
  200: { description: "Frames committed, and the next lease where one was asked for", schema: settledSchema },
} as const;

/** The header of each call that may claim. */
const BLENDERS = {
  name: BLENDERS_HEADER,
  description:
    "The versions of Blender that the worker has, the one that it uses by default first: `4.5.15, 3.4.1`. A task that needs a version gives frames only to workers that name it",
} as const;

/** The other one. */
const FETCHABLE = {
  name: FETCHABLE_HEADER,
  description:
    "The versions of Blender that the worker would fetch from the farm (`blender_builds` in the answer to `PATCH /workers/{id}`). A version that it has goes first",
} as const;

/** The worker that calls, with the Blenders that it names. */
function workerOf({ id }: Pick<Principal, "id">, request: Request): WorkerRef {
  const blenders = blendersIn(request.headers.get(BLENDERS_HEADER));
  const fetchable = blendersIn(request.headers.get(FETCHABLE_HEADER));
  return { id, ...(blenders.length > 0 && { blenders }), ...(fetchable.length > 0 && { fetchable }) };
}

/** The answer to a claim, with the lease's grant. */
async function withGrant(env: Env, worker: number, claimed: UnsignedClaimed): Promise<Claimed> {
  if (claimed.lease) noteInputs(claimed.lease.task_id, claimed.lease.plan);
  return await grantedClaim(env, worker, claimed);
}

/** The answer to a verb that ended a lease: the next lease in it gets its grant. */
async function withNextGrant(
  env: Env,
  worker: number,
  settled: Result<UnsignedSettled, Refusal>,
): Promise<Result<Settled, Refusal>> {
  if (!settled.ok) return settled;
  const { next } = settled.value;
  return ok({ ...settled.value, next: next && (await withGrant(env, worker, next)) });
}

const claimLease = defineRoute({
  ...common,
  path: "/tasks/{id}/leases",
  operationId: "claimLease",
  summary: "Claim frames",
  description: "Idempotent by `key`: the same key of the same worker answers with the same live lease.",
  params: { id: taskId },
  headers: [BLENDERS, FETCHABLE],
  body: claimSchema,
  example: { key: "k3v9q2x7", platform: "linux", epoch: 0 },
  answers: { 200: { description: "A lease, or why there is none", schema: claimedSchema } },
  handle: async ({ env, id, body, principal, request }) => {
    const claimed = await callTask(env, id, (task) => task.claim(workerOf(principal, request), body));
    return claimed.ok ? ok(await withGrant(env, principal.id, claimed.value)) : claimed;
  },
});

const renewLease = defineRoute({
  ...common,
  path: "/tasks/{id}/leases/{lease_id}/renew",
  operationId: "renewLease",
  summary: "Keep a lease, commit frames, report progress",
  params: leaseParams,
  body: renewSchema,
  example: { attempt: 7, progress: 0.5 },
  answers: { 200: { description: "How long it lasts from now", schema: renewedSchema } },
  problems: ["lease_lost"],
  handle: async ({ env, id, lease_id, body, principal }) => {
    const renew = await verifiedReceipts(env, body);
    if (!renew.ok) return renew;
    const worker = { id: principal.id };
    const renewed = await callTask(env, id, (task) => task.renew(worker, lease_id, renew.value));
    if (!renewed.ok) return renewed;
    const lease = { task: id, lease_id, attempt: body.attempt, worker: worker.id };
    return ok(await grantedRenewal(env, lease, renewed.value));
  },
});

const completeLease = defineRoute({
  ...common,
  path: "/tasks/{id}/leases/{lease_id}/complete",
  operationId: "completeLease",
  summary: "Commit the last frames and end the lease; `next` claims on",
  params: leaseParams,
  headers: [BLENDERS, FETCHABLE],
  body: completeSchema,
  example: { attempt: 7, done: [{ frame: 1, seconds: 2.5, receipts: [] }] },
  answers: settledAnswers,
  problems: ["lease_lost"],
  handle: async ({ env, id, lease_id, body, principal, request }) => {
    const complete = await verifiedReceipts(env, body);
    if (!complete.ok) return complete;
    const worker = workerOf(principal, request);
    const settled = await callTask(env, id, (task) => task.complete(worker, lease_id, complete.value));
    return await withNextGrant(env, worker.id, settled);
  },
});

const failLease = defineRoute({
  ...common,
  path: "/tasks/{id}/leases/{lease_id}/fail",
  operationId: "failLease",
  summary: "A render failure: blame frames, give back the others",
  params: leaseParams,
  headers: [BLENDERS, FETCHABLE],
  body: failSchema,
  example: { attempt: 7, frames: "3", error: "Error: Build without OpenImageDenoiser" },
  answers: settledAnswers,
  problems: ["lease_lost"],
  handle: async ({ env, id, lease_id, body, principal, request }) => {
    const fail = await verifiedReceipts(env, body);
    if (!fail.ok) return fail;
    const worker = workerOf(principal, request);
    const settled = await callTask(env, id, (task) => task.fail(worker, lease_id, fail.value));
    return await withNextGrant(env, worker.id, settled);
  },
});

const releaseLease = defineRoute({
  ...common,
  path: "/tasks/{id}/leases/{lease_id}/release",
  operationId: "releaseLease",
  summary: "Give frames back unblamed",
  params: leaseParams,
  body: releaseSchema,
  example: { attempt: 7, reason: "agent stopped" },
  answers: settledAnswers,
  problems: ["lease_lost"],
  handle: async ({ env, id, lease_id, body, principal }) => {
    const release = await verifiedReceipts(env, body);
    if (!release.ok) return release;
    const worker = { id: principal.id };
    const settled = await callTask(env, id, (task) => task.release(worker, lease_id, release.value));
    return await withNextGrant(env, worker.id, settled);
  },
});

export const leaseRoutes: readonly Route[] = [claimLease, renewLease, completeLease, failLease, releaseLease];
