/**
 * Sessions: how the page signs in (design §8). `POST /auth/session` trades a token, sent once, for an HttpOnly cookie; the page
 * never holds the token afterwards. `GET` says who is signed in, `DELETE` signs out.
 *
 * With the cookie, every write and every WebSocket must carry an `Origin` that is the manager's own (403 otherwise).
 */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";

/** A session lasts a working day; then the page asks for a token again. */
export const SESSION_MS = 12 * 3_600_000;

/** `token`: an admin's, artist's or viewer's long-lived token, or the text of a share link. */
export const sessionCreateSchema = z
  .strictObject({ token: z.string().min(1).max(4_096) })
  .meta({ id: "SessionCreate" });

/** Who is signed in. Never the token. */
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
export type Session = z.infer<typeof sessionSchema>;
