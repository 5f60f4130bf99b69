/** A scene with its textures is sent once and queued. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { testScene } from "../../support/test-scene.ts";
import type { Ground } from "../ground.ts";

/** Enough for two requests of small files. */
const TEXTURES = 30;

export async function submit(ground: Ground): Promise<void> {
  const blend = path.join(ground.folder, "shot.blend");
  const textures = path.join(ground.folder, "textures");
  writeFileSync(blend, testScene());
  mkdirSync(textures);
  for (let i = 0; i < TEXTURES; i++) writeFileSync(path.join(textures, `${i}.png`), `texture ${i} `.repeat(20 * i));
  // Too large to travel with others.
  writeFileSync(path.join(textures, "large.png"), Buffer.alloc(300_000, "a large texture "));
  const args = ["submit", blend, "--include", textures, "--frames", "1-10", "--paused"];
  expect((await ground.command(...args)).stderr).toContain(`sent ${TEXTURES + 2} files`);
  expect((await ground.command(...args)).stderr).toContain("nothing to send");
  expect(await ground.task(1)).toMatchObject({ status: "paused", frames: { total: 10 } });
  expect(await ground.platform.keys("assets/")).toHaveLength(TEXTURES + 2);
}
