/** Tests that need Blender or ffmpeg: on a machine without them they are left out with a message, in CI they fail. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "vitest";

const VERSION_FLAG: Record<string, string> = { blender: "--version", ffmpeg: "-version", ffprobe: "-version" };

/** Whether the program is on the PATH and starts. */
export function hasProgram(program: string): boolean {
  try {
    execFileSync(program, [VERSION_FLAG[program] ?? "--version"], { stdio: "ignore", timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
}

/** `test` for tests that need these programs. */
export function testWith(...programs: string[]): typeof test {
  const missing = programs.filter((program) => !hasProgram(program));
  if (missing.length === 0) return test;
  if (process.env["CI"] === "true") throw new Error(`these tests need ${missing.join(" and ")} on the PATH`);
  process.stderr.write(`left out: tests that need ${missing.join(" and ")}, which this machine does not have\n`);
  return test.skip as typeof test;
}

/**
 * Make a .blend with a Python script of one's own: `bpy` and `scene` are there, with Cycles on the CPU, no denoiser, one
 * sample, 64×36 pixels and the default cube, light and camera. Answers with the file's path.
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
    timeout: 60_000,
  });
  return file;
}
