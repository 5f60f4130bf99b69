/** Runs one lease of a submission on the real program, without a manager. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { compileSubmission, planFor } from "../../src/compilers/index.ts";
import { findParser, reasonOf } from "../../src/parsers/index.ts";

/**
 * Compile, plan and run a submission as an agent does; `input` and `out` are the folders of the
 * lease.
 */
export function runPlan(type: string, settings: Record<string, unknown>, frames: number[], input: string, out: string) {
  const compiled = compileSubmission({
    type,
    settings: { ...settings, ...(type === "blender_render" ? { frames: frames.join(",") } : {}) },
  });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  const { parser: name, settings: stored } = compiled.value;
  const plan = planFor(type, name, stored, frames, "linux");
  const args = plan.command.args.map((arg) =>
    typeof arg === "string" ? arg : "in" in arg ? path.join(input, arg.in) : path.join(out, arg.out),
  );
  const result = spawnSync(plan.command.program, args, { encoding: "utf8", timeout: 120_000 });
  const parser = findParser(name)!.create(frames);
  const events = `${result.stdout}\n${result.stderr}`.split("\n").flatMap((line) => parser.line(line));
  return {
    status: result.status,
    events,
    reason: reasonOf(events),
    files: readdirSync(out).toSorted(),
    names: plan.outputs.map((o) => o.name).toSorted(),
    out,
  };
}
