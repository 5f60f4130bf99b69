/**
 * The compilers by type: a submission passes through here before it becomes a task, and a lease
 * before it is sent out.
 */
import { err, ok, type Result } from "../lib/result.ts";
import { BLENDER_NEED_SINCE } from "../protocol/blender-version.ts";
import { PARSER_NAMES } from "../protocol/constants.ts";
import { PIECES_SINCE } from "../protocol/piece-list.ts";
import type { Input, Plan, Platform } from "../protocol/plan.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { isAtLeast } from "../protocol/version.ts";
import type { Needs } from "../protocol/needs.ts";
import { blenderRender } from "./blender-render.ts";
import { nearest, quoted, settingErrors } from "./check.ts";
import type { Compiler, Description } from "./compiler.ts";
import { demoRender } from "./demo-render.ts";
import { exec } from "./exec.ts";
import { ffmpegVideo } from "./ffmpeg-video.ts";
import { presetSetting } from "./presets.ts";
import { printString } from "./print-string.ts";
import { sleepSimple } from "./sleep-simple.ts";

export { checkPreset } from "./presets.ts";

/**
 * Every task type, in the order in which a form offers them. A type that is missing here cannot be
 * submitted, and leases of its stored tasks fail.
 */
export const COMPILERS: readonly Compiler[] = [blenderRender, ffmpegVideo, demoRender, printString, sleepSimple, exec];

/** The part of a submission that compilers look at. */
export interface Submission {
  type: string;
  parser?: string | undefined;
  settings: Record<string, unknown>;
}

/**
 * A submission whose type and parser are known. It is compiled after its render preset, if it names
 * one, was looked up.
 */
interface ResolvedSubmission {
  compiler: Compiler;
  parser: string;
  settings: Record<string, unknown>;
  /**
   * Name of the farm setting (`render.final`) that holds the render preset that it asks for; null
   * when it asks for none.
   */
  presetName: string | null;
}

/** A submission whose settings were checked. */
export interface Compiled {
  /** Canonical type: an older name is resolved. */
  type: string;
  parser: string;
  /** Normalised settings: these are stored, and `planFor` takes them. */
  settings: Record<string, unknown>;
  description: Description;
}

/** The compiler of a type or of one of its older names; undefined when there is none. */
export function findCompiler(type: string): Compiler | undefined {
  return COMPILERS.find((compiler) => compiler.type === type || compiler.aliases.includes(type));
}

/**
 * The type of a file that is submitted without a type: the first type that takes files with its
 * extension, else the first type that takes a file. Undefined when no type takes one.
 */
export function typeForFile(path: string): string | undefined {
  const taking = COMPILERS.filter((compiler) => compiler.takesFile !== null);
  return (taking.find((compiler) => path.toLowerCase().endsWith(compiler.takesFile!)) ?? taking[0])?.type;
}

function unknownName(field: "type" | "parser", word: string, known: readonly string[]): { ok: false; error: Refusal } {
  const meant = nearest(word, known);
  const hint = meant ? `did you mean '${meant}'?` : `known are ${known.join(", ")}`;
  return refuse("invalid", `There is no ${field} ${quoted(word)}; ${hint}`, field);
}

/**
 * First step of a submission: find its compiler, its parser, and the name of its render preset.
 * Refusal: `invalid` for an unknown type or parser.
 */
export function resolveSubmission({ type, parser, settings }: Submission): Result<ResolvedSubmission, Refusal> {
  const compiler = findCompiler(type);
  if (!compiler) {
    return unknownName(
      "type",
      type,
      COMPILERS.map((known) => known.type),
    );
  }
  const chosen = parser ?? compiler.parser;
  if (!(PARSER_NAMES as readonly string[]).includes(chosen)) return unknownName("parser", chosen, PARSER_NAMES);
  const named = compiler.presetSettings.map((name) => settings[name]).find((value) => value != null);
  return ok({ compiler, parser: chosen, settings, presetName: presetSetting(named) });
}

