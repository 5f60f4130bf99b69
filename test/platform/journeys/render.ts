/** A real agent renders a task: each frame once, with its bytes. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import type { Ground } from "../ground.ts";

/** Slow enough that something can happen between the first frame and the last. */
const SETTINGS = { width: 32, height: 18, samples: 1, delay_ms: 400 };

/** Submit a task for the demo renderer; returns its id. The lease outlives what the platform does. */
export async function submitDemo(ground: Ground, frames: number): Promise<number> {
  const settings = JSON.stringify(SETTINGS);
  const args = ["--type", "demo_render", "--settings", settings, "--frames", `1-${frames}`, "--lease", "600"];
  return await ground.submit(...args);
}

export async function render(ground: Ground): Promise<void> {
  const frames = 6;
  await ground.agent("renderer");
  const id = await submitDemo(ground, frames);
  await ground.until("two frames are done", async () => (await ground.task(id)).frames.done >= 2);
  await ground.midway();
  await ground.untilCompleted(id);
  const files = await ground.files(id);
  expect(files.map(({ frame }) => frame)).toEqual(Array.from({ length: frames }, (_, i) => i + 1));
  // Attempts are counted up with each lease: no lease was lost, and no frame was rendered twice.
  expect(Math.max(...files.map(({ attempt }) => attempt))).toBe(frames);
  for (const { frame, sha256 } of files) {
    const response = await ground.manager.client.send("GET", `/tasks/${id}/frames/${frame}/file`);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(sha256);
  }
}
