/** Tasks: what is submitted, what is shown, what may be changed. */
import { z } from "zod";
import { MAX_LEASE_FRAMES, TASK_STATUSES } from "./constants.ts";
import {
  framesSchema,
  idSchema,
  instantSchema,
  lineSchema,
  machineTextSchema,
  prioritySchema,
  sha256Schema,
  tagSchema,
} from "./fields.ts";

export const taskStatusSchema = z.enum(TASK_STATUSES);
export type { TaskStatus } from "./constants.ts";

export const FRAME_STATES = ["pending", "leased", "done", "failed", "skipped"] as const;
export const frameStateSchema = z.enum(FRAME_STATES);
export type FrameState = z.infer<typeof frameStateSchema>;

const DEFAULT_PRIORITY = 50;
/** One minute: long enough for a laptop's network to hiccup, short enough that a dead machine costs little (P5). */
export const DEFAULT_LEASE_MS = 60_000;

/** Settings are interpreted by the compiler; the seed sends them as a JSON string, we take an object, too. */
const settingsSchema = z
  .union([
    z.record(z.string(), z.json()),
    z
      .string()
      .max(1_000_000)
      .transform((text, context): Record<string, unknown> => {
        if (text.trim() === "") return {};
        try {
          const value: unknown = JSON.parse(text);
          if (typeof value === "object" && value !== null && !Array.isArray(value))
            return value as Record<string, unknown>;
        } catch {
          // Falls through to the one message for both cases.
        }
        context.addIssue({ code: "custom", message: "must be an object, or a string that holds a JSON object" });
        return z.NEVER;
      }),
  ])
  .meta({ description: "Settings for the task, interpreted by the compiler: an object, or a JSON string as in 2015" });

export const dependencySchema = z
  .strictObject({
    task: idSchema,
    /** `all`: wait for the whole task. `same`: frame n waits for frame n only. */
    frames: z.enum(["all", "same"]).default("all"),
  })
  .meta({ id: "Dependency" });
export type Dependency = z.infer<typeof dependencySchema>;

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
    depends_on: z
      .array(
        z
          .union([idSchema, dependencySchema])
          .transform((d): Dependency => (typeof d === "number" ? { task: d, frames: "all" } : d)),
      )
      .max(32)
      .default([]),
    tags: z.array(tagSchema).max(16).default([]).meta({ description: "Only workers that have all of these tags" }),
    lease_s: z.int().min(5).max(86_400).optional().meta({ description: "Lease in seconds; 60 by default" }),
    tries: z
      .int()
      .min(1)
      .max(20)
      .default(3)
      .meta({ description: "Render failures after which a frame stops as failed (P6)" }),
    paused: z.boolean().default(false).meta({ description: "Submit, but do not start" }),
  })
  .meta({ id: "TaskSubmit" });
export type TaskSubmit = z.infer<typeof taskSubmitSchema>;

/** `status` verbs of PATCH. With `frames`, requeue and skip act on those frames only. */
export const TASK_ACTIONS = ["pause", "resume", "cancel", "requeue", "skip"] as const;
export type TaskAction = (typeof TASK_ACTIONS)[number];

export const taskPatchSchema = z
  .strictObject({
    priority: prioritySchema.optional(),
    status: z.enum(TASK_ACTIONS).optional(),
    frames: framesSchema.optional().meta({ description: "With `requeue` or `skip`: only these frames" }),
    settings: settingsSchema.optional().meta({ description: "Only before the first lease" }),
    name: lineSchema(200).optional(),
    log: z.string().max(1_000_000).optional().meta({ description: "From a worker: lines for the task's log" }),
    activity: machineTextSchema(4_096).optional().meta({ description: "From a worker: what it does now" }),
    time_cost: z.number().min(0).max(1e9).optional().meta({ description: "From a worker: seconds spent" }),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), "must change something")
  .refine((patch) => patch.frames === undefined || patch.status === "requeue" || patch.status === "skip", {
    path: ["frames"],
    message: "goes with status `requeue` or `skip` only",
  })
  .refine((patch) => patch.status !== "skip" || patch.frames !== undefined, {
    path: ["frames"],
    message: "says which frames to skip",
  })
  .meta({ id: "TaskPatch" });
export type TaskPatch = z.infer<typeof taskPatchSchema>;

export const frameCountsSchema = z
  .object({ total: z.int(), pending: z.int(), leased: z.int(), done: z.int(), failed: z.int(), skipped: z.int() })
  .meta({ id: "FrameCounts" });
export type FrameCounts = z.infer<typeof frameCountsSchema>;

/**
 * When the task will be done, as instants: from the frame times measured so far, their spread and the workers on it now. An
 * estimate of the renderer's work, not a promise: workers come and go.
 */
export const etaSchema = z.object({ low_ms: instantSchema, high_ms: instantSchema }).meta({ id: "Eta" });
export type Eta = z.infer<typeof etaSchema>;

/** What every list shows of a task: the registry holds one of these per task. The first eight are the seed's. */
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
    eta: etaSchema.nullable().meta({ description: "Null while nobody works on it, or nothing has been measured" }),
  })
  .meta({ id: "TaskSummary" });
export type TaskSummary = z.infer<typeof taskSummarySchema>;

export const outputFileSchema = z
  .object({
    name: z.string(),
    size: z.int().min(0),
    sha256: sha256Schema,
    /** A small picture of the frame, made by the agent; absent for the frame's own file, which comes first. */
    kind: z.literal("preview").optional(),
  })
  .meta({ id: "OutputFile" });
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
    /** Workers kept off this task for a while after failing it again and again. */
    kept_off: z.array(z.object({ worker_id: z.int(), until_ms: instantSchema })),
    waits_for: z.array(z.int()).meta({ description: "Tasks it still waits for" }),
  })
  .meta({ id: "Task" });
export type Task = z.infer<typeof taskSchema>;

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
    files: z.array(outputFileSchema),
  })
  .meta({ id: "Frame" });
export type Frame = z.infer<typeof frameSchema>;

export const framesPageSchema = z
  .object({ frames: z.array(frameSchema), cursor: z.string().nullable() })
  .meta({ id: "FramesPage" });

export const taskListSchema = z
  .object({ tasks: z.array(taskSummarySchema), cursor: z.string().nullable() })
  .meta({ id: "TaskList" });

/** POST /tasks/N/log: text of one lease's process, whole lines. */
export const logAppendSchema = z
  .strictObject({ attempt: z.int().min(1), text: z.string().min(1).max(1_000_000) })
  .meta({ id: "LogAppend" });

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
export type LogPage = z.infer<typeof logPageSchema>;
