/** Tasks: what is submitted, what is shown, and what may be changed. */
import { z } from "zod";
import { arrayOf, recordOf, textOf } from "./bounded.ts";
import { ALL_FRAMES, MAX_LEASE_FRAMES, TASK_STATUSES } from "./constants.ts";
import {
  crc32Schema,
  framesSchema,
  idSchema,
  instantSchema,
  lineSchema,
  machineTextSchema,
  prioritySchema,
  sha256Schema,
  tagSchema,
} from "./fields.ts";
import { historyFailureSchema } from "./history.ts";
import { FOREVER, MAX_RETENTION_DAYS, RETENTION_RULE } from "./retention.ts";

/** A status of a task. */
export const taskStatusSchema = z.enum(TASK_STATUSES);
export type { TaskStatus } from "./constants.ts";

/**
 * The states of a frame (P1). On the wire and stored: frames in a state under another name would
 * not be found.
 */
export const FRAME_STATES = ["pending", "leased", "done", "failed", "skipped"] as const;
/** A state of a frame. */
export const frameStateSchema = z.enum(FRAME_STATES);
/** A state of a frame. */
export type FrameState = z.infer<typeof frameStateSchema>;

const DEFAULT_PRIORITY = 50;
/**
 * How long a lease lasts, in milliseconds, when neither task nor farm sets it (P5). Shorter, a
 * short failure of a laptop's network costs a lease; longer, the frames of a dead machine wait
 * longer.
 */
export const DEFAULT_LEASE_MS = 60_000;

/** More than any task type has, so that a mistyped one can still be named. */
const MAX_TASK_SETTINGS = 200;
/** Longer than any name; what is not known is refused by its name. */
const MAX_SETTING_NAME_CHARS = 200;

/**
 * The compiler interprets the settings. The 2015 protocol sends them as a JSON string; we take an
 * object as well.
 */
const settingsSchema = z
  .union([
    // The compiler checks the values, and refuses what it does not know.
    recordOf(z.string().max(MAX_SETTING_NAME_CHARS), z.unknown(), MAX_TASK_SETTINGS),
    textOf(1_000_000).transform((text, context): Record<string, unknown> => {
      if (text.trim() === "") return {};
      try {
        const value: unknown = JSON.parse(text);
        if (typeof value === "object" && value !== null && !Array.isArray(value)) {
          if (Object.keys(value).length <= MAX_TASK_SETTINGS) return value as Record<string, unknown>;
          context.addIssue({ code: "custom", message: `must have at most ${MAX_TASK_SETTINGS} entries` });
          return z.NEVER;
        }
      } catch {
        // The message below is for this case, too.
      }
      context.addIssue({ code: "custom", message: "must be an object, or a string that holds a JSON object" });
      return z.NEVER;
    }),
  ])
  .meta({ description: "Settings for the task, interpreted by the compiler: an object, or a JSON string as in 2015" });

/** After how many days a task is deleted, or `forever`. */
const retentionDaysSchema = z.union([
  z.int(RETENTION_RULE).min(1, RETENTION_RULE).max(MAX_RETENTION_DAYS, RETENTION_RULE),
  z.literal(FOREVER, RETENTION_RULE),
]);

/** A task's own values of the two settings; null: the farm's counts. */
const ownRetention = {
  retention_days: retentionDaysSchema.nullable().optional().meta({
    description:
      "Deleted so many days after its end; `forever`: kept, whatever the farm's rules say; null: as the farm's setting says",
  }),
  retention_after_download_days: retentionDaysSchema.nullable().optional().meta({
    description: "Deleted so many days after all its files were downloaded; null: as the farm's setting says",
  }),
};

/** A task that must be done first. */
export const dependencySchema = z
  .strictObject({
    task: idSchema,
    /** `all`: wait for the whole task. `same`: frame n waits for frame n of the other task only. */
    frames: z.enum(["all", "same"]).default("all"),
  })
  .meta({ id: "Dependency" });
/** A task that must be done first. */
export type Dependency = z.infer<typeof dependencySchema>;

