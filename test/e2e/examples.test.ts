/**
 * The examples that need a farm or a program: run as a user runs them, against a real manager and
 * agent.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ffmpegStills } from "../../examples/task-type/ffmpeg-stills.ts";
import { cleanEnvironment, startChild } from "../support/child.ts";
import { CHECKOUT, endFarm, startAgent, startManager, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { testWith } from "../support/programs.ts";

const EXAMPLES = path.join(CHECKOUT, "examples");
let manager: Manager;

beforeAll(async () => {
  manager = await startManager();
  await startAgent(manager);
});
afterAll(endFarm);

/**
 * Run an example script in a folder; the folder is also the home, so that no file of this machine's
 * user is read.
 */
async function run(script: string, cwd: string, env: NodeJS.ProcessEnv, ...args: string[]) {
  const environment = cleanEnvironment({ TABLAO_URL: manager.url, TABLAO_TOKEN: manager.token, HOME: cwd, ...env });
  const child = startChild(path.join(EXAMPLES, script), args, { cwd, env: environment });
  const { code } = await child.ended;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

testWith("curl")("submit.sh submits, waits and fetches a zip", async () => {
  const folder = testFolder("submit");
  const { code, stdout, stderr } = await run("submit.sh", folder, { FRAMES: "1-3" });
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^task \d+ is submitted\nthe frames are in frames\.zip\n$/);
  const zip = readFileSync(path.join(folder, "frames.zip"));
  expect(zip.subarray(0, 4).toString("latin1")).toBe("PK\u0003\u0004");
  for (const frame of [1, 2, 3]) expect(zip.includes(`frame_000${frame}.png`)).toBe(true);
});

testWith("curl")("P9: submit.sh does not show the token in the process list", async () => {
  const folder = testFolder("submit");
  const real = execFileSync("sh", ["-c", "command -v curl"], { encoding: "utf8" }).trim();
  const noting = `#!/bin/sh\nprintf '%s\\n' "$@" >> "${folder}/arguments"\nexec ${real} "$@"\n`;
  writeFileSync(path.join(folder, "curl"), noting, { mode: 0o755 });
  const { code } = await run("submit.sh", folder, { FRAMES: "1", PATH: `${folder}:${process.env["PATH"]}` });
  expect(code).toBe(0);
  const shown = readFileSync(path.join(folder, "arguments"), "utf8");
  expect(shown).toContain(`${manager.url}/tasks`);
  expect(shown).not.toContain(manager.token);
});

testWith("curl")("submit.sh prints a manager's refusal, and ends with an error", async () => {
  const { code, stdout, stderr } = await run("submit.sh", testFolder("submit"), { FRAMES: "none" });
  expect(code).not.toBe(0);
  expect(stdout).not.toContain("is submitted");
  expect(stderr).toContain("422");
});

test("ci-render.sh submits, waits, and leaves the frames in a folder; a task that fails fails the step", async () => {
  const folder = testFolder("ci-render");
  const env = { TABLAO: `${process.execPath} ${path.join(CHECKOUT, "src/cli/tablao.js")}` };
  const settings = JSON.stringify({ width: 32, height: 18, samples: 1 });
  const submit = ["--type", "demo_render", "--frames", "1-2", "--settings", settings];
  const { code, stderr } = await run("ci-render.sh", folder, env, "frames", ...submit);
  expect(code, stderr).toBe(0);
  expect(readdirSync(path.join(folder, "frames")).toSorted()).toEqual(["frame_0001.png", "frame_0002.png"]);

  const bad = await run("ci-render.sh", folder, env, "none", "--type", "no_such_type");
  expect(bad.code).not.toBe(0);
});

testWith("ffmpeg")("the example of a task type takes pictures out of a real movie", () => {
  const folder = testFolder("stills");
  const movie = path.join(folder, "take.mp4");
  const source = ["-f", "lavfi", "-i", "testsrc=size=64x36:rate=10:duration=1"];
  execFileSync("ffmpeg", ["-v", "error", ...source, "-pix_fmt", "yuv420p", movie]);
  const assets = [{ path: "take.mp4", sha256: "0".repeat(64), size: 1 }];
  const plan = ffmpegStills.plan(
    ffmpegStills.settings.parse({ movie: "take.mp4", assets, frames: "1-10", width: 32 }),
    [1, 4, 10],
    "linux",
  );
  const args = plan.command.args.map((arg) =>
    typeof arg === "string" ? arg : path.join(folder, "in" in arg ? arg.in : arg.out),
  );
  execFileSync(plan.command.program, args, { stdio: "pipe" });
  const pngs = readdirSync(folder).filter((name) => name.endsWith(".png"));
  expect(pngs.toSorted()).toEqual(["still_0001.png", "still_0004.png", "still_0010.png"]);
});
