/**
 * A compiler turns a task's settings into a plan: the command, its inputs, the outputs it must leave. Pure: no I/O, no clock.
 * Settings are checked at submit, so that an impossible setting is a 422 then and not a failure on a worker at night.
 */
import type { z } from "zod";
import type { FrameList } from "../protocol/frame-list.ts";
import type { Input, Plan, Platform } from "../protocol/plan.ts";

/** What the manager must know of a task before any lease. */
export interface Description {
  /** The frames, ascending. */
  frames: FrameList;
  /** Image or video format for the seed's `format` field; empty when the type makes no files. */
  format: string;
  /** Programs a worker must have found, by their names in PROGRAMS. */
  programs: string[];
  /** The worker must have been started with `--allow-exec`. */
  needsExec: boolean;
  /** The worker must allow scripts inside .blend files. */
  needsAutoexec: boolean;
  inputs: Input[];
  /** Task whose committed frames are the input (it becomes a whole-task dependency). */
  inputTask: number | null;
  filesPerFrame: 0 | 1;
}

export interface Compiler<S extends Record<string, unknown> = Record<string, unknown>> {
  /** Canonical type. */
  type: string;
  /** Older names that mean the same. */
  aliases: readonly string[];
  /** Its parser unless the task names another. */
  parser: string;
  /** One sentence for the user guide and the submit form. */
  summary: string;
  /** Programs every task of this type needs, by their names in PROGRAMS. */
  programs: readonly string[];
  /** Every task of this type needs an agent started with `--allow-exec`. */
  needsExec: boolean;
  /** Names of the settings a submitter can give, for "did you mean". */
  keys: readonly string[];
  /** Strict schema of the settings; output is the normalised form that is stored. */
  settings: z.ZodType<S>;
  describe(settings: S): Description;
  /** The plan for one lease. `frames` are ascending and belong to the task. */
  plan(settings: S, frames: readonly number[], platform: Platform): Omit<Plan, "parser">;
}

/** What most types say of a task: no files in or out, nothing that needs leave. */
export const MODEST = {
  format: "",
  needsExec: false,
  needsAutoexec: false,
  inputs: [],
  inputTask: null,
  filesPerFrame: 0,
} satisfies Partial<Description>;

/** The same of a plan. */
export const MODEST_PLAN = {
  inputs: [],
  input_task: null,
  outputs: [],
  autoexec: false,
  needs_exec: false,
} satisfies Partial<Plan>;
