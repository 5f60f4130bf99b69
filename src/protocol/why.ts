/**
 * The answers of `GET …/why`: the one rule that holds a task or a worker back, named as dispatch
 * applies it. `rule` is for programs and stable; `text` is a sentence for people.
 */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";
import { taskStatusSchema } from "./task.ts";

/** What holds a task back, whichever worker asks; the first that applies. */
const TASK_RULES = [
  /** Nothing: the next worker that asks gets frames of it, or workers have some already. */
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
  /** There are workers, and each is kept from it by a rule of its own: `workers`. */
  "workers_held",
] as const;

/** What keeps a worker from a task (or from all tasks); the first that applies. */
const WORKER_RULES = [
  /** Nothing: it gets the task (or the task `task_id`) when it asks. */
  "none",
  /** It shows no sign of life, or it said that it leaves. */
  "offline",
  "disabled",
  "draining",
  /** The task needs what the worker does not have: `missing`. */
  "cannot",
  /** It is on the task's blocklist until `until_ms`, because it failed the task again and again. */
  "kept_off",
  /**
   * The task declined it a moment ago (it had nothing for it), and is not offered to it before
   * `until_ms`.
   */
  "refused",
  /** Task `task_id` goes first: it has a higher priority, or is older. */
  "outranked",
  /** It renders `task_id` and has no free slot. */
  "busy",
  /** No task has frames that could be claimed. Of a worker only, not of a worker and a task. */
  "nothing_pending",
] as const;

export const missingNeedSchema = z
  .object({
    kind: z.enum(["program", "tag", "exec", "autoexec"]),
    /** The program's or the tag's name; empty for permissions. */
    name: z.string(),
  })
  .meta({ id: "Missing" });
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
    /** kept_off, refused: until when. */
    until_ms: instantSchema.nullable(),
    /** outranked: the task that goes first. busy: the one it renders. */
    task_id: idSchema.nullable(),
  })
  .meta({ id: "WorkerHold" });
export type WorkerHold = z.infer<typeof workerHoldSchema>;

/** GET /tasks/N/why. */
export const taskWhySchema = z
  .object({
    task_id: idSchema,
    status: taskStatusSchema,
    rule: z.enum(TASK_RULES),
    text: z.string(),
    /**
     * Workers that would get frames of it if they asked now; the task's own rule lifted where one
     * holds it.
     */
    would_fit: z.int(),
    /** depends: the tasks, with how they stand; `status` null when it has been removed. */
    waits_for: z.array(z.object({ task_id: idSchema, status: taskStatusSchema.nullable() })),
    /** How many workers each rule holds, most first; `none` counts those that nothing holds. */
    counts: z.array(z.object({ rule: z.enum(WORKER_RULES), workers: z.int() })),
    /** Each worker, those nearest to getting it first; at most 200. */
    workers: z.array(workerHoldSchema),
  })
  .meta({ id: "TaskWhy" });
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
     * none: what it is given when it asks. busy: what it renders. kept_off, refused: the task it
     * could have soonest.
     */
    task_id: idSchema.nullable(),
    until_ms: instantSchema.nullable(),
    /**
     * Tasks with frames to give out that it cannot do or must not have, in the order of dispatch;
     * at most 50.
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
export type WorkerWhy = z.infer<typeof workerWhySchema>;
