/**
 * What the manager sends to pages over WebSockets: `GET /live` (the farm) and `GET /tasks/N/live`
 * (one task).
 *
 * - The first message is a `snapshot`. It is a `delta` if the client connected with `?after=SEQ`
 *   and the manager still knows what changed since then.
 * - All further messages are `delta`s, at most four a second. A later `snapshot` replaces
 *   everything: too much had changed at once.
 * - `seq` rises from message to message, also across restarts of the manager. Numbers may be left
 *   out.
 * - Send `ping` now and then; the runtime answers `pong` without waking the object.
 * - A page that has been asleep connects with `?after=` the `seq` of the last message it took.
 */
import { z } from "zod";
import { pick } from "../lib/pick.ts";
import { dayTotalSchema } from "./history.ts";
import { idSchema, instantSchema } from "./fields.ts";
import { frameStateSchema, logPageSchema, taskSchema, taskSummarySchema } from "./task.ts";
import { workerSchema } from "./worker.ts";

export { CLOSE_GONE, CLOSE_SIGNED_OUT } from "./constants.ts";

/**
 * The least time between two deltas, in milliseconds. Shorter, pages cost the object time that
 * leases need; longer, a page shows changes late.
 */
export const LIVE_EVERY_MS = 250;

/**
 * The most tasks of a farm snapshot that have not ended, in the order of dispatch. This limit and
 * the next two bound the snapshot: without them, a large farm would take megabytes and too much of
 * the object's time for each page.
 */
export const LIVE_OPEN_TASKS = 2_000;
/** The most tasks of a farm snapshot that have ended, the last ended first. */
export const LIVE_ENDED_TASKS = 200;
/** The most workers of a farm snapshot. */
export const LIVE_WORKERS = 10_000;

/** The query `after` of both sockets. */
const after = z
  .int()
  .min(0)
  .optional()
  .meta({ description: "`seq` of the last message taken: get what was missed, if it is still known" });
/** Query of GET /live. */
export const farmLiveQuery = z.strictObject({ after });
/** Query of GET /tasks/N/live. */
export const taskLiveQuery = z.strictObject({
  after,
  log: z.literal("1").optional().meta({ description: "`1`: new lines of the log, too; not for share links" }),
});

/**
 * Fields of a worker that the farm view gets as they are. A page shows no column whose field is
 * missing here; a new column is one more entry.
 */
export const LIVE_WORKER_FIELDS = [
  "id",
  "hostname",
  "name",
  "connection",
  "status",
  "draining",
  "local_state",
  "current_task",
  "slots",
  "tags",
  "system",
  "version",
  "activity",
  "registered_ms",
  "last_seen_ms",
  "other_agent",
  "update_failed",
] as const satisfies readonly (keyof typeof workerSchema.shape)[];

/**
 * A worker as the farm view shows it. While `connection` is `online`, the worker was seen just now;
 * `last_seen_ms` only counts after that. Loads are null when the worker has not reported them.
 */
export const liveWorkerSchema = z
  .object(pick(workerSchema.shape, LIVE_WORKER_FIELDS))
  .extend({
    cpu_percent: z.number().nullable(),
    mem_percent: z.number().nullable(),
    load_1min: z.number().nullable(),
  })
  .meta({ id: "LiveWorker" });
/** A worker as the farm view shows it. */
export type LiveWorker = z.infer<typeof liveWorkerSchema>;

/** Totals since midnight UTC; `seconds` are render seconds. */
export const todaySchema = dayTotalSchema
  .pick({ day: true, frames: true, errors: true, lost: true, seconds: true })
  .meta({ id: "Today" });
/** Totals since midnight UTC. */
export type Today = z.infer<typeof todaySchema>;

/** The whole farm view. */
export const farmSnapshotSchema = z
  .object({
    type: z.literal("snapshot"),
    seq: z.int(),
    /** The manager's clock, for texts such as "5 min ago": clients' clocks differ. */
    now_ms: instantSchema,
    tasks: z.array(taskSummarySchema),
    /** How many tasks have not ended and did not fit. */
    tasks_left_out: z.int(),
    /** How many tasks have not ended, those that did not fit included. Absent before 0.2. */
    open_tasks: z.int().optional(),
    /** Whether there are ended tasks that did not fit. `GET /tasks?order=ended` has all. Absent before 0.2. */
    ended_left_out: z.boolean().optional(),
    workers: z.array(liveWorkerSchema),
    today: todaySchema,
  })
  .meta({ id: "FarmSnapshot" });

