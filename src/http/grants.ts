/**
 * Grants: what a worker may do with a task's files while it has a lease. The Worker signs them, and
 * not the task's object: there are many Workers and one object. To check a grant needs no look-up.
 */
import { signGrant, verifyGrant } from "../files/grant.ts";
import { ok, type Result } from "../lib/result.ts";
import { signingKey, type SigningEnv } from "../platform/signing-key.ts";
import { GRANT_HEADER, OLD_GRANT_HEADER, type Grant } from "../protocol/file.ts";
import type { Claimed, Lease, Renewed } from "../protocol/lease.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { grantEndMs } from "../protocol/constants.ts";
import type { UnsignedRenewed, UnsignedClaimed, UnsignedLease } from "../rpc/task.ts";
import type { CallerContext, RequestContext } from "./server/route.ts";

/** The request and its caller, of which a grant is checked. */
export type GrantHolder = Pick<RequestContext, "request" | "env"> & Pick<CallerContext, "principal">;

/** The caller's own, unexpired grant. Refusals: `forbidden`, `lease_lost`. */
async function ownGrant(holder: GrantHolder): Promise<Result<Grant, Refusal>> {
  const grant = await grantIfSent(holder);
  if (!grant.ok) return grant;
  if (grant.value) return ok(grant.value);
  return refuse("forbidden", `Send the lease's grant in the header ${GRANT_HEADER}.`, GRANT_HEADER);
}

/** The caller's own, unexpired grant; null when it sends none. Refusals: `forbidden`, `lease_lost`. */
export async function grantIfSent({ request, env, principal }: GrantHolder): Promise<Result<Grant | null, Refusal>> {
  const text = request.headers.get(GRANT_HEADER) ?? request.headers.get(OLD_GRANT_HEADER);
  if (text === null) return ok(null);
  const grant = await verifyGrant(await signingKey(env), text, Date.now());
  if (!grant.ok) return grant;
  if (principal.role !== "worker" || grant.value.worker !== principal.id)
    return refuse("forbidden", "This grant belongs to another worker.", GRANT_HEADER);
  return grant;
}

/** The caller's grant to write outputs of this task. Refusals: `forbidden`, `lease_lost`. */
export async function writeGrant(holder: GrantHolder, taskId: number): Promise<Result<Grant, Refusal>> {
  const grant = await ownGrant(holder);
  if (grant.ok && grant.value.task !== taskId)
    return refuse("forbidden", "This grant is for another task.", GRANT_HEADER);
  return grant;
}

/**
 * Ok when the caller may read this task's files: people by their role, a worker while a grant of
 * its lease names the task.
 */
export async function mayRead(holder: GrantHolder, taskId: number): Promise<Result<null, Refusal>> {
  if (holder.principal.role !== "worker") return ok(null);
  const grant = await ownGrant(holder);
  if (!grant.ok) return grant;
  if (grant.value.task === taskId || grant.value.input_task === taskId) return ok(null);
  return refuse("forbidden", "This grant does not cover the files of this task.", GRANT_HEADER);
}

/** The answer to a claim, with the lease's grant. */
export async function grantedClaim(env: SigningEnv, worker: number, given: UnsignedClaimed): Promise<Claimed> {
  return { ...given, lease: given.lease && (await grantedLease(env, worker, given.lease)) };
}

/** The answer to a renewal, with a grant that lasts as long as the lease now does. */
export async function grantedRenewal(
  env: SigningEnv,
  lease: Pick<Grant, "task" | "lease_id" | "attempt" | "worker">,
  { input_task, ...renewed }: UnsignedRenewed,
): Promise<Renewed> {
  const grant = await grantFor(env, { ...lease, input_task }, renewed.until_ms);
  return { ...renewed, grant, grant_header: GRANT_HEADER };
}

async function grantedLease(env: SigningEnv, worker: number, lease: UnsignedLease): Promise<Lease> {
  const { task_id: task, lease_id, attempt, plan } = lease;
  const claims = { task, lease_id, attempt, worker, input_task: plan.input_task };
  const grant = await grantFor(env, claims, lease.until_ms);
  return { ...lease, grant, grant_header: GRANT_HEADER, takes_warnings: true, takes_fault: true };
}

/**
 * A grant outlives its lease by SWEEP_AFTER_MS: enough for a slow upload to end. It must not last
 * longer, because after that time the outputs of the attempt that were not committed are deleted.
 */
async function grantFor(env: SigningEnv, claims: Omit<Grant, "exp_ms">, untilMs: number): Promise<string> {
  return await signGrant(await signingKey(env), { ...claims, exp_ms: grantEndMs(untilMs) });
}
