/**
 * `/tokens…` and `POST /auth/access`. A secret is in the answer that creates it and nowhere else.
 */
import { ok } from "../../lib/result.ts";
import { refuse } from "../../protocol/problem.ts";
import { accessSchema, tokenCreatedSchema, tokenCreateSchema, tokenListSchema } from "../../protocol/token.ts";
import { callRegistry, callRegistryOnce } from "../../rpc/stubs.ts";
import { issueAccess } from "../server/auth.ts";
import { idOf } from "../server/path-parameters.ts";
import { reply } from "../server/responses.ts";
import { ADMINS, defineRoute, READERS, type Route } from "../server/route.ts";

const tag = "tokens";

/**
 * The router looks the secret up past the cache (`fresh`). Otherwise a revoked secret could buy an
 * access token in the last moment of its stay in the cache, and a revocation would not take effect
 * within ACCESS_TOKEN_MS.
 */
const tradeAccess = defineRoute({
  method: "POST",
  path: "/auth/access",
  operationId: "tradeAccess",
  tag,
  summary: "Trade a long-lived secret for an access token",
  description: "It lasts 60 s and is verified without any look-up. An access token cannot buy another.",
  who: READERS,
  fresh: true,
  answers: { 200: { description: "The access token", schema: accessSchema } },
  handle: async ({ env, credential, principal }) =>
    credential === "secret"
      ? ok(await issueAccess(env, principal, Date.now()))
      : refuse("forbidden", "Only a long-lived secret buys an access token."),
});

const listTokens = defineRoute({
  method: "GET",
  path: "/tokens",
  operationId: "listTokens",
  tag,
  summary: "All tokens, without their secrets",
  who: ADMINS,
  answers: { 200: { description: "Tokens", schema: tokenListSchema } },
  handle: async ({ env }) => ok({ tokens: await callRegistry(env, (registry) => registry.listTokens()) }),
});

const createToken = defineRoute({
  method: "POST",
  path: "/tokens",
  operationId: "createToken",
  tag,
  summary: "Create a token",
  who: ADMINS,
  body: tokenCreateSchema,
  example: { role: "join", name: "office", uses: 4 },
  answers: { 201: { description: "The token, with its secret in this one answer", schema: tokenCreatedSchema } },
  handle: async ({ env, body }) => {
    const { token, secret } = await callRegistryOnce(env, (registry) => registry.createToken(body));
    return reply(201, { ...token, token: secret }, { Location: `/tokens/${token.id}` });
  },
});

const revokeToken = defineRoute({
  method: "DELETE",
  path: "/tokens/{id}",
  operationId: "revokeToken",
  tag,
  summary: "Revoke a token",
  description: "Holds everywhere within 60 s.",
  who: ADMINS,
  params: { id: idOf("token") },
  answers: { 204: { description: "Done" } },
  handle: async ({ env, id }) => {
    const revoked = await callRegistry(env, (registry) => registry.revokeToken(id));
    return revoked.ok ? ok(null) : revoked;
  },
});

export const tokenRoutes: readonly Route[] = [tradeAccess, listTokens, createToken, revokeToken];
