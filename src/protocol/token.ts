/** Tokens and roles. */
import { z } from "zod";
import { instantSchema, lineSchema, tagSchema } from "./fields.ts";

export const ROLES = ["admin", "artist", "viewer", "join"] as const;
export const roleSchema = z.enum(ROLES);
export type Role = z.infer<typeof roleSchema>;

export const tokenCreateSchema = z
  .strictObject({
    role: roleSchema,
    name: lineSchema(100).min(1),
    /** Seconds until it stops working; absent for never (join tokens: one day). */
    expires_s: z
      .int()
      .min(1)
      .max(10 * 365 * 86_400)
      .optional(),
    /** join only: how many workers it can register; absent for any number. */
    uses: z.int().min(1).max(1_000_000).optional(),
    /** join only: tags its workers get. */
    tags: z.array(tagSchema).max(16).default([]),
  })
  .refine(
    (t) => t.role === "join" || (t.uses === undefined && t.tags.length === 0),
    "`uses` and `tags` are for join tokens only",
  )
  .meta({ id: "TokenCreate" });
export type TokenCreate = z.infer<typeof tokenCreateSchema>;

export const tokenSchema = z
  .object({
    id: z.int(),
    role: roleSchema,
    name: z.string(),
    tags: z.array(z.string()),
    created_ms: instantSchema,
    expires_ms: instantSchema.nullable(),
    uses_left: z.int().nullable(),
    last_used_ms: instantSchema.nullable(),
    revoked: z.boolean(),
  })
  .meta({ id: "Token" });
export type Token = z.infer<typeof tokenSchema>;

/** The secret is in this one answer and nowhere else. */
export const tokenCreatedSchema = tokenSchema.extend({ token: z.string() }).meta({ id: "TokenCreated" });

export const tokenListSchema = z.object({ tokens: z.array(tokenSchema) }).meta({ id: "TokenList" });

/** POST /auth/access: a long-lived secret buys a short-lived, signed token that the Worker verifies by itself. */
export const accessSchema = z
  .object({ access_token: z.string(), expires_ms: instantSchema, expires_in_ms: z.int() })
  .meta({ id: "Access" });
export type Access = z.infer<typeof accessSchema>;

/** A revocation holds everywhere within this time: it bounds access tokens and every cached look-up (P9). */
export const ACCESS_TOKEN_MS = 60_000;

/**
 * Who is calling. `name` is the token's name (tasks are owned by it); for a worker `id` is the worker's id, for a share link the
 * generation of its task's links. `tags` are those a join token gives; `task` is the one task that a share link shows.
 */
export interface Principal {
  role: Role | "worker" | "share";
  id: number;
  name: string;
  tags?: string[];
  task?: number;
}
