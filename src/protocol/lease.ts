/**
 * The lease protocol: claim, renew, complete, fail, release.
 *
 * - `attempt` only rises within a task: it is the fencing token. Every call names `lease_id` (in
 *   the path) and `attempt`. A superseded pair gets 409 `lease_lost` and changes nothing (P2).
 * - A frame is committed by the receipt of its upload. The manager signed the receipt when it
 *   stored the bytes under that attempt (P3).
 */
import { z } from "zod";
import { arrayOf, textOf } from "./bounded.ts";
import { FAULTS, MAX_BODY_BYTES, MAX_LEASE_FRAMES, MAX_WARNING_CHARS, MAX_WARNINGS } from "./constants.ts";
import { framesSchema, instantSchema, machineTextSchema, plainText } from "./fields.ts";
import { OLD_GRANT_HEADER } from "./file.ts";
import { planSchema, PLATFORMS } from "./plan.ts";

/**
 * A key that the client makes; it makes a claim idempotent: the same key by the same worker answers
 * with the same live lease.
 */
const keySchema = z.string().regex(/^[A-Za-z0-9_-]{8,64}$/, "must be 8 to 64 letters, digits, '_' or '-'");

/**
 * The most characters of an error. A longer error is cut, never refused: a refusal would keep the
 * frames leased. A row of the history has room for an error of this length (`history-rows.ts`), not
 * for one that is many times longer.
 */
export const MAX_ERROR_CHARS = 4_000;

/** POST /tasks/N/leases: ask for a lease of frames of this task. */
export const claimSchema = z
  .strictObject({
    key: keySchema,
    platform: z.enum(PLATFORMS),
    /**
     * The dispatch epoch of the registry's assignment. A task that a higher priority has preempted
     * since then answers `outranked`.
     */
    epoch: z.int().min(0).default(0),
  })
  .meta({ id: "Claim" });
/** A claim, with its defaults filled in. */
export type Claim = z.infer<typeof claimSchema>;

/** A frame that is rendered and uploaded. */
export const doneFrameSchema = z
  .strictObject({
    frame: z.int(),
    /** Wall-clock seconds that this frame took. */
    seconds: z.number().min(0).max(1e8),
    /** Receipts of its uploads; empty only for task types that make no files. */
    receipts: arrayOf(textOf(2_000), 8).default([]),
  })
  .meta({ id: "DoneFrame" });
/** A done frame, as a call about a lease names it. */
export type DoneFrame = z.infer<typeof doneFrameSchema>;

/** A warning about frames of the same call. A longer text is cut, never refused. */
export const frameWarningSchema = z
  .strictObject({
    text: textOf(MAX_BODY_BYTES).min(1).transform(warningText),
    frames: framesSchema.meta({ description: "Frames of the lease; the warning is kept with those that are `done`" }),
  })
  .meta({ id: "FrameWarning" });
/** A warning about frames of a lease. */
export type FrameWarning = z.infer<typeof frameWarningSchema>;

/** A warning as it is kept: one line of at most MAX_WARNING_CHARS characters. */
function warningText(text: string): string {
  const line = plainText(text.slice(0, 4 * MAX_WARNING_CHARS))
    .replaceAll(/\s+/g, " ")
    .trim();
  return line.length <= MAX_WARNING_CHARS ? line : `${line.slice(0, MAX_WARNING_CHARS - 1)}…`;
}

const settleFields = {
  attempt: z.int().min(1),
  /**
   * Frames that are rendered and uploaded. A renewal commits them early. Complete, fail and release
   * name every done frame of the lease, also those that a renewal has committed, so that the
   * manager recognises a repeated call.
   */
  done: arrayOf(doneFrameSchema, MAX_LEASE_FRAMES).default([]),
  /**
   * What people should know of these frames. A warning counts for a frame when the call commits it. Managers of
   * 0.1 refuse the field: `takes_warnings` of the lease says whether this one takes it.
   */
  warnings: arrayOf(frameWarningSchema, MAX_WARNINGS).optional(),
  /** Frames whose pictures have one colour only, and frames whose pictures have several. As `warnings`. */
  one_colour: framesSchema.optional(),
  several_colours: framesSchema.optional(),
  /** Log lines since the last call. */
  log: z.string().max(1_000_000).optional(),
};

/**
 * What to claim next in the same call; null or absent when the worker wants to stop or to ask the
 * registry.
 */
const nextFields = { next: claimSchema.nullable().default(null) };

/** POST …/renew: keep the lease, commit frames, and report progress (0 to 1; null when unknown). */
export const renewSchema = z
  .strictObject({ ...settleFields, progress: z.number().min(0).max(1).nullable().default(null) })
  .meta({ id: "Renew" });
/** A renewal, with its defaults filled in. */
export type Renew = z.infer<typeof renewSchema>;

/** POST …/complete: commit the last frames and end the lease. */
export const completeSchema = z.strictObject({ ...settleFields, ...nextFields }).meta({ id: "Complete" });
/** A completion, with its defaults filled in. */
export type Complete = z.infer<typeof completeSchema>;

/** POST …/fail: a render failure, which ends the lease. */
export const failSchema = z
  .strictObject({
    ...settleFields,
    ...nextFields,
    /**
     * The frames that were tried and failed; each counts a render failure. The other frames of the
     * lease are pending again, without a failure.
     */
    frames: framesSchema,
    error: textOf(MAX_BODY_BYTES).transform((text) => plainText(text.slice(0, MAX_ERROR_CHARS))),
    /**
     * Whose fault it is; absent where that is not known. Managers of 0.1 refuse the field: `takes_fault` of the lease
     * says whether this one takes it.
     */
    fault: z
      .enum(FAULTS)
      .optional()
      .meta({
        description:
          "`scene`: every other worker would find the same. The task stops, unless one of its frames is done. " +
          "Send it only when the lease says `takes_fault`",
      }),
  })
  .meta({ id: "Fail" });
