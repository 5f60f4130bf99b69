/**
 * Share links: one task to look at, without an account. A link carries a signed token in its fragment, which browsers send to
 * nobody; the page trades it for a session (`POST /auth/session`), other clients send it as a bearer token.
 *
 * It opens: the task (without settings, owner and error texts), its frames (without error texts), its committed files one by
 * one, previews, timings and the task's live socket (without the log). It opens nothing else: no log, no zip, no workers, no lists.
 */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";

const MAX_SHARE_S = 365 * 86_400;

/** POST /tasks/N/share, by the task's owner or an admin. */
export const shareCreateSchema = z
  .strictObject({
    expires_s: z
      .int()
      .min(60)
      .max(MAX_SHARE_S)
      .default(7 * 86_400)
      .meta({ description: "Seconds until it ends; a week by default" }),
  })
  .meta({ id: "ShareCreate" });

export const shareSchema = z
  .object({
    task_id: idSchema,
    token: z.string(),
    url: z.string().meta({ description: "The link: the manager's address, then `/app/share#` and the token" }),
    expires_ms: instantSchema,
  })
  .meta({ id: "Share" });
export type Share = z.infer<typeof shareSchema>;

/** Claims of a share token. `generation`: the task's; revoking raises it, and older links are void (within 60 s everywhere). */
export interface ShareClaims {
  task: number;
  generation: number;
  exp_ms: number;
}
