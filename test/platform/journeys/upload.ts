/** A large file goes up in pieces, and an agent gets it whole. */
import { createHash, randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { hashPieces } from "../../../src/client/file-hash.ts";
import { pieceListText } from "../../../src/protocol/piece-list.ts";
import { testScene } from "../../support/test-scene.ts";
import type { Ground } from "../ground.ts";

const MIB = 1024 * 1024;

/** Random bytes, so that no two pieces are the same. Returns their hash. */
function writeNoise(file: string, mib: number): string {
  const hash = createHash("sha256");
  const block = Buffer.alloc(MIB);
  const to = openSync(file, "w");
  for (let i = 0; i < mib; i++) {
    randomFillSync(block);
    hash.update(block);
    writeSync(to, block);
  }
  closeSync(to);
  return hash.digest("hex");
}

export async function upload(ground: Ground): Promise<void> {
  const { largeMb } = ground.scale;
  const blend = path.join(ground.folder, "shot.blend");
  const cache = path.join(ground.folder, "cache");
  writeFileSync(blend, testScene());
  mkdirSync(cache);
  const smoke = path.join(cache, "smoke.vdb");
  const sha256 = writeNoise(smoke, largeMb);
  const list = createHash("sha256")
    .update(pieceListText(await hashPieces(smoke)))
    .digest("hex");
  await ground.command("submit", blend, "--include", cache, "--frames", "1", "--paused");
  await ground.midway();
  await ground.agent("fetcher", "--allow-exec");
  const assets = [{ path: "cache/smoke.vdb", sha256: list, size: largeMb * MIB, pieces: true }];
  const settings = { program: "sha256sum", args: ["{in:cache/smoke.vdb}"], assets };
  const id = await ground.submit("--type", "exec", "--settings", JSON.stringify(settings), "--lease", "600");
  await ground.untilCompleted(id);
  expect((await ground.command("logs", String(id))).stdout).toContain(sha256);
}
