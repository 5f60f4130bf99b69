/**
 * The plan: what a compiler makes of a task's settings for one lease, and all that an agent needs
 * to run it. It is data only. The agent itself resolves programs and folders, never runs a shell,
 * and never joins texts into a command.
 */
import { z } from "zod";
import { fileNameSchema, idSchema, relativePathSchema, sha256Schema } from "./fields.ts";
import { isPlainPath, MAX_PATH_CHARS } from "./path-rules.ts";

/**
 * One argument of a command. A string is passed as it is; `in` is a path inside the lease's input
 * folder, and `out` a path inside its output folder. The agent turns paths into absolute ones, so
 * no text of a submitter is ever interpolated.
 */
export const argumentSchema = z.union([
  z.string(),
  z.strictObject({ in: z.string() }),
  z.strictObject({ out: z.string() }),
]);
/** One argument of a command. */
export type Argument = z.infer<typeof argumentSchema>;

/** The process that a lease runs. */
export const commandSchema = z
  .strictObject({
    /** One of PROGRAM_NAMES; for `exec` also any other name, or a path on the worker. */
    program: z.string().min(1),
    /**
     * The minor version of the program that must run: `4.5`. Agents of 0.1 refuse a plan with this
     * field.
     */
    version: z
      .string()
      .regex(/^\d{1,3}\.\d{1,3}$/)
      .optional()
      .meta({ description: "The minor version of the program that must run; any when it is not given" }),
    args: z.array(argumentSchema),
    /** Extra environment variables. */
    env: z.record(z.string(), z.string()).default({}),
  })
  .meta({ id: "Command" });
/** The process that a lease runs. */
export type Command = z.infer<typeof commandSchema>;

/**
 * An input by its content: the agent fetches `/assets/<sha256>` to `path` in the input folder.
 * `size` is in bytes.
 */
export const inputSchema = z
  .strictObject({
    path: relativePathSchema,
    sha256: sha256Schema,
    size: z.int().min(0),
    /**
     * `sha256` is that of a piece list (`piece-list.ts`), and `size` that of the whole file. Agents
     * of 0.1 refuse a plan with this field.
     */
    pieces: z
      .literal(true)
      .optional()
      .meta({ description: "The hash is that of a piece list, and `size` that of the file it stands for" }),
  })
  .meta({ id: "Input" });
/** One input of a lease. */
export type Input = z.infer<typeof inputSchema>;

/**
 * An input as `inputSchema` reads it, if it has the three usual fields and surely breaks no rule;
 * otherwise undefined. A submission has up to 10,000 inputs, and the schema takes several times as
 * long for each as `JSON.parse` took.
 */
export function plainInput(item: unknown): Input | undefined {
  if (typeof item !== "object" || item === null) return undefined;
  const { path, sha256, size } = item as Record<string, unknown>;
  for (const key in item) if (key !== "path" && key !== "sha256" && key !== "size") return undefined;
  const fits =
    typeof path === "string" &&
    path.length <= MAX_PATH_CHARS &&
    isPlainPath(path) &&
    typeof sha256 === "string" &&
    isSha256(sha256) &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0;
  return fits ? { path, sha256, size: size as number } : undefined;
}

/** As `sha256Schema` says. A loop, because the regular expression takes longer than `JSON.parse`. */
function isSha256(text: string): boolean {
  if (text.length !== 64) return false;
  for (let i = 0; i < 64; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false;
  }
  return true;
}

/** The first version of the agent that knows `strict`. An older one is not given such a plan. */
export const STRICT_SINCE = "0.2.0";

/** The plan of one lease. `parser` is one of PARSER_NAMES. */
export const planSchema = z
  .strictObject({
    command: commandSchema,
    parser: z.string(),
    inputs: z.array(inputSchema),
    /**
     * A task whose committed files are all inputs, in frame order, as `000001.<ext>`,
     * `000002.<ext>` … in the input folder; null for none. The lease's grant covers reading them.
     */
    input_task: idSchema.nullable(),
    /**
     * The file that each frame must leave in the output folder (P11); empty for types that make no
     * files.
     */
    outputs: z.array(z.strictObject({ frame: z.int(), name: fileNameSchema })),
    /** Blender: scripts inside the .blend file may run. The agent must allow it as well. */
    autoexec: z.boolean(),
    /** The agent must have been started with `--allow-exec`. */
    needs_exec: z.boolean(),
    /**
     * Seconds for one frame: the agent ends the process when a frame takes longer. Null for no
     * limit.
     */
    frame_timeout_s: z.number().positive().nullable(),
    /** A warning about a picture is a failure of its frame. Agents of 0.1 refuse a plan with this field. */
    strict: z.literal(true).optional(),
  })
  .meta({ id: "Plan" });
/** The plan of one lease. */
export type Plan = z.infer<typeof planSchema>;

/**
 * The operating systems that an agent can report. On the wire: a worker that reports another is
 * refused.
 */
export const PLATFORMS = ["linux", "darwin", "windows"] as const;
/** One of those operating systems. */
export type Platform = (typeof PLATFORMS)[number];