/** POST /tasks: a new task. `depends_on` takes ids of tasks as well. */
export const taskSubmitSchema = z
  .strictObject({
    type: z.string().min(1).max(64).meta({ description: "The compiler to use" }),
    parser: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .meta({ description: "The parser to use; by default the compiler's own" }),
    settings: settingsSchema.default({}),
    priority: prioritySchema.default(DEFAULT_PRIORITY),
    task_id: z.int().min(0).max(Number.MAX_SAFE_INTEGER).optional().meta({
      description: "The submitter's own id. Posting it again answers with the existing task",
    }),
    name: lineSchema(200).optional(),
    chunk: z
      .union([z.int().min(1).max(MAX_LEASE_FRAMES), z.literal("auto")])
      .default(1)
      .meta({
        description: "Frames leased together, or `auto` to aim at a target runtime",
      }),
    order: z.enum(["ascending", "preview"]).default("ascending").meta({
      description: "`preview`: first, last, middle, then bisecting",
    }),
    depends_on: arrayOf(
      z
        .union([idSchema, dependencySchema])
        .transform((d): Dependency => (typeof d === "number" ? { task: d, frames: "all" } : d)),
      32,
    ).default([]),
    tags: arrayOf(tagSchema, 16).default([]).meta({ description: "Only workers that have all of these tags" }),
    lease_s: z.int().min(5).max(86_400).optional().meta({ description: "Lease in seconds; 60 by default" }),
    tries: z
      .int()
      .min(1)
      .max(20)
      .default(3)
      .meta({ description: "Render failures after which a frame stops as failed (P6)" }),
    paused: z.boolean().default(false).meta({ description: "Submit, but do not start" }),
    // Without a default: it would change the hash of the body, by which a repeated submission is known.
    ...ownRetention,
  })
  .meta({ id: "TaskSubmit" });
/** A submitted task, with its defaults filled in. */
export type TaskSubmit = z.infer<typeof taskSubmitSchema>;

/**
 * The verbs that `status` of a PATCH can have. With `frames`, requeue and skip act on those frames
 * only. On the wire: a verb under another name would be refused.
 */
export const TASK_ACTIONS = ["pause", "resume", "cancel", "requeue", "skip"] as const;
/** One of those verbs. */
export type TaskAction = (typeof TASK_ACTIONS)[number];

/** PATCH /tasks/N: change a task, or (from a worker) report on it. */
export const taskPatchSchema = z
  .strictObject({
    priority: prioritySchema.optional(),
    status: z.enum(TASK_ACTIONS).optional(),
    frames: z
      .union([z.literal(ALL_FRAMES), framesSchema])
      .optional()
      .meta({
        description:
          "With `requeue` or `skip`: only these frames, finished ones included; `all` (with `requeue`): all frames. " +
          "Without it, `requeue` takes what failed or was canceled",
      }),
    files_version: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .meta({
        description:
          "With `requeue` and `frames`, needed when finished frames are among them: the `files_version` of the task as " +
          "the caller saw it. 409 when frames were finished since",
      }),
    settings: settingsSchema.optional().meta({ description: "Only before the first lease" }),
    name: lineSchema(200).optional(),
    drop_dependency: idSchema.optional().meta({
      description:
        "No longer wait for this task, also when it was deleted; a task that stopped because of that goes on. " +
        "409 for the task whose files it reads",
    }),
    ...ownRetention,
    log: z.string().max(1_000_000).optional().meta({ description: "From a worker: lines for the task's log" }),
    activity: machineTextSchema(4_096).optional().meta({ description: "From a worker: what it does now" }),
    time_cost: z.number().min(0).max(1e9).optional().meta({ description: "From a worker: seconds spent" }),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), "must change something")
  .refine((patch) => patch.frames === undefined || patch.status === "requeue" || patch.status === "skip", {
    path: ["frames"],
    message: "goes with status `requeue` or `skip` only",
  })
  .refine((patch) => patch.status !== "skip" || (patch.frames !== undefined && patch.frames !== ALL_FRAMES), {
    path: ["frames"],
    message: "says which frames to skip",
  })
  .refine((patch) => patch.files_version === undefined || (patch.status === "requeue" && patch.frames !== undefined), {
    path: ["files_version"],
    message: "goes with status `requeue` and `frames` only",
  })
  .meta({ id: "TaskPatch" });
/** A change of a task, or a report on it. */
export type TaskPatch = z.infer<typeof taskPatchSchema>;

/** How many frames of a task are in each state; `total` is the sum. */
export const frameCountsSchema = z
  .object({ total: z.int(), pending: z.int(), leased: z.int(), done: z.int(), failed: z.int(), skipped: z.int() })
  .meta({ id: "FrameCounts" });
/** How many frames of a task are in each state. */
export type FrameCounts = z.infer<typeof frameCountsSchema>;

/**
 * When the task will be done: the earliest and the latest instant. They follow from the frame times
 * measured so far, their spread, and the workers that are on it now. They are an estimate and no
 * promise: workers come and go.
 */
