/** Task types for submit forms, and the command of a task for people to read. */
import { z } from "zod";
import { commandSchema, PLATFORMS } from "./plan.ts";

/**
 * GET /types. `settings` is the JSON Schema (2020-12) of what a submitter sends, names of 2015
 * included.
 */
export const taskTypesSchema = z
  .object({
    types: z.array(
      z.object({
        type: z.string(),
        aliases: z.array(z.string()),
        summary: z.string(),
        parser: z.string(),
        programs: z.array(z.string()).meta({ description: "What a worker must have found" }),
        needs_exec: z.boolean().meta({ description: "The worker must have been started with `--allow-exec`" }),
        takes_file: z.string().nullable().meta({
          description: "Extension (`.blend`) of the file that goes into `assets` and is named in `file`; null for none",
        }),
        preset_setting: z
          .string()
          .nullable()
          .meta({ description: "The setting that names a render preset; null for types without presets" }),
        makes_video: z.boolean().meta({ description: "The result is one video file, not a file for each frame" }),
        settings: z.record(z.string(), z.json()),
      }),
    ),
  })
  .meta({ id: "TaskTypes" });
/** All task types. */
export type TaskTypes = z.infer<typeof taskTypesSchema>;

/** Query of GET /tasks/N/plan. */
export const planQuery = z.strictObject({
  platform: z.enum(PLATFORMS).default("linux"),
  frame: z.int().optional().meta({ description: "The frame of the lease; the task's first by default" }),
});

/**
 * GET /tasks/N/plan: the command that a worker runs for one frame. The compiler that makes the
 * plans of leases makes it.
 */
export const taskPlanSchema = z.object({ frame: z.int(), command: commandSchema }).meta({ id: "TaskPlan" });
/** The command that a worker runs for one frame. */
export type TaskPlan = z.infer<typeof taskPlanSchema>;