/**
 * What changed in the farm view. A field that is absent or empty means that nothing of its kind
 * changed.
 */
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
    /** How many tasks have not ended now, those that no message has named included. */
    open_tasks: z.int().optional(),
  })
  .meta({ id: "FarmDelta" });

/** A message of the socket GET /live. */
export const farmMessageSchema = z.discriminatedUnion("type", [farmSnapshotSchema, farmDeltaSchema]);
/** The whole farm view. */
export type FarmSnapshot = z.infer<typeof farmSnapshotSchema>;
/** What changed in the farm view. */
export type FarmDelta = z.infer<typeof farmDeltaSchema>;
/** A message of the socket GET /live. */
export type FarmMessage = z.infer<typeof farmMessageSchema>;

/**
 * Frame lists by state. Each text is one that `frame-list.ts` reads, so it has at most 1,024
 * ranges; a state with more ranges takes several texts. Frames in none of the states are pending: a
 * new task of a million frames is five empty arrays.
 */
export const frameListsSchema = z
  .object({
    leased: z.array(z.string()),
    done: z.array(z.string()),
    failed: z.array(z.string()),
    skipped: z.array(z.string()),
    /** The done frames that have a preview. */
    previews: z.array(z.string()),
  })
  .meta({ id: "FrameLists" });
/** The frames of a task by state. */
export type FrameLists = z.infer<typeof frameListsSchema>;

/** Frames that changed, by their present state. */
export const movedFramesSchema = frameListsSchema.extend({ pending: z.array(z.string()) }).meta({ id: "MovedFrames" });
/** Frames that changed, by their present state. */
export type MovedFrames = z.infer<typeof movedFramesSchema>;

/** One frame in its present state. `GET /tasks/N/frames?frames=…` says more about it. */
export const liveFrameSchema = z
  .object({
    frame: z.int(),
    state: frameStateSchema,
    /** Null when the frame was never leased, or was put back. */
    attempt: z.int().nullable(),
    worker_id: z.int().nullable(),
    /** Render seconds; null for frames that are not done. */
    seconds: z.number().nullable(),
    preview: z.boolean(),
  })
  .meta({ id: "LiveFrame" });
/** One frame in its present state. */
export type LiveFrame = z.infer<typeof liveFrameSchema>;

const logLineSchema = logPageSchema.shape.lines.element;

/** The whole view of one task. */
export const taskSnapshotSchema = z
  .object({
    type: z.literal("snapshot"),
    seq: z.int(),
    now_ms: instantSchema,
    task: taskSchema,
    frames: frameListsSchema,
  })
  .meta({ id: "TaskSnapshot" });

/** What changed in the view of one task. An absent field means that nothing of its kind changed. */
export const taskDeltaSchema = z
  .object({
    type: z.literal("delta"),
    seq: z.int(),
    now_ms: instantSchema,
    /**
     * The present task, with its leases and their progress, but without its settings: a change of
     * the settings is sent in a snapshot only.
     */
    task: taskSchema.omit({ settings: true }).optional(),
    frames: z.array(liveFrameSchema).optional(),
    /**
     * Sent instead of `frames` where more than 200 frames changed since the last message.
     * `GET /tasks/N/timings?frames=…` has the seconds and workers of the done ones.
     */
    moved: movedFramesSchema.optional(),
    /** New lines, for sockets that were opened with `log=1`. `GET /tasks/N/log` has older ones. */
    log: z.array(logLineSchema).optional(),
  })
  .meta({ id: "TaskDelta" });

/** A message of the socket GET /tasks/N/live. */
export const taskMessageSchema = z.discriminatedUnion("type", [taskSnapshotSchema, taskDeltaSchema]);
/** The whole view of one task. */
export type TaskSnapshot = z.infer<typeof taskSnapshotSchema>;
/** What changed in the view of one task. */
export type TaskDelta = z.infer<typeof taskDeltaSchema>;
/** A message of the socket GET /tasks/N/live. */
export type TaskMessage = z.infer<typeof taskMessageSchema>;

/**
 * GET /tasks/N/timings: done frames in columns, ascending by frame, for charts. All arrays have the
 * same length, and index i of each is about the same frame. `cursor` is null on the last page;
 * 100,000 frames are ten pages.
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
/** One page of the done frames of a task, in columns. */
export type Timings = z.infer<typeof timingsSchema>;
