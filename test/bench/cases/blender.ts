/**
 * The share of a slot's time that Blender uses: light frames, chunk auto, a real agent. Claims,
 * uploads and start take the rest.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { ManagerClient } from "../../../src/client/manager-client.ts";
import { framesPageSchema, taskSchema } from "../../../src/protocol/task.ts";
import { endFarm, startAgent, tablao } from "../../support/farm.ts";
import { makeScenes } from "../../support/scenes.ts";
import { until } from "../../support/wait.ts";
import { notRun, type Case, type Row } from "../case.ts";
import { percent, short } from "../numbers.ts";
import { ADMIN_TOKEN, startRuntime } from "../runtime.ts";

const FRAMES = 100;
const GOAL = 0.9;
const WHAT = `Blender share: ${FRAMES} light frames at chunk auto`;
const KINDS = [
  { what: `${WHAT}, no previews`, ffmpeg: false },
  { what: `${WHAT}, with previews`, ffmpeg: true },
];
const GOAL_TEXT = "≥ 90 % of wall × slots";

export const blender: Case = {
  name: "blender",
  async run() {
    const program = blenderHere();
    if (program === null) return [notRun(WHAT, "there is no blender on the PATH", GOAL_TEXT)];
    const rows: Row[] = [];
    for (const { what, ffmpeg } of KINDS) rows.push(await shareOf(program, what, ffmpeg));
    return rows;
  },
};

async function shareOf(program: string, what: string, ffmpeg: boolean): Promise<Row> {
  const runtime = await startRuntime();
  const folder = mkdtempSync(path.join(tmpdir(), "tablao-bench-blender-"));
  try {
    const { healthy } = makeScenes(folder, "healthy");
    const client = new ManagerClient({ url: runtime.manager.origin, secret: ADMIN_TOKEN });
    const manager = { url: runtime.manager.origin, token: ADMIN_TOKEN, client };
    const times = path.join(folder, "times");
    await startAgent(manager, {
      ...(!ffmpeg && { env: { PATH: folder } }),
      args: ["--quiet", "--blender", timedProgram(folder, program, times)],
    });
    writeFileSync(times, "");
    const began = performance.now();
    const args = ["submit", healthy, "--frames", `1-${FRAMES}`, "--chunk", "auto", "--json"];
    const { stdout, stderr, code } = await tablao({ manager }, ...args);
    if (code !== 0) throw new Error(stderr);
    const { id } = z.object({ id: z.int() }).parse(JSON.parse(stdout));
    const status = async () => (await client.call(taskSchema, "GET", `/tasks/${id}`)).status;
    await until(async () => ["completed", "failed"].includes(await status()), {
      what: "Blender has rendered",
      everyMs: 100,
    });
    if ((await status()) !== "completed") throw new Error("the task failed");
    const ended = performance.now();
    const { frames } = await client.call(framesPageSchema, "GET", `/tasks/${id}/frames?limit=${FRAMES}`);
    const previews = frames.filter(({ files }) => files.some(({ kind }) => kind === "preview")).length;
    const runs = readFileSync(times, "utf8")
      .trim()
      .split("\n")
      .map((line) => line.split(" ").map(Number));
    const inBlender = runs.reduce((sum, [from, to]) => sum + (to! - from!) / 1e9, 0);
    // From Blender's first start: the time before belongs to the submission.
    const wall = (ended - began) / 1_000 - startedAfter(began, runs[0]![0]!);
    const row: Row = {
      what,
      figure: percent(inBlender / wall),
      goal: GOAL_TEXT,
      reached: inBlender / wall >= GOAL && previews === (ffmpeg ? FRAMES : 0),
      detail: `${short(inBlender)} s in Blender of ${short(wall)} s with one slot, from its first start to the task's end; it started ${runs.length} times; ${previews} frames have a preview`,
    };
    return row;
  } finally {
    await endFarm();
    rmSync(folder, { recursive: true, force: true });
    await runtime.stop();
  }
}

/** Seconds from `began` (monotonic) to a time in nanoseconds. */
function startedAfter(began: number, atNs: number): number {
  return (atNs / 1e6 - (performance.timeOrigin + began)) / 1_000;
}

function blenderHere(): string | null {
  try {
    return execFileSync("which", ["blender"], { encoding: "utf8" }).trim();
  } catch {
    return null;
  }
}

/** A script that runs Blender and notes when each run began and ended. */
function timedProgram(folder: string, program: string, times: string): string {
  const file = path.join(folder, "blender");
  const script = `#!/bin/sh
from=$(/bin/date +%s%N)
${program} "$@"
code=$?
echo "$from $(/bin/date +%s%N)" >> ${times}
exit $code
`;
  writeFileSync(file, script);
  chmodSync(file, 0o755);
  return file;
}