export const etaSchema = z.object({ low_ms: instantSchema, high_ms: instantSchema }).meta({ id: "Eta" });
/** The earliest and the latest instant at which a task will be done. */
export type Eta = z.infer<typeof etaSchema>;

/**
 * What every list shows of a task; the registry holds one of these for each task. The first eight
 * fields are those of the 2015 protocol.
 */
export const taskSummarySchema = z
  .object({
    id: idSchema,
    worker_id: z.int().min(0).meta({ description: "Worker of the newest live lease; 0 when nobody works on it" }),
    priority: z.int(),
    frame_start: z.int(),
    frame_end: z.int(),
    frame_current: z.int().meta({ description: "The frame committed last; `frame_start` before the first" }),
    status: taskStatusSchema,
    format: z.string().meta({ description: "Image or video format; empty when the task makes no files" }),
    name: z.string(),
    type: z.string(),
    parser: z.string(),
    owner: z.string().meta({
      description: "Who submitted it: `admin`, or `name#id` of the artist's token (names repeat, ids do not)",
    }),
    task_id: z.int().nullable().meta({ description: "The submitter's own id" }),
    frames: frameCountsSchema,
    error: z.string().nullable().meta({ description: "The newest failure, in the renderer's own words" }),
    created_ms: instantSchema,
    updated_ms: instantSchema,
    seconds: z.number().meta({ description: "Render seconds of the frames that are done" }),
    errors: z.int().meta({ description: "Render failures so far, tries that went well later included" }),
    lost: z.int().meta({ description: "Frames given back unblamed so far: lost, stopped or canceled workers" }),
    stored_bytes: z.int().min(0).nullish().meta({
      description:
        "Bytes of the files of its done frames, previews included. Null or absent while they are not counted: in tasks of 0.1",
    }),
    eta: etaSchema.nullable().meta({ description: "Null while nobody works on it, or nothing has been measured" }),
    warning_count: z.int().optional().meta({ description: "How many different warnings it has; absent for none" }),
    history_failure: historyFailureSchema
      .optional()
      .meta({ description: "Absent while its history is written, and whole" }),
    ...ownRetention,
    retention_set_ms: instantSchema
      .nullable()
      .optional()
      .meta({ description: "When the two fields above were last changed after the submission" }),
    ended_ms: instantSchema
      .nullable()
      .optional()
      .meta({ description: "When it became completed, failed or canceled; absent while it has not ended" }),
    downloaded_ms: instantSchema
      .nullable()
      .optional()
      .meta({ description: "When all its files were said to be downloaded; absent again when a file changes" }),
    expires_ms: instantSchema.nullable().optional().meta({
      description:
        "When a rule deletes it at the earliest; null: never. In lists and `GET /tasks/{id}`, when it has ended",
    }),
    expires_by: z.enum(["task", "farm"]).nullable().optional().meta({ description: "Whose rule that is" }),
  })
  .meta({ id: "TaskSummary" });
/** What every list shows of a task. */
export type TaskSummary = z.infer<typeof taskSummarySchema>;

/** A committed file of a frame; `size` is in bytes. */
export const outputFileSchema = z
  .object({
    name: z.string(),
    size: z.int().min(0),
    sha256: sha256Schema,
    /** Absent where the agent sent none. Only a zip needs it. */
    crc32: crc32Schema.optional(),
    /**
     * Of a file above 32 MiB: the hash of the list of its parts, which the manager has checked.
     * `sha256` is then only what the worker said. Absent where the manager has checked `sha256`.
     */
    pieces: sha256Schema.optional(),
    /**
     * `preview`: a small picture of the frame, made by the agent. Absent for the frame's own file,
     * which comes first.
     */
    kind: z.literal("preview").optional(),
  })
  .meta({ id: "OutputFile" });
/** A committed file of a frame. */
export type OutputFile = z.infer<typeof outputFileSchema>;

const liveLeaseSchema = z
  .object({
    lease_id: z.string(),
    attempt: z.int(),
    worker_id: z.int(),
    frames: z.string(),
    claimed_ms: instantSchema,
    until_ms: instantSchema,
    progress: z.number().min(0).max(1).nullable(),
  })
  .meta({ id: "LiveLease" });

/** A warning about frames that are done. */
const taskWarningSchema = z
  .object({
    text: z.string(),
    frames: z.int().meta({ description: "How many done frames have it" }),
    first_frame: z
      .int()
      .nullable()
      .meta({ description: "The lowest of them; null when it is not known, because that one was rendered anew" }),
  })
  .meta({ id: "TaskWarning" });

