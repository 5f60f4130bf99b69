/**
 * What the manager sends to pages over WebSockets: `GET /live` (the farm) and `GET /tasks/N/live` (one task).
 *
 * The first message is a `snapshot`, unless the client came with `?after=SEQ` and what it missed is still known: then it is a
 * `delta`. From then on `delta`s, at most four a second. `seq` rises from message to message, also across restarts of the
 * manager; numbers may be left out. A later `snapshot` replaces everything (too much had changed at once).
 *
 * Send `ping` now and then; `pong` comes back without waking anything. A page that has been asleep connects with
 * `?after=` the `seq` of the last message it took.
 */
import { z } from "zod";
import { pick } from "../lib/pick.ts";
import { dayTotalSchema } from "./history.ts";
import { idSchema, instantSchema } from "./fields.ts";
import { frameStateSchema, logPageSchema, taskSchema, taskSummarySchema } from "./task.ts";
import { workerSchema } from "./worker.ts";

export { CLOSE_GONE, CLOSE_SIGNED_OUT } from "./constants.ts";

/** Deltas are this far apart at least. */
export const LIVE_EVERY_MS = 250;

/** A snapshot of the farm holds at most this many tasks that have not ended (in the order of dispatch), … */
export const LIVE_OPEN_TASKS = 2_000;
/** … the newest so many that have, … */
export const LIVE_ENDED_TASKS = 200;
/** … and so many workers. */
export const LIVE_WORKERS = 10_000;

/** `?after=` of both sockets. */
const after = z
  .int()
  .min(0)
  .optional()
  .meta({ description: "`seq` of the last message taken: get what was missed, if it is still known" });
export const farmLiveQuery = z.strictObject({ after });
export const taskLiveQuery = z.strictObject({
  after,
  log: z.literal("1").optional().meta({ description: "`1`: new lines of the log, too; not for share links" }),
});

/** Fields of a worker that the farm view gets as they are. A new column is one more entry here. */
export const LIVE_WORKER_FIELDS = [
  "id",
  "hostname",
  "name",
  "connection",
  "status",
  "draining",
  "current_task",
  "slots",
  "tags",
  "system",
  "version",
  "activity",
  "registered_ms",
  "last_seen_ms",
] as const satisfies readonly (keyof typeof workerSchema.shape)[];

/**
 * A worker as the farm view shows it. While `connection` is online it was seen just now;
 * `last_seen_ms` counts after that.
 */
export const liveWorkerSchema = z
  .object(pick(workerSchema.shape, LIVE_WORKER_FIELDS))
  .extend({
    cpu_percent: z.number().nullable(),
    mem_percent: z.number().nullable(),
    load_1min: z.number().nullable(),
  })
  .meta({ id: "LiveWorker" });
export type LiveWorker = z.infer<typeof liveWorkerSchema>;

/** What was done since midnight UTC. */
export const todaySchema = dayTotalSchema
  .pick({ day: true, frames: true, errors: true, lost: true, seconds: true })
  .meta({ id: "Today" });
export type Today = z.infer<typeof todaySchema>;

export const farmSnapshotSchema = z
  .object({
    type: z.literal("snapshot"),
    seq: z.int(),
    /** The manager's clock, for "ago" texts: clients' clocks differ. */
    now_ms: instantSchema,
    tasks: z.array(taskSummarySchema),
    /** Tasks that have not ended and did not fit. */
    tasks_left_out: z.int(),
    workers: z.array(liveWorkerSchema),
    today: todaySchema,
  })
  .meta({ id: "FarmSnapshot" });

/** Only what changed; absent or empty: nothing of that kind. */
export const farmDeltaSchema = z
  .object({
    type: z.literal("delta"),
    seq: z.int(),
    now_ms: instantSchema,
    tasks: z.array(taskSummarySchema).optional(),
    tasks_gone: z.array(idSchema).optional(),
    workers: z.array(liveWorkerSchema).optional(),
    workers_gone: z.array(idSchema).optional(),
    today: todaySchema.optional(),
  })
  .meta({ id: "FarmDelta" });

