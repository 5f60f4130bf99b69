/** A farm is backed up and restored on another manager, with its files. */
import path from "node:path";
import { expect } from "vitest";
import type { Ground } from "../ground.ts";
import { submitDemo } from "./render.ts";

const FRAMES = 3;

export async function backup(ground: Ground): Promise<void> {
  await ground.agent("renderer");
  const id = await submitDemo(ground, FRAMES);
  await ground.untilCompleted(id);
  await ground.midway();
  const saved = path.join(ground.folder, "saved");
  await ground.command("backup", saved);
  const other = await ground.another();
  await other.command("restore", saved);
  expect(await other.task(id)).toMatchObject({ status: "completed", frames: { done: FRAMES } });
  expect(await other.files(id)).toEqual(await ground.files(id));
  const to = path.join(ground.folder, "frames");
  await other.command("download", String(id), to);
}
