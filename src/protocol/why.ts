/**
 * The answers of `GET …/why`: the one rule that holds a task or a worker back, named as dispatch
 * applies it. `rule` is for programs and stable; `text` is a sentence for people.
 */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";
import { taskStatusSchema } from "./task.ts";

/** What holds a task back for every worker; the first that applies. */
const TASK_RULES = [
  /** Nothing: the next worker that asks gets frames of it, or workers render some already. */
  "none",
  /** Completed, failed or canceled. */
  "ended",
  "paused",
  /** It depends on tasks that have not ended: `waits_for`. */
  "depends",
  /** Every frame that could be claimed is leased. */
  "all_leased",
  /** No worker has ever registered. */
  "no_workers",
  /** There are workers, and a rule keeps each of them from the task: `workers`. */
  "workers_held",
] as const;

/** What keeps a worker from a task (or from all tasks); the first that applies. */
const WORKER_RULES = [
  /** Nothing: it gets the task (or the task `task_id`) when it asks. */
  "none",
  /** It sends nothing, or it reported that it leaves. */
  "offline",
  "disabled",
  "draining",
  /** The worker lacks what the task needs: `missing`. */
  "cannot",
  /** It is on the task's blocklist until `until_ms`, because it failed the task repeatedly. */
  "kept_off",
  /** The task had nothing for it a moment ago, and is not offered to it before `until_ms`. */
  "refused",
  /** Task `task_id` goes first: it has a higher priority, or is older. */
  "outranked",
  /** It renders `task_id` and has no free slot. */
  "busy",
  /** No task has frames that could be claimed. Only for a worker, not for a worker and a task. */
  "nothing_pending",
] as const;

/** One thing that a worker lacks for a task. */
export const missingNeedSchema = z
  .object({
    kind: z.enum(["program", "tag", "exec", "autoexec"]),
    /** The program's or the tag's name; `tablao` for the agent itself; empty for permissions. */
    name: z.string(),
    /** Of the agent: the oldest version that can do the task. */
    at_least: z.string().optional(),
    /** Of Blender: the version that the task needs, `4.5` or `4.5+`. */
    needs: z.string().optional(),
    /** Of the agent or of Blender: its version, or versions; empty when it reported none. */
    is: z.string().optional(),
  })
  .meta({ id: "Missing" });
/** One thing that a worker lacks for a task. */
export type Missing = z.infer<typeof missingNeedSchema>;

/** A worker, and what keeps it from a task. */
export const workerHoldSchema = z
  .object({
    worker_id: idSchema,
    hostname: z.string(),
    name: z.string(),
    rule: z.enum(WORKER_RULES),
    text: z.string(),
    missing: z.array(missingNeedSchema),
    /** kept_off, refused: the instant at which the rule ends. */
    until_ms: instantSchema.nullable(),
    /** kept_off: what its machine reported; absent when it failed the task again and again. */
    reason: z.string().optional(),
    /** outranked: the task that goes first. busy: the task that it renders. */
    task_id: idSchema.nullable(),
  })
  .meta({ id: "WorkerHold" });
/** A worker, and what keeps it from a task. */
export type WorkerHold = z.infer<typeof workerHoldSchema>;

/** The version of Blender that a task needs, and the versions that there are. */
export const blenderWhySchema = z
  .object({
    needs: z.string().meta({ description: "`4.5`, or `4.5+` for that or a newer one" }),
    workers: z.int().meta({ description: "How many workers have it or would fetch it, online or not" }),
    fetch: z.int().optional().meta({ description: "How many of those would fetch it from the farm; absent: none" }),
    builds: z
      .array(z.object({ version: z.string(), platform: z.string() }))
      .optional()
      .meta({ description: "The builds of it that the farm keeps; absent: none" }),
    farm: z
      .array(z.object({ version: z.string(), workers: z.int() }))
      .meta({ description: "The minor versions that workers have, the newest first, at most 50" }),
  })
  .meta({ id: "BlenderWhy" });
/** The version of Blender that a task needs, and the versions that there are. */
export type BlenderWhy = z.infer<typeof blenderWhySchema>;

/** GET /tasks/N/why. */
export const taskWhySchema = z
  .object({
    task_id: idSchema,
    status: taskStatusSchema,
    rule: z.enum(TASK_RULES),
    text: z.string(),
    /**
     * How many workers would get frames of the task if they asked now. Where the task's own rule
     * holds it, it is counted as if that rule did not apply.
     */
    would_fit: z.int(),
    /** depends: the tasks and their statuses; null when a task has been removed. */
    waits_for: z.array(z.object({ task_id: idSchema, status: taskStatusSchema.nullable() })),
    /** Of a task that needs a version of Blender: what it needs, and what the farm has. */
    blender: blenderWhySchema.optional(),
    /**
     * How many workers each rule holds, the largest number first; `none` counts those that no rule
     * holds.
     */
    counts: z.array(z.object({ rule: z.enum(WORKER_RULES), workers: z.int() })),
    /** The workers, at most 200; those that are nearest to getting the task come first. */
    workers: z.array(workerHoldSchema),
  })
  .meta({ id: "TaskWhy" });
/** Why a task waits. */
export type TaskWhy = z.infer<typeof taskWhySchema>;

/** GET /workers/N/why. */
export const workerWhySchema = z
  .object({
    worker_id: idSchema,
    hostname: z.string(),
    name: z.string(),
    rule: z.enum(WORKER_RULES),
    text: z.string(),
    /**
     * none: the task that it gets when it asks. busy: the task that it renders. kept_off, refused:
     * the task that it could get soonest.
     */
    task_id: idSchema.nullable(),
    until_ms: instantSchema.nullable(),
    /**
     * Tasks with claimable frames that it cannot do or must not get, at most 50, in the order of
     * dispatch.
     */
    passed_over: z.array(
      z.object({
        task_id: idSchema,
        rule: z.enum(WORKER_RULES),
        text: z.string(),
        missing: z.array(missingNeedSchema),
        until_ms: instantSchema.nullable(),
      }),
    ),
  })
  .meta({ id: "WorkerWhy" });
/** Why a worker is idle. */
export type WorkerWhy = z.infer<typeof workerWhySchema>;
