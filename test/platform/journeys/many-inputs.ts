/**
 * A scene with more inputs than one request may look up, and with paths so long that its definition is
 * larger than a row.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { testScene } from "../../support/test-scene.ts";
import type { Ground } from "../ground.ts";

/** Characters of a folder's name; two of them make a path of more than 400, and 512 are allowed. */
const NAME_CHARS = 200;

export async function manyInputs(ground: Ground): Promise<void> {
  const { inputs } = ground.scale;
  const blend = path.join(ground.folder, "city.blend");
  const folder = path.join(ground.folder, "a".repeat(NAME_CHARS), "b".repeat(NAME_CHARS));
  writeFileSync(blend, testScene());
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < inputs; i++) writeFileSync(path.join(folder, `house-${i}.png`), `house ${i}`);
  const include = path.join(ground.folder, "a".repeat(NAME_CHARS));
  const id = await ground.submit(blend, "--include", include, "--frames", "1", "--paused");
  expect(await ground.task(id)).toMatchObject({ status: "paused" });
}
