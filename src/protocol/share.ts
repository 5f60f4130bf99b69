/**
 * Share links: a link shows one task to people without an account. It carries a signed token in its
 * fragment, which browsers never send. The page trades the token for a session
 * (`POST /auth/session`); other clients send it as a bearer token.
 *
 * A link gives access to:
 * - the task, without settings, owner, error texts and the submitter's own id;
 * - its frames, without error texts;
 * - its committed files one by one, previews and timings;
 * - the task's live socket, without the log.
 *
 * It gives access to nothing else: no log, no zip, no workers, no lists.
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

/** A share link; `url` contains the token. */
export const shareSchema = z
  .object({
    task_id: idSchema,
    token: z.string(),
    url: z.string().meta({ description: "The link: the manager's address, then `/app/share#` and the token" }),
    expires_ms: instantSchema,
  })
  .meta({ id: "Share" });
/** A share link. */
export type Share = z.infer<typeof shareSchema>;

/**
 * Claims of a share token. `generation` is that of the task's links: revoking raises it, and older
 * links are refused (within 60 s everywhere). `exp_ms` is the instant at which the link ends.
 */
export interface ShareClaims {
  task: number;
  generation: number;
  exp_ms: number;
}