/**
 * Second step: check the settings and compile them. `preset` is the value of the farm setting
 * `presetName`; null when there is no such setting or the submission names none. Refusal:
 * `invalid`, with every broken rule as `settings.<path>`.
 */
export function compileResolved(
  { compiler, parser, settings, presetName }: ResolvedSubmission,
  preset: Record<string, unknown> | null,
): Result<Compiled, Refusal> {
  if (presetName !== null && preset === null) {
    const field = `settings.${compiler.presetSettings[0]}`;
    return refuse("invalid", `There is no render preset '${presetName}' in the settings`, field);
  }
  const parsed = compiler.settings.safeParse(presetName === null ? settings : { ...preset, ...settings });
  if (!parsed.success) {
    const errors = settingErrors(parsed.error.issues, "settings", compiler.type, compiler.keys);
    const detail = `The settings are not right for ${compiler.type}: ${errors[0]?.field}: ${errors[0]?.message}`;
    return err({ code: "invalid", detail, errors });
  }
  return ok({ type: compiler.type, parser, settings: parsed.data, description: compiler.describe(parsed.data) });
}

/** Both steps, for callers that have the preset at hand or know of none. Refusal: `invalid`. */
export function compileSubmission(
  submission: Submission,
  preset: Record<string, unknown> | null = null,
): Result<Compiled, Refusal> {
  const resolved = resolveSubmission(submission);
  return resolved.ok ? compileResolved(resolved.value, preset) : resolved;
}

/**
 * The plan of one lease, from settings that were compiled before. `blender`: the minor version that the
 * lease is for, of a task that needs one. Throws for a type without a
 * compiler: that is a bug.
 */
export function planFor(
  type: string,
  parser: string,
  settings: Record<string, unknown>,
  frames: readonly number[],
  platform: Platform,
  blender?: string,
): Plan {
  const compiler = findCompiler(type);
  if (!compiler) throw new Error(`no compiler for the stored task type '${type}'`);
  return Object.assign(compiler.plan(settings, frames, platform, blender), { parser });
}

/** The inputs that stored settings name. Throws for a type without a compiler: that is a bug. */
export function inputsOf(type: string, settings: Record<string, unknown>): readonly Input[] {
  const compiler = findCompiler(type);
  if (!compiler) throw new Error(`no compiler for the stored task type '${type}'`);
  return compiler.describe(settings).inputs;
}

/** What a compiled task needs of its workers. `tags` are the submission's. */
export function needsOf(compiled: Compiled, tags: readonly string[]): Needs {
  const { programs, blender, needsExec, needsAutoexec, inputs, agent: own } = compiled.description;
  const since = [
    ...(inputs.some(({ pieces }) => pieces) ? [PIECES_SINCE] : []),
    ...(blender === null ? [] : [BLENDER_NEED_SINCE]),
    ...(own === undefined ? [] : [own]),
  ];
  const agent = since.find((one) => since.every((other) => isAtLeast(one, other)));
  return {
    type: compiled.type,
    programs: [...programs],
    tags: [...tags],
    allow_exec: needsExec,
    allow_autoexec: needsAutoexec,
    ...(agent !== undefined && { agent }),
    ...(blender !== null && { blender }),
  };
}

/** Canonical types that a worker can do, by the programs it found and by what it allows. */
export function taskTypesFor(worker: {
  programs: Readonly<Record<string, string>>;
  fetchable?: readonly string[];
  allow_exec: boolean;
}): string[] {
  const fetched = (worker.fetchable ?? []).length > 0 ? ["blender"] : [];
  return COMPILERS.filter(
    (compiler) =>
      compiler.programs.every((program) => Object.hasOwn(worker.programs, program) || fetched.includes(program)) &&
      (worker.allow_exec || !compiler.needsExec),
  ).map((compiler) => compiler.type);
}
