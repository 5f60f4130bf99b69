/** `/tasks/{id}/share`: links to look at one task, and what their holders do not see. */
import { sign, signingKey } from "../platform/signing.ts";
import { shareCreateSchema, type Share, type ShareClaims } from "../protocol/share.ts";
import { json, noContent, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readBody } from "./input.ts";
import { callTask } from "../rpc/stubs.ts";
import { mayChange } from "./ownership.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";

/** POST /tasks/{id}/share. The token is in the link's fragment, which no browser sends and no server logs. */
export const createShare: Handler = async (request, { env, params, principal, url }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const body = await readBody(request, shareCreateSchema);
  if (!body.ok) return problemResponse(body.error);
  const allowed = await mayChange(env, id, principal);
  if (!allowed.ok) return problemResponse(allowed.error);
  const generation = await callTask(env, id, (task) => task.shareGeneration());
  if (generation === null) return notFound("task");
  const claims: ShareClaims = { task: id, generation, exp_ms: Date.now() + body.value.expires_s * 1_000 };
  const token = await sign(await signingKey(env), "share", claims);
  const share: Share = {
    task_id: id,
    token,
    url: `${url.origin}/app/share#${token}`,
    expires_ms: claims.exp_ms,
  };
  return json(share, 201);
};

/** DELETE /tasks/{id}/share */
export const revokeShares: Handler = async (_request, { env, params, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const allowed = await mayChange(env, id, principal);
  if (!allowed.ok) return problemResponse(allowed.error);
  const revoked = await callTask(env, id, (task) => task.revokeShares());
  return revoked.ok ? noContent() : problemResponse(revoked.error);
};
