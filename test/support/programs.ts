/**
 * Tests that need a program such as Blender. Without it they are skipped with a message; with
 * TABLAO_TEST_ALL=1, which `.ci/run` sets, a missing program is a failure.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "vitest";

const VERSION_FLAG: Record<string, string> = { ffmpeg: "-version", ffprobe: "-version" };

const ALL = process.env["TABLAO_TEST_ALL"] === "1";

/** Whether the program is on the PATH and starts. */
export function hasProgram(program: string): boolean {
  try {
    execFileSync(program, [VERSION_FLAG[program] ?? "--version"], { stdio: "ignore", timeout: 120_000 });
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether all these programs are there; prints a message when one is missing, and throws when
 * TABLAO_TEST_ALL=1.
 */
function havePrograms(programs: readonly string[]): boolean {
  const missing = programs.filter((program) => !hasProgram(program));
  if (missing.length === 0) return true;
  if (ALL) throw new Error(`TABLAO_TEST_ALL=1, but these tests need ${missing.join(" and ")} on the PATH`);
  process.stderr.write(`skipped: tests that need ${missing.join(" and ")}, which this machine does not have\n`);
  return false;
}

/**
 * `test`, or `test.skip` where one of these programs is missing. Throws instead when
 * TABLAO_TEST_ALL=1.
 */
export function testWith(...programs: string[]): typeof test {
  return havePrograms(programs) ? test : (test.skip as typeof test);
}

/** The same for `describe`; its hooks do not run when it is skipped. */
export function describeWith(...programs: string[]): typeof describe {
  return havePrograms(programs) ? describe : (describe.skip as typeof describe);
}

/**
 * Make a .blend with a Python script, in which `bpy` and `scene` are set: Cycles on the CPU, no
 * denoiser, one sample, 64×36 pixels and the default cube, light and camera. Answers with the path
 * of the file.
 */
export function makeBlend(folder: string, name: string, python = ""): string {
  const file = path.join(folder, name);
  const script = path.join(folder, `${name}.py`);
  writeFileSync(
    script,
    `import bpy
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.device = "CPU"
scene.cycles.samples = 1
scene.cycles.use_denoising = False
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 64, 36, 100
${python}
bpy.ops.wm.save_as_mainfile(filepath=${JSON.stringify(file)})
`,
  );
  execFileSync("blender", ["-b", "--factory-startup", "--python-exit-code", "1", "--python", script], {
    stdio: "pipe",
    timeout: 120_000,
  });
  return file;
}