/**
 * GET /tasks/N. `settings` are the normalised ones, `lease_ms` is in milliseconds, and `leases` are
 * the live leases.
 */
export const taskSchema = taskSummarySchema
  .extend({
    frame_list: z.string(),
    settings: z.record(z.string(), z.unknown()),
    chunk: z.union([z.int(), z.literal("auto")]),
    order: z.enum(["ascending", "preview"]),
    depends_on: z.array(dependencySchema),
    tags: z.array(z.string()),
    lease_ms: z.int(),
    tries: z.int(),
    leases: z.array(liveLeaseSchema),
    /**
     * Workers that get no frames of the task before `until_ms`: they failed it repeatedly, or their
     * machines were at fault; then `reason` is what they reported.
     */
    kept_off: z.array(z.object({ worker_id: z.int(), until_ms: instantSchema, reason: z.string().optional() })),
    waits_for: z.array(z.int()).meta({ description: "Tasks it still waits for" }),
    deleted_dependencies: z
      .array(z.int())
      .optional()
      .meta({ description: "Those that were deleted and can be dropped; absent for none" }),
    warnings: z
      .array(taskWarningSchema)
      .optional()
      .meta({ description: "What renderers and agents said of frames that are done; absent for none" }),
    outdated_source: idSchema.optional().meta({
      description: "The task of whose files this one's were made, when those have changed since; absent otherwise",
    }),
    outdated_frames: z.string().optional().meta({
      description:
        "Frames that were rendered before the task that they wait for frame by frame took its own back; absent for none",
    }),
    bound_blender: z.string().optional().meta({
      description:
        "The minor version of Blender that a task of `4.5+` is bound to, while a frame is done or leased; absent otherwise",
    }),
    files_version: z
      .string()
      .optional()
      .meta({ description: "Another one whenever a frame is committed or a committed frame is given up" }),
  })
  .meta({ id: "Task" });
/** A task with all its fields. */
export type Task = z.infer<typeof taskSchema>;

/** POST /tasks/N/downloaded: the caller has all committed files of this version. */
export const downloadedSchema = z
  .strictObject({
    files_version: z.string().min(1).max(64).meta({ description: "As `GET /tasks/{id}` said before the download" }),
  })
  .meta({ id: "Downloaded" });

/**
 * One frame. `attempt` and `worker_id` are null when it was never leased or was put back; `seconds`
 * are render seconds of a done frame.
 */
export const frameSchema = z
  .object({
    frame: z.int(),
    state: frameStateSchema,
    attempt: z.int().nullable(),
    worker_id: z.int().nullable(),
    seconds: z.number().nullable(),
    committed_ms: instantSchema.nullable(),
    failures: z.int().meta({ description: "Render failures so far; lost workers do not count" }),
    error: z.string().nullable(),
    warnings: z.array(z.string()).optional().meta({ description: "Warnings of a done frame; absent for none" }),
    files: z.array(outputFileSchema),
    blender: z.string().optional().meta({
      description: "Of a done frame: the version of Blender that rendered it, where the worker has told it",
    }),
  })
  .meta({ id: "Frame" });
/** One frame. */
export type Frame = z.infer<typeof frameSchema>;

/** GET /tasks/N/frames: frames ascending; `cursor` is null on the last page. */
export const framesPageSchema = z
  .object({ frames: z.array(frameSchema), cursor: z.string().nullable() })
  .meta({ id: "FramesPage" });

/** GET /tasks: the newest first; `cursor` is null on the last page. */
export const taskListSchema = z
  .object({ tasks: z.array(taskSummarySchema), cursor: z.string().nullable() })
  .meta({ id: "TaskList" });

/** POST /tasks/N/log: whole lines of text of one lease's process. */
export const logAppendSchema = z
  .strictObject({ attempt: z.int().min(1), text: z.string().min(1).max(1_000_000) })
  .meta({ id: "LogAppend" });

/**
 * GET /tasks/N/log: texts of the log, ascending by `seq`. `worker_id` and `attempt` are null for
 * texts that no lease wrote.
 */
export const logPageSchema = z
  .object({
    lines: z.array(
      z.object({
        seq: z.int(),
        at_ms: instantSchema,
        worker_id: z.int().nullable(),
        attempt: z.int().nullable(),
        text: z.string(),
      }),
    ),
    next: z.int().meta({ description: "Pass as `after` to read on" }),
    dropped: z.boolean().meta({ description: "Older text was dropped to bound the log" }),
  })
  .meta({ id: "LogPage" });
/** One page of a task's log. */
export type LogPage = z.infer<typeof logPageSchema>;
