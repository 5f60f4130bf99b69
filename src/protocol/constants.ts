/**
 * Limits and names that several sides must agree on. No schema library here: the page and the
 * parsers load this file alone, and zod would make the page's first script several times as large.
 */

/** Farm settings whose names start so are render presets. */
export const PRESET_PREFIX = "render.";

/**
 * Every fatal line of the script that Blender runs starts so. The compiler of `blender_render`
 * writes it and the parser reads it; if they differed, a failed check of the scene would be
 * reported as an ordinary line of the log.
 */
export const FATAL_PREFIX = "Tablao: ";

/** The parsers an agent has. A plan names one; `parsers/index.ts` must have an entry for each. */
export const PARSER_NAMES = ["blender_render", "ffmpeg", "plain"] as const;
export type ParserName = (typeof PARSER_NAMES)[number];

/**
 * Size of a part of a large file, in bytes. It is below every request-body limit of the platform
 * (100 MB on the lower plans) and above R2's minimum of 5 MiB for a part.
 */
export const PART_BYTES = 32 * 1024 * 1024;

/**
 * Close code of a live socket: the session is over or its token was revoked. Sign in again before
 * connecting again.
 */
export const CLOSE_SIGNED_OUT = 4003;
/** Close code of a task's live socket: the task has been removed. */
export const CLOSE_GONE = 4004;

/**
 * Uploads granted by a lease may still be under way when the lease ends. Its grant is valid this
 * much longer, and what was uploaded under it in vain is deleted only then: an upload that arrived
 * after the deletion would stay for ever.
 */
export const SWEEP_AFTER_MS = 60_000;

/** When the grant of a lease that ends at `leaseEndMs` runs out. */
export function grantEndMs(leaseEndMs: number): number {
  return leaseEndMs + SWEEP_AFTER_MS;
}

/** The statuses that a task can have; `statusOf` of the task rules derives them. */
export const TASK_STATUSES = ["waiting", "queued", "rendering", "paused", "completed", "failed", "canceled"] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

/** The statuses of a task that has ended. It gives out no more leases, unless a person asks for its frames again. */
export const ENDED: readonly TaskStatus[] = ["completed", "failed", "canceled"];

export function isEnded(status: TaskStatus): boolean {
  return ENDED.includes(status);
}

/**
 * The most frames of one lease. A longer list in a call about a lease is refused before it is
 * expanded, so that no call makes the manager or an agent build a list of a million numbers.
 */
export const MAX_LEASE_FRAMES = 10_000;
