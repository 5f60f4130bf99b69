/** Routes of sessions and share links. */
import { sessionCreateSchema, sessionSchema } from "../../protocol/session.ts";
import { shareCreateSchema, shareSchema } from "../../protocol/share.ts";
import { SUBMITTERS, VIEWERS, type Route } from "../route.ts";
import { showSession, signIn, signOut } from "../sessions.ts";
import { createShare, revokeShares } from "../shares.ts";

const session = { path: "/auth/session", tag: "sessions" } as const;
const share = { path: "/tasks/{id}/share", tag: "sharing", who: SUBMITTERS } as const;

export const sessionRoutes: readonly Route[] = [
  {
    ...session,
    method: "POST",
    operationId: "signIn",
    summary: "Trade a token for the page's cookie",
    description:
      "For tokens of admins, artists and viewers, and for share links. The cookie is HttpOnly and SameSite=Strict and lasts 12 h at most; " +
      "revoking the token ends it within 60 s.",
    who: "anyone",
    body: sessionCreateSchema,
    answers: { 201: { description: "Who is signed in; the cookie is in Set-Cookie", schema: sessionSchema } },
    problems: ["unauthorized", "forbidden", "rate_limited"],
    handler: signIn,
  },
  {
    ...session,
    method: "GET",
    operationId: "showSession",
    summary: "Who am I?",
    who: VIEWERS,
    answers: { 200: { description: "Who is signed in", schema: sessionSchema } },
    handler: showSession,
  },
  {
    ...session,
    method: "DELETE",
    operationId: "signOut",
    summary: "Sign out",
    who: "anyone",
    answers: { 204: { description: "The cookie is gone" } },
    problems: ["forbidden"],
    handler: signOut,
  },
  {
    ...share,
    method: "POST",
    operationId: "createShare",
    summary: "Make a link to look at this one task",
    description:
      "For the task's owner and admins. Whoever has the link sees the task without settings, owner and error texts, its frames, files, " +
      "previews and live progress until it ends or the task's links are revoked.",
    body: shareCreateSchema,
    example: { expires_s: 86_400 },
    answers: { 201: { description: "The link, in this one answer", schema: shareSchema } },
    handler: createShare,
  },
  {
    ...share,
    method: "DELETE",
    operationId: "revokeShares",
    summary: "Void all links of the task",
    description: "Holds everywhere within 60 s.",
    answers: { 204: { description: "Done" } },
    handler: revokeShares,
  },
];
