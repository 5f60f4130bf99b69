/** Who may upload or read a task's files by the grant of a lease. Needs no look-up: grants are signed. */
import { GRANT_HEADER, verifyGrant } from "../files/grant.ts";
import { ok, type Result } from "../platform/result.ts";
import { signingKey } from "../platform/signing.ts";
import type { Grant } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { RequestContext } from "./context.ts";

/** The caller's own, unexpired grant. Refusals: `forbidden`, `lease_lost`. */
async function ownGrant(request: Request, { env, principal }: RequestContext): Promise<Result<Grant, Refusal>> {
  const text = request.headers.get(GRANT_HEADER);
  if (text === null) return refuse("forbidden", `Send the lease's grant in the header ${GRANT_HEADER}.`, GRANT_HEADER);
  const grant = await verifyGrant(await signingKey(env), text, Date.now());
  if (!grant.ok) return grant;
  if (principal.role !== "worker" || grant.value.worker !== principal.id)
    return refuse("forbidden", "This grant belongs to another worker.", GRANT_HEADER);
  return grant;
}

/** The grant to write outputs of this task. */
export async function writeGrant(
  request: Request,
  context: RequestContext,
  taskId: number,
): Promise<Result<Grant, Refusal>> {
  const grant = await ownGrant(request, context);
  if (grant.ok && grant.value.task !== taskId)
    return refuse("forbidden", "This grant is for another task.", GRANT_HEADER);
  return grant;
}

/** Ok when the caller may read this task's files: people by their role, a worker while a grant of its lease names the task. */
export async function mayRead(
  request: Request,
  context: RequestContext,
  taskId: number,
): Promise<Result<null, Refusal>> {
  if (context.principal.role !== "worker") return ok(null);
  const grant = await ownGrant(request, context);
  if (!grant.ok) return grant;
  if (grant.value.task === taskId || grant.value.input_task === taskId) return ok(null);
  return refuse("forbidden", "This grant does not cover the files of this task.", GRANT_HEADER);
}