/** A render failure, with its defaults filled in and its error cut to MAX_ERROR_CHARS. */
export type Fail = z.infer<typeof failSchema>;

/**
 * Why an agent gives a lease back. What follows from each is in `src/task/rules/verdicts.ts` (P6).
 * - `stopping`: the agent stops, or finishes one frame and gives back the others.
 * - `unable`: it cannot run the plan: a program is missing, or its owner does not allow it.
 * - `version`: a newer version of the program saved the file, and this one crashed or could not read it.
 * - `disk`: its disk is full.
 * - `transfer`: inputs or outputs do not get through between it and the manager.
 * - `other`: any other trouble of its machine.
 */
export const RELEASE_CAUSES = ["stopping", "unable", "version", "disk", "transfer", "other"] as const;
/** One of those causes. */
export type ReleaseCause = (typeof RELEASE_CAUSES)[number];

/** POST …/release: give the frames back, which ends the lease. */
export const releaseSchema = z
  .strictObject({
    ...settleFields,
    /** Why the frames come back. It is infrastructure, never a render failure (P6). */
    reason: machineTextSchema(200).default("released"),
    /** Agents up to 0.1 name none: the manager takes it from the reason. */
    cause: z.enum(RELEASE_CAUSES).optional(),
    /** The frames that could not be delivered; absent: all that are not done. */
    frames: framesSchema.optional(),
  })
  .meta({ id: "Release" });
/** A release, with its defaults filled in. */
export type Release = z.infer<typeof releaseSchema>;

/**
 * The request header that the grant goes into. A manager up to version 0.1 does not name it. An
 * agent sends the grant into no header that is not ours, whatever its manager says.
 */
const grantHeaderSchema = z
  .string()
  .regex(/^Tablao-[A-Za-z-]{1,50}$/)
  .default(OLD_GRANT_HEADER);

/**
 * A lease, as a worker gets it: its frames (a frame list), its end, the right to upload, and the
 * plan.
 */
export const leaseSchema = z
  .object({
    task_id: z.int(),
    lease_id: z.string(),
    attempt: z.int(),
    frames: z.string(),
    /**
     * Milliseconds from now until the lease ends. Agents measure them on their own monotonic clock,
     * so clocks that differ do no harm.
     */
    lease_ms: z.int(),
    until_ms: instantSchema,
    /**
     * The signed right to upload under this attempt, and to read the files of the plan's
     * `input_task`.
     */
    grant: z.string(),
    grant_header: grantHeaderSchema,
    /** The manager keeps `warnings` of frames. One of 0.1 does not, and refuses a call that has them. */
    takes_warnings: z.boolean().default(false),
    /** The manager knows `fault` of a failure. One of 0.1 does not, and refuses a call that has it. */
    takes_fault: z.boolean().default(false),
    plan: planSchema,
  })
  .meta({ id: "Lease" });
/** A lease, as a worker gets it. */
export type Lease = z.infer<typeof leaseSchema>;

/**
 * Why a claim got no lease. Agents act on these words; they take a word that they do not know for
 * `nothing_pending`.
 * - `nothing_pending`: no frame can be claimed now.
 * - `not_running`: the task is finished, paused or canceled.
 * - `waiting`: it waits for another task.
 * - `kept_off`: this worker is on the task's blocklist.
 * - `blender`: the task needs another version of Blender than this worker has, or is bound to one.
 * - `outranked`: a task with a higher priority has preempted it; ask the registry.
 */
export const NO_LEASE_REASONS = [
  "nothing_pending",
  "not_running",
  "waiting",
  "kept_off",
  "blender",
  "outranked",
] as const;
/** One of those reasons. */
export type NoLeaseReason = (typeof NO_LEASE_REASONS)[number];

/**
 * The answer to a claim: a lease, or a reason and the milliseconds after which to ask this task
 * again (null: the manager names no time).
 */
export const claimedSchema = z
  .object({
    lease: leaseSchema.nullable(),
    reason: z.enum(NO_LEASE_REASONS).nullable(),
    retry_after_ms: z.int().nullable(),
  })
  .meta({ id: "Claimed" });
/** The answer to a claim. */
export type Claimed = z.infer<typeof claimedSchema>;

/**
 * The answer to a renewal. `grant` replaces the one before. A grant ends soon after its lease, so a
 * superseded worker cannot leave files that nothing deletes.
 */
export const renewedSchema = z
  .object({
    lease_ms: z.int(),
    until_ms: instantSchema,
    grant: z.string(),
    grant_header: grantHeaderSchema,
    /**
     * A page follows the task's log: send lines as they come, and not only with the next renewal.
     */
    log_watched: z.boolean().default(false),
  })
  .meta({ id: "Renewed" });
/** The answer to a renewal. */
export type Renewed = z.infer<typeof renewedSchema>;

/** The answer to a call that ends a lease; `next` answers the claim in the same call. */
export const settledSchema = z
  .object({
    /** How many frames this lease has committed. */
    committed: z.int(),
    next: claimedSchema.nullable(),
  })
  .meta({ id: "Settled" });
/** The answer to a call that ends a lease. */
export type Settled = z.infer<typeof settledSchema>;