export const farmMessageSchema = z.discriminatedUnion("type", [farmSnapshotSchema, farmDeltaSchema]);
export type FarmSnapshot = z.infer<typeof farmSnapshotSchema>;
export type FarmDelta = z.infer<typeof farmDeltaSchema>;
export type FarmMessage = z.infer<typeof farmMessageSchema>;

/**
 * Frame lists by state, each text one that `frame-list.ts` reads (so of at most 1,024 ranges; states that are scattered take several
 * texts). Frames in none of them are pending: a new task of a million frames is five empty arrays.
 */
export const frameListsSchema = z
  .object({
    leased: z.array(z.string()),
    done: z.array(z.string()),
    failed: z.array(z.string()),
    skipped: z.array(z.string()),
    /** Of the done ones: those that have a preview. */
    previews: z.array(z.string()),
  })
  .meta({ id: "FrameLists" });
export type FrameLists = z.infer<typeof frameListsSchema>;

/** Frames that changed, by the state that they are in now. */
export const movedFramesSchema = frameListsSchema.extend({ pending: z.array(z.string()) }).meta({ id: "MovedFrames" });
export type MovedFrames = z.infer<typeof movedFramesSchema>;

/** One frame as it is now. More about it: `GET /tasks/N/frames?frames=…`. */
export const liveFrameSchema = z
  .object({
    frame: z.int(),
    state: frameStateSchema,
    /** Null when it was never leased, or was put back. */
    attempt: z.int().nullable(),
    worker_id: z.int().nullable(),
    /** Render seconds; of done frames only. */
    seconds: z.number().nullable(),
    preview: z.boolean(),
  })
  .meta({ id: "LiveFrame" });
export type LiveFrame = z.infer<typeof liveFrameSchema>;

const logLineSchema = logPageSchema.shape.lines.element;

export const taskSnapshotSchema = z
  .object({
    type: z.literal("snapshot"),
    seq: z.int(),
    now_ms: instantSchema,
    task: taskSchema,
    frames: frameListsSchema,
  })
  .meta({ id: "TaskSnapshot" });

export const taskDeltaSchema = z
  .object({
    type: z.literal("delta"),
    seq: z.int(),
    now_ms: instantSchema,
    /** The task as it is now, leases with their progress included, but without its settings: those only change in a snapshot. */
    task: taskSchema.omit({ settings: true }).optional(),
    frames: z.array(liveFrameSchema).optional(),
    /**
     * Instead of `frames`, where more than 200 changed since the last message. What else is known of those that are done:
     * `GET /tasks/N/timings?frames=…`.
     */
    moved: movedFramesSchema.optional(),
    /** New lines, for sockets opened with `log=1`. Older ones: `GET /tasks/N/log`. */
    log: z.array(logLineSchema).optional(),
  })
  .meta({ id: "TaskDelta" });

export const taskMessageSchema = z.discriminatedUnion("type", [taskSnapshotSchema, taskDeltaSchema]);
export type TaskSnapshot = z.infer<typeof taskSnapshotSchema>;
export type TaskDelta = z.infer<typeof taskDeltaSchema>;
export type TaskMessage = z.infer<typeof taskMessageSchema>;

/**
 * GET /tasks/N/timings: done frames in columns, ascending by frame, for charts: all arrays have the same length, and index i of
 * each is about the same frame. 100,000 frames are ten pages.
 */
export const timingsSchema = z
  .object({
    frames: z.array(z.int()),
    seconds: z.array(z.number()),
    worker_ids: z.array(z.int()),
    attempts: z.array(z.int()),
    committed_ms: z.array(instantSchema),
    cursor: z.string().nullable(),
  })
  .meta({ id: "Timings" });
export type Timings = z.infer<typeof timingsSchema>;
