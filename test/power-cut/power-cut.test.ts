/**
 * Power cuts of `npm start`: 20 at places that differ from run to run of the recorded farm. `npm run
 * power-cuts` makes more.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { missingResultSchema } from "../../src/protocol/file.ts";
import { Journal } from "../chaos/event-journal.ts";
import { Rng } from "../chaos/rng.ts";
import { endFarm, startManager, submit, tablao, untilStatus } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { testWith } from "../support/programs.ts";
import { advance } from "./cut.ts";
import { Disk, endsOf } from "./disk.ts";
import { buildRecorder, joinWorker } from "./recording.ts";
import { cutPower } from "./run.ts";

const CUTS = 20;

const folder = temporaryFolder("power");
afterAll(async () => {
  await endFarm();
  folder.remove();
});

test("P4: bytes that the disk refuses are not acknowledged", async () => {
  const state = path.join(folder.path, "refused");
  mkdirSync(path.join(state, "v3/r2/tablao-files"), { recursive: true });
  // In the place of the folder of bytes.
  writeFileSync(path.join(state, "v3/r2/tablao-files/blobs"), "");
  const manager = await startManager({ state });
  const bytes = Buffer.from("an input");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const headers = { authorization: `Bearer ${manager.token}` };
  const answer = await fetch(`${manager.url}/assets/${sha256}`, { method: "PUT", headers, body: bytes });
  expect(answer.status).toBeGreaterThanOrEqual(500);
  const { missing } = await manager.client.call(missingResultSchema, "POST", "/assets/missing", {
    json: { sha256: [sha256] },
  });
  expect(missing).toEqual([sha256]);
});

testWith("cc")("P14: what a download or a backup calls finished survives a power cut", async () => {
  const library = buildRecorder(folder.path);
  const manager = await startManager();
  const worker = await joinWorker(manager, new Rng("download"), new Journal());
  const settings = JSON.stringify({ frames: "1-5", width: 16, height: 16 });
  const id = await submit(manager, "--type", "demo_render", "--settings", settings);
  await untilStatus(manager, id, ["completed"]);
  await worker.end();
  for (const [command, ...more] of [["download", String(id)], ["backup"]]) {
    const root = path.join(realpathSync(folder.path), command!);
    const log = path.join(folder.path, `${command}.record`);
    const env = { LD_PRELOAD: library, POWER_CUT_ROOT: root, POWER_CUT_LOG: log };
    const { code, stderr } = await tablao({ manager, env }, command!, ...more, root);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const record = readFileSync(log);
    const disk = new Disk();
    advance(disk, record, 0, endsOf(record).at(-1)!);
    const { files } = disk.afterCut(new Rng("cut"), "none");
    const there = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) =>
      statSync(path.join(root, name)).isFile(),
    );
    expect(there.length).toBeGreaterThanOrEqual(5);
    for (const name of there)
      expect(files.get(path.join(root, name))?.equals(readFileSync(path.join(root, name))), name).toBe(true);
  }
});

testWith("cc")(
  "P3, P4, P7: after a power cut, everything that was acknowledged is there, and the rest is rendered once",
  async () => {
    const cuts = await cutPower("1", CUTS, folder.path, buildRecorder(folder.path));
    expect(cuts).toHaveLength(CUTS);
    expect(cuts.filter(({ problems }) => problems.length > 0)).toEqual([]);
  },
);
