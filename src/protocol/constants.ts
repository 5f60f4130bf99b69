/**
 * Limits and names that several sides must agree on. No schema library here: the page and the
 * parsers load this file alone, and zod would make the page's first script several times as large.
 */

/**
 * Farm settings whose names start with this are render presets. The names are stored, so with
 * another prefix the manager would find none of the presets that a farm has.
 */
export const PRESET_PREFIX = "render.";

/**
 * Every fatal line of the script that Blender runs starts with this. The compiler of
 * `blender_render` writes it and the parser reads it; if they differed, a failed check of the scene
 * would be reported as an ordinary line of the log.
 */
export const FATAL_PREFIX = "Tablao: ";

/**
 * Whose fault a failure is, where that is known (P6). `scene`: every other worker would find the same, because it
 * depends on the submitted files and settings alone.
 */
export const FAULTS = ["scene"] as const;
/** One of those. */
export type Fault = (typeof FAULTS)[number];

/**
 * The line before a fatal line of that script says with this whose fault it is: `tablao: fault: scene`. It is a line
 * of its own because agents of 0.1 show the whole fatal line to people. If the two sides differed, a scene that no
 * worker can render would be tried again on others.
 */
export const FAULT_PREFIX = "tablao: fault: ";

/**
 * Every warning of that script, and of programs whose output `plain` reads, starts with this. If the two sides
 * differed, a warning would be an ordinary line of the log, which nobody reads of a task that completed.
 */
export const WARNING_PREFIX = "tablao: warning: ";

/**
 * The line with which that script names the scenes that are rendered with the engine of the file, whether files may
 * be missing, and the size of the pictures, as JSON. If the two sides differed, a scene whose engine the worker lacks would be rendered
 * with another one.
 */
export const SCENES_PREFIX = "tablao: scenes ";

/**
 * The most different warnings of a task; more are counted under one text. They are a part of the task's record
 * and of each answer about it, so without this limit one lease could fill both.
 */
export const MAX_WARNINGS = 20;
/** Stands for all warnings of a task, or of a lease, beyond those that are kept by their own texts. */
export const OTHER_WARNINGS = "other warnings: see the log of the task";
/** The most characters of a warning; the rest is cut off. Longer ones would fill the record as well. */
export const MAX_WARNING_CHARS = 300;

/**
 * The parsers that an agent has. A plan names one, and `parsers/index.ts` must have an entry for
 * each. Without a name here, the manager refuses the tasks that ask for that parser.
 */
export const PARSER_NAMES = ["blender_render", "ffmpeg", "plain"] as const;
/** The name of one of those parsers. */
export type ParserName = (typeof PARSER_NAMES)[number];

/**
 * Size of each part of a large file but the last, in bytes. It is below every request-body limit of
 * the platform (100 MB on the lower plans). The places of the parts of stored files follow from it,
 * so with another value stored files would be read wrongly.
 */
export const PART_BYTES = 32 * 1024 * 1024;
/**
 * The most bytes of a file: 1,000 parts. The limit is our own. Above 9,999 parts, a listing of
 * parts would no longer be in order (`files/keys.ts`).
 */
export const MAX_FILE_BYTES = 1_000 * PART_BYTES;

/**
 * The most inputs of a task. The limit is our own. The list is stored with the task and sent with
 * every lease, so a longer list would slow down every claim.
 */
export const MAX_INPUTS = 10_000;

/**
 * The most hashes that our clients put into one `POST /assets/missing`; the manager takes 1,000.
 * Where the index of inputs cannot answer, it looks each of them up in R2, and a request of the
 * free plan may make 1,000 calls to Cloudflare's services
 * (https://developers.cloudflare.com/workers/platform/limits/#subrequests).
 */
export const ASKED_AT_ONCE = 900;

/**
 * The most bytes of a JSON or form body. The log of a lease (1 MB) with its receipts fits; a lower
 * value would refuse such a completion. Files have routes of their own.
 */
export const MAX_BODY_BYTES = 2 * 1024 * 1024;
/**
 * The most bytes of such a body on a route that needs no token: those take a token of 4,096
 * characters at most. With MAX_BODY_BYTES, a hundred slow requests of a stranger would fill the memory of
 * an isolate.
 */
export const MAX_OPEN_BODY_BYTES = 16 * 1024;

/**
 * Close code of a live socket: the session is over or its token was revoked. The page must sign in
 * again before it connects again; with another code, pages of other versions would connect again at
 * once.
 */
export const CLOSE_SIGNED_OUT = 4003;
/**
 * Close code of a task's live socket: the task has been removed. With another code, pages of other
 * versions would go on connecting.
 */
export const CLOSE_GONE = 4004;

/**
 * Uploads granted by a lease may still be under way when the lease ends. Its grant is valid this
 * much longer, and its uploads that were not committed are deleted only then. Shorter, a slow
 * upload would be refused at its end. If the deletion came before the end of the grant, an upload
 * that arrived after it would stay for ever.
 */
export const SWEEP_AFTER_MS = 60_000;

/** The instant at which the grant of a lease that ends at `leaseEndMs` runs out. */
export function grantEndMs(leaseEndMs: number): number {
  return leaseEndMs + SWEEP_AFTER_MS;
}

/**
 * The statuses that a task can have; `statusOf` of the task rules derives them. They are on the
 * wire and stored, so a status under another name would be refused or not found.
 */
export const TASK_STATUSES = ["waiting", "queued", "rendering", "paused", "completed", "failed", "canceled"] as const;
/** One of the statuses of a task. */
export type TaskStatus = (typeof TASK_STATUSES)[number];

/**
 * The statuses of a task that has ended. It gives out no more leases, unless a person asks for its
 * frames again. With one status missing, a command that waits for such a task would wait for ever.
 */
export const ENDED: readonly TaskStatus[] = ["completed", "failed", "canceled"];

/** Whether a task with this status has ended. */
export function isEnded(status: TaskStatus): boolean {
  return ENDED.includes(status);
}

/**
 * The most frames of one lease. A call about a lease with more frames is refused before its list is
 * expanded. Without the limit, one call could make the manager or an agent build a list of a
 * million numbers.
 */
export const MAX_LEASE_FRAMES = 10_000;

/**
 * The cron trigger of the watchdog: every five minutes. `wrangler.toml` names it, and the manager
 * knows the trigger by this text; if they differed, the watchdog would never run.
 */
export const WATCH_CRON = "*/5 * * * *";

/**
 * The cron trigger of the sweep of unused inputs (decision 021): once a day, after the daily jobs.
 * `wrangler.toml` names it, too; if they differed, nothing would be swept.
 */
export const SWEEP_CRON = "53 4 * * *";

/** `frames` of a requeue of all frames, whatever their state. On the wire. */
export const ALL_FRAMES = "all";
