/** The compilers by type: what a submission goes through before it becomes a task, and a lease before it is sent out. */
import { err, ok, type Result } from "../lib/result.ts";
import { PARSER_NAMES } from "../protocol/constants.ts";
import type { Plan, Platform } from "../protocol/plan.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
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

export { checkPreset, presetSchema, type Preset } from "./presets.ts";

/** Every task type, in the order a form would offer them. */
export const COMPILERS: readonly Compiler[] = [blenderRender, ffmpegVideo, demoRender, printString, sleepSimple, exec];

/** The part of a submission that compilers look at. */
export interface Submission {
  type: string;
  parser?: string | undefined;
  settings: Record<string, unknown>;
}

export interface Compiled {
  /** Canonical type: an older name is resolved. */
  type: string;
  parser: string;
  /** Normalised settings: what is stored, and what `planFor` takes. */
  settings: Record<string, unknown>;
  description: Description;
}

/** The compiler of a type or one of its older names. */
export function findCompiler(type: string): Compiler | undefined {
  return COMPILERS.find((compiler) => compiler.type === type || compiler.aliases.includes(type));
}

/**
 * Name of the farm setting (`render.final`) that holds the render preset a submission asks for, by `render_preset` or its
 * name of 2015; null when it asks for none. The caller looks it up and passes its value to `compileSubmission`.
 */
export function presetNameOf(submit: Submission): string | null {
  if (findCompiler(submit.type) !== blenderRender) return null;
  return presetSetting(submit.settings.render_preset ?? submit.settings.render_settings);
}

function unknownName(field: "type" | "parser", word: string, known: readonly string[]): { ok: false; error: Refusal } {
  const meant = nearest(word, known);
  const hint = meant ? `did you mean '${meant}'?` : `known are ${known.join(", ")}`;
  return refuse("invalid", `There is no ${field} ${quoted(word)}; ${hint}`, field);
}

/**
 * Check a submission and compile it. The refusal names every broken rule as `type`, `parser` or `settings.<path>`.
 * `preset` is the value of the setting that `presetNameOf` names; null or absent when there is no such setting.
 */
export function compileSubmission(
  submit: Submission,
  preset?: Record<string, unknown> | null,
): Result<Compiled, Refusal> {
  const compiler = findCompiler(submit.type);
  if (!compiler) {
    return unknownName(
      "type",
      submit.type,
      COMPILERS.map((known) => known.type),
    );
  }
  const parser = submit.parser ?? compiler.parser;
  if (!(PARSER_NAMES as readonly string[]).includes(parser)) return unknownName("parser", parser, PARSER_NAMES);
  const wanted = presetNameOf(submit);
  if (wanted !== null && !preset) {
    return refuse("invalid", `There is no render preset '${wanted}' in the settings`, "settings.render_preset");
  }
  const parsed = compiler.settings.safeParse(wanted === null ? submit.settings : { ...preset, ...submit.settings });
  if (!parsed.success) {
    const errors = settingErrors(parsed.error.issues, "settings", compiler.type, compiler.keys);
    const detail = `The settings are not right for ${compiler.type}: ${errors[0]?.field}: ${errors[0]?.message}`;
    return err({ code: "invalid", detail, errors });
  }
  return ok({ type: compiler.type, parser, settings: parsed.data, description: compiler.describe(parsed.data) });
}

/** The plan of one lease, from the settings that `compileSubmission` returned. A type it never returned is a bug: throws. */
export function planFor(
  type: string,
  parser: string,
  settings: Record<string, unknown>,
  frames: readonly number[],
  platform: Platform,
): Plan {
  const compiler = findCompiler(type);
  if (!compiler) throw new Error(`no compiler for the stored task type '${type}'`);
  return Object.assign(compiler.plan(settings, frames, platform), { parser });
}

/** What a compiled task needs of its workers. `tags` are the submission's. */
export function needsOf(compiled: Compiled, tags: readonly string[]): Needs {
  const { programs, needsExec, needsAutoexec } = compiled.description;
  return {
    type: compiled.type,
    programs: [...programs],
    tags: [...tags],
    allow_exec: needsExec,
    allow_autoexec: needsAutoexec,
  };
}

/** Canonical types that a worker can do, by the programs it found and what it allows. */
export function taskTypesFor(worker: { programs: Readonly<Record<string, string>>; allow_exec: boolean }): string[] {
  return COMPILERS.filter(
    (compiler) =>
      compiler.programs.every((program) => Object.hasOwn(worker.programs, program)) &&
      (worker.allow_exec || !compiler.needsExec),
  ).map((compiler) => compiler.type);
}
