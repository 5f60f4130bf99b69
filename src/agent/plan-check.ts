/**
 * What this agent agrees to run. The manager assigns only what the agent allowed, but the owner of
 * a machine must not have to rely on that. So the agent checks each plan itself: other programs,
 * scripts inside .blend files and environment variables need the options with which the owner
 * allowed them.
 */
import { err, ok, type Result } from "../lib/result.ts";
import { MAX_LEASE_FRAMES } from "../protocol/constants.ts";
import { countFrames, framesOf, parseFrameList } from "../protocol/frame-list.ts";
import { planSchema, type Plan } from "../protocol/plan.ts";
import { isProgramName } from "../protocol/programs.ts";
import { findParser } from "../parsers/index.ts";
import type { ParserFactory } from "../parsers/parser.ts";
import { minorOf } from "../protocol/blender-version.ts";
import { versionsOf, type Program, type Programs } from "./programs.ts";

export interface Allowed {
  exec: boolean;
  autoexec: boolean;
  programs: Programs;
}

export interface Runnable {
  plan: Plan;
  frames: number[];
  parser: ParserFactory;
  /** Executable and leading arguments. */
  program: readonly [string, ...string[]];
  /** The version of the program; undefined for one that the agent does not know (`exec`). */
  version: string | undefined;
}

/**
 * Check a plan as it came from the manager; the error is the reason with which the lease is
 * released.
 */
export function checkPlan(value: unknown, frameList: string, allowed: Allowed): Result<Runnable, string> {
  const parsed = planSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return err(`the plan breaks a rule: ${issue?.path.join(".")} ${issue?.message}`);
  }
  const plan = parsed.data;
  const frames = parseFrameList(frameList);
  if (!frames.ok) return err(`the lease's frames: ${frames.error}`);
  if (countFrames(frames.value) > MAX_LEASE_FRAMES) return err(`the lease has more than ${MAX_LEASE_FRAMES} frames`);
  const parser = findParser(plan.parser);
  if (!parser) return err(`this agent has no parser '${plan.parser}'; it is older than the manager`);
  const program = programOf(plan, allowed);
  if (!program.ok) return program;
  return ok({ plan, frames: [...framesOf(frames.value)], parser, ...program.value });
}

/**
 * The Blender that a plan needs and this worker lacks: its minor version, or undefined where any will do. Null when it
 * lacks none, or is not to run the plan at all; `checkPlan` says why.
 */
export function lackingBlender(value: unknown, allowed: Allowed): { minor: string | undefined } | null {
  const parsed = planSchema.safeParse(value);
  if (!parsed.success || parsed.data.needs_exec || parsed.data.command.program !== "blender") return null;
  const { version: minor } = parsed.data.command;
  const has = versionsOf(allowed.programs.blender);
  return has.some((version) => minor === undefined || minorOf(version) === minor) ? null : { minor };
}

type Found = Pick<Runnable, "program" | "version">;

function programOf(plan: Plan, allowed: Allowed): Result<Found, string> {
  const { program, version, args, env } = plan.command;
  if (plan.needs_exec && !allowed.exec)
    return err("it runs any program, and this agent was started without --allow-exec");
  if (!plan.needs_exec && !isProgramName(program))
    return err(`'${program}' is no program that this agent runs for anybody`);
  if (!plan.needs_exec && Object.keys(env).length > 0)
    return err("it sets environment variables, which only exec tasks may");
  if (plan.autoexec && !allowed.autoexec)
    return err("it runs scripts inside the .blend file, and this agent was started without --allow-autoexec");
  if (
    program === "blender" &&
    !plan.autoexec &&
    !plan.needs_exec &&
    args.some((arg) => arg === "-y" || arg === "--enable-autoexec")
  ) {
    return err("its command switches scripts on although the plan says that it does not");
  }
  const found = isProgramName(program) ? allowed.programs[program] : undefined;
  if (version !== undefined) return ofVersion(program, found, version);
  if (found) return ok({ program: found.command, version: found.version });
  return plan.needs_exec
    ? ok({ program: [program], version: undefined })
    : err(`this worker has no ${program} any more`);
}

/** A program in this minor version. */
function ofVersion(name: string, program: Program | undefined, minor: string): Result<Found, string> {
  const installed = program ? [program, ...(program.others ?? [])] : [];
  const found = installed.find((one) => minorOf(one.version) === minor);
  if (found) return ok({ program: found.command, version: found.version });
  const has = versionsOf(program);
  return err(`this worker has no ${name} ${minor}${has.length > 0 ? `: it has ${has.join(" and ")}` : ""}`);
}
