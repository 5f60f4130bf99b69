/**
 * The lease protocol: claim, renew, complete, fail, release.
 *
 * `attempt` rises for ever within a task: it is the fencing token. Every call names `lease_id` (in the path) and `attempt`;
 * a superseded pair gets 409 `lease_lost` and changes nothing (P2). A frame is committed by the receipt of its upload,
 * which the manager signed when it stored the bytes under that attempt (P3).
 */
import { z } from "zod";
import { MAX_LEASE_FRAMES } from "./constants.ts";
import { framesSchema, instantSchema, machineTextSchema, plainText } from "./fields.ts";
import { planSchema, PLATFORMS } from "./plan.ts";

/** Client-made key that makes a claim idempotent: the same key by the same worker answers with the same live lease. */
const keySchema = z.string().regex(/^[A-Za-z0-9_-]{8,64}$/, "must be 8 to 64 letters, digits, '_' or '-'");

/** A lost worker's text can be long: errors are cut, never refused. */
export const MAX_ERROR_CHARS = 4_000;

export const claimSchema = z
  .strictObject({
    key: keySchema,
    platform: z.enum(PLATFORMS),
    /** The dispatch epoch of the registry's assignment; a task outranked since then answers `outranked`. */
    epoch: z.int().min(0).default(0),
  })
  .meta({ id: "Claim" });
export type Claim = z.infer<typeof claimSchema>;

export const doneFrameSchema = z
  .strictObject({
    frame: z.int(),
    /** Wall seconds this frame took. */
    seconds: z.number().min(0).max(1e8),
    /** Receipts of its uploads; empty only for types that make no files. */
    receipts: z.array(z.string().max(2_000)).max(8).default([]),
  })
  .meta({ id: "DoneFrame" });
export type DoneFrame = z.infer<typeof doneFrameSchema>;

const settleFields = {
  attempt: z.int().min(1),
  /**
   * Frames that are rendered and uploaded. A renewal commits them early; complete, fail and release name every frame of the
   * lease that is done, also those a renewal has committed, so that a repeated call is recognised.
   */
  done: z.array(doneFrameSchema).max(MAX_LEASE_FRAMES).default([]),
  /** Log lines gathered since the last call. */
  log: z.string().max(1_000_000).optional(),
};

/** What to claim next in the same call; null or absent when the worker wants to stop or ask the registry. */
const nextFields = { next: claimSchema.nullable().default(null) };

export const renewSchema = z
  .strictObject({ ...settleFields, progress: z.number().min(0).max(1).nullable().default(null) })
  .meta({ id: "Renew" });
export type Renew = z.infer<typeof renewSchema>;

export const completeSchema = z.strictObject({ ...settleFields, ...nextFields }).meta({ id: "Complete" });
export type Complete = z.infer<typeof completeSchema>;

export const failSchema = z
  .strictObject({
    ...settleFields,
    ...nextFields,
    /** The frames to blame: those that were tried and failed. The others go back unblamed. */
    frames: framesSchema,
    error: z.string().transform((text) => plainText(text.slice(0, MAX_ERROR_CHARS))),
  })
  .meta({ id: "Fail" });
export type Fail = z.infer<typeof failSchema>;

export const releaseSchema = z
  .strictObject({
    ...settleFields,
    /** Why the frames come back: infrastructure, never a render failure (P6). */
    reason: machineTextSchema(200).default("released"),
  })
  .meta({ id: "Release" });
export type Release = z.infer<typeof releaseSchema>;

export const leaseSchema = z
  .object({
    task_id: z.int(),
    lease_id: z.string(),
    attempt: z.int(),
    frames: z.string(),
    /** How long the lease lasts from now. Agents count on their own monotonic clock, so skewed clocks do no harm. */
    lease_ms: z.int(),
    until_ms: instantSchema,
    /** Signed right to upload under this attempt, and to read the plan's `input_task`. Header `Tablao-Grant`. */
    grant: z.string(),
    plan: planSchema,
  })
  .meta({ id: "Lease" });
export type Lease = z.infer<typeof leaseSchema>;

/**
 * Why a claim got nothing: nothing pending; finished, paused or canceled; waits for another task; this worker is kept off;
 * a higher priority calls (ask the registry).
 */
export const NO_LEASE_REASONS = ["nothing_pending", "not_running", "waiting", "kept_off", "outranked"] as const;
export type NoLeaseReason = (typeof NO_LEASE_REASONS)[number];

export const claimedSchema = z
  .object({
    lease: leaseSchema.nullable(),
    reason: z.enum(NO_LEASE_REASONS).nullable(),
    retry_after_ms: z.int().nullable(),
  })
  .meta({ id: "Claimed" });
export type Claimed = z.infer<typeof claimedSchema>;

/** `grant` replaces the one before: a grant lives little longer than its lease, so a superseded worker cannot leave strays. */
export const renewedSchema = z
  .object({
    lease_ms: z.int(),
    until_ms: instantSchema,
    grant: z.string(),
    /** Somebody follows the task's log: send lines as they come, and not with the next renewal only. */
    log_watched: z.boolean().default(false),
  })
  .meta({ id: "Renewed" });
export type Renewed = z.infer<typeof renewedSchema>;

export const settledSchema = z
  .object({
    /** Frames this lease has committed. */
    committed: z.int(),
    next: claimedSchema.nullable(),
  })
  .meta({ id: "Settled" });
export type Settled = z.infer<typeof settledSchema>;
