/**
 * The plan: what a compiler makes of a task's settings for one lease, and all that an agent needs to run it.
 * It is data only; the agent resolves programs and folders itself, never runs a shell, and never joins strings into a command.
 */
import { z } from "zod";
import { fileNameSchema, idSchema, relativePathSchema, sha256Schema } from "./fields.ts";

/**
 * One argument of a command. A string is passed as it is; `in` is a path inside the lease's input folder, `out` inside its
 * output folder. The agent turns those into absolute paths, so no text of a submitter is ever interpolated.
 */
export const argumentSchema = z.union([
  z.string(),
  z.strictObject({ in: z.string() }),
  z.strictObject({ out: z.string() }),
]);
export type Argument = z.infer<typeof argumentSchema>;

export const commandSchema = z
  .strictObject({
    /** One of PROGRAM_NAMES, or, for `exec` only, a program's name or path on the worker. */
    program: z.string().min(1),
    args: z.array(argumentSchema),
    /** Extra environment variables. */
    env: z.record(z.string(), z.string()).default({}),
  })
  .meta({ id: "Command" });
export type Command = z.infer<typeof commandSchema>;

/** An input by content: fetched from `/assets/<sha256>` to `path` in the input folder. */
export const inputSchema = z
  .strictObject({ path: relativePathSchema, sha256: sha256Schema, size: z.int().min(0) })
  .meta({ id: "Input" });
export type Input = z.infer<typeof inputSchema>;

export const planSchema = z
  .strictObject({
    command: commandSchema,
    parser: z.string(),
    inputs: z.array(inputSchema),
    /**
     * All committed files of another task, in frame order, as `000001.<ext>`, `000002.<ext>` … in the input folder.
     * The lease's grant covers reading them.
     */
    input_task: idSchema.nullable(),
    /** The file each frame must leave in the output folder; empty for types that make none. P11. */
    outputs: z.array(z.strictObject({ frame: z.int(), name: fileNameSchema })),
    /** Blender: scripts inside the file may run. The agent must allow it, too. */
    autoexec: z.boolean(),
    /** The agent must have been started with `--allow-exec`. */
    needs_exec: z.boolean(),
    /** Kill the process when one frame takes longer; null for no limit. */
    frame_timeout_s: z.number().positive().nullable(),
  })
  .meta({ id: "Plan" });
export type Plan = z.infer<typeof planSchema>;

/** Operating systems an agent can report. */
export const PLATFORMS = ["linux", "darwin", "windows"] as const;
export type Platform = (typeof PLATFORMS)[number];
