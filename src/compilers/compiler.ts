/**
 * A compiler turns a task's settings into a plan: the command, its inputs, and the outputs that the
 * command must leave. Compilers are pure: no I/O, no clock. Settings are checked when a task is
 * submitted, so that an impossible setting is refused then (422) and does not become a failure on a
 * worker hours later.
 *
 * A new task type is a file beside this one, an entry in `COMPILERS` (`index.ts`), and its smallest
 * settings in `index.test.ts`. Command line, page, `GET /types` and dispatch read everything else
 * from the fields below.
 */
import type { z } from "zod";
import type { ParserName } from "../protocol/constants.ts";
import type { FrameList } from "../protocol/frame-list.ts";
import type { Input, Plan, Platform } from "../protocol/plan.ts";

/** What the manager must know about one task before any lease. */
export interface Description {
  /** The frames, ascending. */
  frames: FrameList;
  /**
   * Image or video format, for the `format` field of a task; empty when the task makes no files.
   */
  format: string;
  /** Programs that a worker must have found, by their names in PROGRAMS. */
  programs: string[];
  /**
   * The version of Blender that a worker must have: `4.5`, or `4.5+` for that or a newer one; null where
   * any does. A type that sets it makes plans that name a version.
   */
  blender: string | null;
  /** The worker must have been started with `--allow-exec`. */
  needsExec: boolean;
  /** The worker must allow scripts inside .blend files. */
  needsAutoexec: boolean;
  inputs: Input[];
  /**
   * The task whose committed frames are the input; null for none. The new task then depends on the
   * whole of that task.
   */
  inputTask: number | null;
  filesPerFrame: 0 | 1;
  /** The oldest version of the agent that understands the plan; absent where every version does. */
  agent?: string;
  /** What is wrong with a picture is a failure of its frame. Absent: a warning. */
  strict?: true;
}

/** What submit forms and the command line must know about a type. */
interface Traits {
  /** Older names of the type that mean the same. */
  aliases: readonly string[];
  /** Every task of this type needs an agent that was started with `--allow-exec`. */
  needsExec: boolean;
  /**
   * Extension (`.blend`) of the file that a task is made from: the submitter sends the file as one
   * of `assets` and names it in `file`. Null for types that take no file.
   */
  takesFile: string | null;
  /**
   * Names of the setting that asks for a render preset, the current name first and older names
   * after it. Empty for types without presets.
   */
  presetSettings: readonly string[];
  /** The result is one video file and not a file for each frame. */
  makesVideo: boolean;
}

/** One task type. `S` is the normalised form of its settings. */
export interface Compiler<S extends Record<string, unknown> = Record<string, unknown>> extends Traits {
  /** Canonical type. */
  type: string;
  /** The parser of its output, unless the task names another. */
  parser: ParserName;
  /** One sentence for the user guide and the submit form. */
  summary: string;
  /** Programs that every task of this type needs, by their names in PROGRAMS. */
  programs: readonly string[];
  /** Names of the settings that a submitter can give, for "did you mean". */
  keys: readonly string[];
  /**
   * Strict schema of the settings. Its output is the normalised form, which is stored; the schema
   * accepts that form unchanged.
   */
  settings: z.ZodType<S>;
  /** What the manager must know about a task with these settings. */
  describe(settings: S): Description;
  /**
   * The plan for one lease. `frames` are ascending and belong to the task. `blender`: the minor version
   * that the lease is for, of a task that needs one.
   */
  plan(settings: S, frames: readonly number[], platform: Platform, blender?: string): Omit<Plan, "parser">;
}

/**
 * The traits of a plain type. A compiler starts from these and names its exceptions, so a change
 * here changes every type that does not.
 */
export const DEFAULT_TRAITS = {
  aliases: [],
  needsExec: false,
  takesFile: null,
  presetSettings: [],
  makesVideo: false,
} satisfies Traits;

/**
 * The description of a task without files, without inputs and without special permissions. A change
 * here changes every type that does not set the field itself.
 */
export const DEFAULT_DESCRIPTION = {
  format: "",
  blender: null,
  needsExec: false,
  needsAutoexec: false,
  inputs: [],
  inputTask: null,
  filesPerFrame: 0,
} satisfies Partial<Description>;

/** The plan of such a task. A change here changes every type that does not set the field itself. */
export const DEFAULT_PLAN = {
  inputs: [],
  input_task: null,
  outputs: [],
  autoexec: false,
  needs_exec: false,
} satisfies Partial<Plan>;
