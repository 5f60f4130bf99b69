/** Options of `tablao worker`, and the folders that follow from them. */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { err, ok, type Result } from "../lib/result.ts";
import { lineSchema, tagSchema } from "../protocol/fields.ts";
import { whyUnsafePath } from "../protocol/path-rules.ts";
import { MAX_BLENDERS } from "../protocol/blender-version.ts";
import { PROGRAMS, type ProgramFlag } from "../protocol/programs.ts";
import { CONTROL_ENDING, defaultStateDir } from "../client/agent-control.ts";
import { managerUrl } from "../client/manager-client.ts";
import { tokenFault } from "../client/secret-text.ts";
import { whyNotPassed } from "./renderer-environment.ts";

const url = z.string().transform((text, context) => {
  try {
    return managerUrl(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
    return z.NEVER;
  }
});

const path = z
  .string()
  .min(1)
  .transform((text) => resolve(text));

/** Of a program with one version, one path. */
const pathsOf = (several: boolean) =>
  z
    .array(path)
    .min(1)
    .max(several ? MAX_BLENDERS : 1);

/** For each program, an option with its paths; by default the agent looks for it. */
const programPaths = Object.fromEntries(
  PROGRAMS.map(({ flag, several }) => [flag, pathsOf(several).optional()]),
) as Record<ProgramFlag, z.ZodOptional<ReturnType<typeof pathsOf>>>;

const givenOptions = z.strictObject({
  /** The manager's address; by default the one this worker registered with. */
  manager: url.optional(),
  /** A file with further certificate authorities, in PEM; by default that of `TABLAO_CA`. */
  ca: path.optional(),
  /** Join token: needed once, to register. */
  join: z
    .string()
    .superRefine((text, context) => {
      const fault = tokenFault(text);
      if (fault !== undefined) context.addIssue({ code: "custom", message: `the join token cannot be used: ${fault}` });
    })
    .optional(),
  /** By default that of the machine. */
  name: lineSchema(200).min(1).optional(),
  /** How many leases at a time. */
  slots: z.int().min(1).max(64).default(1),
  tags: z.array(tagSchema).max(16).default([]),
  /** Stop when there is no work left. */
  once: z.boolean().default(false),
  /** Register, and stop: the service that is installed then needs no token. */
  registerOnly: z.boolean().default(false),
  /** Take `exec` tasks, which run any program that their submitter names. */
  allowExec: z.boolean().default(false),
  /** Take tasks that run the scripts inside their .blend files. */
  allowAutoexec: z.boolean().default(false),
  ...programPaths,
  /** Variables that renderers get beside those of the list (`renderer-environment.ts`). */
  env: z.array(z.string()).max(100).default([]),
  /** Identity files; and unless `workDir` says otherwise, the input cache and the lease folders. */
  stateDir: path.default(defaultStateDir),
  /** Bound of the input cache in GB; 0 keeps nothing between leases. */
  cacheGb: z.number().min(0).max(1_000_000).default(20),
  workDir: path.optional(),
  /** Fetch Blenders from the farm that tasks need and this machine lacks. */
  fetch: z.boolean().default(true),
  /** Bound of the folder with those in GB; the newest one stays whatever its size. */
  renderersGb: z.number().min(0).max(1_000_000).default(10),
  /** Log problems only. */
  quiet: z.boolean().default(false),
  /** Log JSON lines. */
  json: z.boolean().default(false),
});

/** Options of `tablao worker`. `unnamed`: the name is that of the machine. */
export const workerOptionsSchema = givenOptions.transform(({ name, ...options }) => ({
  ...options,
  renderersDir: renderersFolder(options),
  name: name ?? hostname(),
  unnamed: name === undefined,
}));

/**
 * Where Blenders from the farm are: all agents of a user share them. Beside the usual state folder; in one that was
 * named, under a name that no worker's files have.
 */
function renderersFolder({ stateDir, workDir }: { stateDir: string; workDir?: string | undefined }): string {
  if (workDir !== undefined) return join(workDir, ".renderers");
  return stateDir === defaultStateDir() ? join(stateDir, "..", "renderers") : join(stateDir, ".renderers");
}

/** Options as a caller gives them. */
export type WorkerOptions = z.input<typeof workerOptionsSchema>;
/** Options checked, with defaults filled in. */
export type WorkerSettings = z.output<typeof workerOptionsSchema>;

/** Check options; the error is one sentence that names each offending option. */
export function checkWorkerOptions(options: WorkerOptions): Result<WorkerSettings, string> {
  const parsed = workerOptionsSchema.safeParse(options);
  if (parsed.success) {
    const why = parsed.data.env.map((name) => whyNotPassed(name, process.env)).find((reason) => reason !== null);
    return why === undefined ? ok(parsed.data) : err(why);
  }
  return err(parsed.error.issues.map((issue) => `${issue.path.join(".") || "options"}: ${issue.message}`).join("; "));
}

export interface Folders {
  /** The file with this worker's id and secret. */
  identity: string;
  /** The lock that the running agent of this name holds. */
  lock: string;
  /** How this machine's user reaches the running agent. */
  control: string;
  /** There is such a file while the agent is paused at this machine. */
  paused: string;
  cache: string;
  /** The folder with a folder for each lease. */
  work: string;
}

/**
 * Files and folders of the worker of this name. Workers of different names share none; on Windows and
 * macOS, whose disks do not tell capitals from small letters, those that differ in them do.
 */
export function foldersOf(
  settings: Pick<WorkerSettings, "name" | "stateDir" | "workDir">,
  platform: NodeJS.Platform = process.platform,
): Folders {
  const { name } = settings;
  const plain = name
    .replace(/[^A-Za-z0-9._-]/g, "_")
    .replace(/^\.+/, "_")
    .slice(0, 100);
  // Names that differ only in the characters that were replaced must have folders of their own.
  // Windows takes `con` and `aux.json` for devices, and leaves out dots at the end.
  const isUsable = platform !== "win32" || whyUnsafePath(name) === undefined;
  const key =
    plain === name && isUsable
      ? name
      : `${isUsable ? plain : `_${plain}`}-${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
  return foldersOfKey(key, settings);
}

/** Files and folders of the worker whose files have this name. */
export function foldersOfKey(
  key: string,
  { stateDir, workDir }: Pick<WorkerSettings, "stateDir" | "workDir">,
): Folders {
  return {
    identity: join(stateDir, `${key}.json`),
    lock: join(stateDir, `${key}.lock`),
    control: join(stateDir, `${key}${CONTROL_ENDING}`),
    paused: join(stateDir, `${key}.paused`),
    cache: join(workDir ? join(workDir, key) : join(stateDir, key), "cache"),
    work: join(workDir ? join(workDir, key) : join(stateDir, key), "leases"),
  };
}
