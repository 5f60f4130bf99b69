/**
 * Sessions: how the page signs in (design §8). `POST /auth/session` trades a token, which is sent
 * once, for an HttpOnly cookie; the page does not hold the token afterwards. `GET` says who is
 * signed in, `DELETE` signs out.
 *
 * With the cookie, every write and every WebSocket must carry an `Origin` that is the manager's
 * own; otherwise the answer is 403.
 */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";

/**
 * How long a session lasts: a working day. Longer, a stolen cookie works longer; shorter, people
 * must sign in again during their work.
 */
export const SESSION_MS = 12 * 3_600_000;

/**
 * POST /auth/session. `token` is the long-lived token of an admin, artist or viewer, or the text of
 * a share link.
 */
export const sessionCreateSchema = z
  .strictObject({ token: z.string().min(1).max(4_096) })
  .meta({ id: "SessionCreate" });

/** Who is signed in. The token is never in the answer. */
export const sessionSchema = z
  .object({
    role: z.enum(["admin", "artist", "viewer", "share"]),
    name: z.string().meta({ description: "The token's name; empty for a share link" }),
    owner: z.string().meta({
      description: "What `owner` says in tasks of this caller: `admin` or `name#id`; empty when it owns none",
    }),
    task_id: idSchema.nullable().meta({ description: "The one task that a share link shows; null for all others" }),
    expires_ms: instantSchema
      .nullable()
      .meta({ description: "When to sign in again; null for a bearer token without an end" }),
  })
  .meta({ id: "Session" });
/** Who is signed in. */
export type Session = z.infer<typeof sessionSchema>;
