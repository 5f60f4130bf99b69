/** `/tokens…` and `POST /auth/access`. A secret is in the answer that creates it and nowhere else. */
import { tokenCreateSchema } from "../protocol/token.ts";
import { json, noContent, notFound } from "./answers.ts";
import { issueAccess } from "./auth.ts";
import type { Handler } from "./context.ts";
import { readBody } from "./input.ts";
import { callRegistry, callRegistryOnce } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";

/** GET /tokens */
export const listTokens: Handler = async (_request, { env }) => {
  return json({ tokens: await callRegistry(env, (registry) => registry.listTokens()) });
};

/** POST /tokens */
export const createToken: Handler = async (request, { env }) => {
  const create = await readBody(request, tokenCreateSchema);
  if (!create.ok) return problemResponse(create.error);
  const { token, secret } = await callRegistryOnce(env, (registry) => registry.createToken(create.value));
  return json({ ...token, token: secret }, 201, { Location: `/tokens/${token.id}` });
};

/** DELETE /tokens/{id} */
export const revokeToken: Handler = async (_request, { env, params }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("token");
  const revoked = await callRegistry(env, (registry) => registry.revokeToken(id));
  return revoked.ok ? noContent() : problemResponse(revoked.error);
};

/**
 * POST /auth/access. The router has looked the secret up past the cache (`fresh`): otherwise a revoked one could still buy a
 * minute at the end of its stay there, and a revocation would not hold within ACCESS_TOKEN_MS.
 */
export const tradeAccess: Handler = async (_request, { env, credential, principal }) => {
  if (credential !== "secret")
    return problemResponse({
      code: "forbidden",
      detail: "Only a long-lived secret buys an access token.",
    });
  return json(await issueAccess(env, principal, Date.now()));
};
