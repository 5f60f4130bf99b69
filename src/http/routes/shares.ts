/**
 * `/tasks/{id}/share`: links to look at one task. `protocol/shared-view.ts` says what their holders
 * do not see.
 */
import { ok } from "../../lib/result.ts";
import { sign } from "../../platform/signed-claims.ts";
import { signingKey } from "../../platform/signing-key.ts";
import { shareCreateSchema, shareSchema, type ShareClaims } from "../../protocol/share.ts";
import { callTask } from "../../rpc/stubs.ts";
import { mayChange } from "../ownership.ts";
import { noSuch, taskId } from "../server/path-parameters.ts";
import { defineRoute, SUBMITTERS, type Route } from "../server/route.ts";

const common = { path: "/tasks/{id}/share", tag: "sharing", who: SUBMITTERS, params: { id: taskId } } as const;

/**
 * The token is in the link's fragment, which browsers do not send, so that no server on the way
 * logs it.
 */
const createShare = defineRoute({
  ...common,
  method: "POST",
  operationId: "createShare",
  summary: "Make a link to look at this one task",
  description:
    "For the task's owner and admins. Whoever has the link sees the task without settings, owner and error texts, its frames, files, " +
    "previews and live progress until it ends or the task's links are revoked.",
  body: shareCreateSchema,
  example: { expires_s: 86_400 },
  answers: { 201: { description: "The link, in this one answer", schema: shareSchema } },
  handle: async ({ env, url, id, body, principal }) => {
    const allowed = await mayChange(env, id, principal);
    if (!allowed.ok) return allowed;
    const generation = await callTask(env, id, (task) => task.shareGeneration());
    if (generation === null) return noSuch("task");
    const claims: ShareClaims = { task: id, generation, exp_ms: Date.now() + body.expires_s * 1_000 };
    const token = await sign(await signingKey(env), "share", claims);
    const link = `${url.origin}/app/share#${token}`;
    return ok({ task_id: id, token, url: link, expires_ms: claims.exp_ms });
  },
});

const revokeShares = defineRoute({
  ...common,
  method: "DELETE",
  operationId: "revokeShares",
  summary: "Void all links of the task",
  description: "Holds everywhere within 60 s.",
  answers: { 204: { description: "Done" } },
  handle: async ({ env, id, principal }) => {
    const allowed = await mayChange(env, id, principal);
    if (!allowed.ok) return allowed;
    const revoked = await callTask(env, id, (task) => task.revokeShares());
    return revoked.ok ? ok(null) : revoked;
  },
});

export const shareRoutes: readonly Route[] = [createShare, revokeShares];
