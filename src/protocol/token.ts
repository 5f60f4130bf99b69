/** Tokens and their roles. */
import { z } from "zod";
import { arrayOf } from "./bounded.ts";
import { instantSchema, lineSchema, tagSchema } from "./fields.ts";

/**
 * The roles that a token can have. They are stored with tokens, so tokens of a role that is renamed
 * would be refused.
 */
export const ROLES = ["admin", "artist", "viewer", "join"] as const;
/** The role of a token. */
export const roleSchema = z.enum(ROLES);
/** The role of a token. */
export type Role = z.infer<typeof roleSchema>;

/** POST /tokens: a new token. */
export const tokenCreateSchema = z
  .strictObject({
    role: roleSchema,
    name: lineSchema(100).min(1),
    /** Seconds until the token stops working; absent for never (join tokens: one day). */
    expires_s: z
      .int()
      .min(1)
      .max(10 * 365 * 86_400)
      .optional(),
    /** Join tokens only: how many workers the token can register; absent for any number. */
    uses: z.int().min(1).max(1_000_000).optional(),
    /** Join tokens only: tags that its workers get. */
    tags: arrayOf(tagSchema, 16).default([]),
  })
  .refine(
    (t) => t.role === "join" || (t.uses === undefined && t.tags.length === 0),
    "`uses` and `tags` are for join tokens only",
  )
  .meta({ id: "TokenCreate" });
/** A new token, with its defaults filled in. */
export type TokenCreate = z.infer<typeof tokenCreateSchema>;

/**
 * A token without its secret. `expires_ms` is null when it never expires, `uses_left` when it can
 * be used any number of times, `last_used_ms` before its first use.
 */
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
/** A token without its secret. */
export type Token = z.infer<typeof tokenSchema>;

/** The answer to POST /tokens: the only answer that holds the secret, as `token`. */
export const tokenCreatedSchema = tokenSchema.extend({ token: z.string() }).meta({ id: "TokenCreated" });

/** GET /tokens: all tokens, without their secrets. */
export const tokenListSchema = z.object({ tokens: z.array(tokenSchema) }).meta({ id: "TokenList" });

/**
 * POST /auth/access: a short-lived, signed token in exchange for a long-lived secret. The Worker
 * verifies it without a look-up. `expires_in_ms` is for clients whose clock differs.
 */
export const accessSchema = z
  .object({ access_token: z.string(), expires_ms: instantSchema, expires_in_ms: z.int() })
  .meta({ id: "Access" });
/** An access token, and when it expires. */
export type Access = z.infer<typeof accessSchema>;

/**
 * How long an access token works, in milliseconds. A revocation takes effect everywhere within this
 * time (P9), because it is also above the time of every cached look-up. Longer, a revoked token
 * works longer; shorter, agents ask for access tokens more often.
 */
export const ACCESS_TOKEN_MS = 60_000;

/** The caller of a request. */
export interface Principal {
  role: Role | "worker" | "share";
  /** Id of the token, or of the worker. For a share link: the generation of its task's links. */
  id: number;
  /** Name of the token. Tasks are owned by it. */
  name: string;
  /** The tags that a join token gives. */
  tags?: string[];
  /** The one task that a share link shows. */
  task?: number;
  /** The instant at which the share link ends, which tells it from other links of its task. */
  link?: number;
}
