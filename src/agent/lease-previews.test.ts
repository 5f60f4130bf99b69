/**
 * The previews of a lease: they are committed with its frames, and never make a frame fail, be
 * late, or be lost.
 */
import { writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Stopwatch } from "../../test/support/real-time.ts";
import { fakeFfmpeg, type FakeFfmpeg } from "../../test/support/fake-ffmpeg.ts";
import { FakeManager, takeUploads, type Answer } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { lease } from "../../test/support/scripted-lease.ts";
import { until } from "../../test/support/wait.ts";
import { InputCache } from "./input-cache.ts";
import { LeaseRunner } from "./lease-runner.ts";
import { isAlive } from "../client/process-stat.ts";
import { ManagerClient } from "../client/manager-client.ts";

let manager: FakeManager;
let client: ManagerClient;
let folder: ReturnType<typeof temporaryFolder>;
let cache: InputCache;
let ffmpeg: FakeFfmpeg;

beforeEach(async () => {
  folder = temporaryFolder("lease");
  manager = await FakeManager.start();
  takeUploads(manager);
  client = new ManagerClient({ url: manager.url, secret: "s" });
  cache = await InputCache.open(join(folder.path, "cache"), 1e9, client);
  ffmpeg = fakeFfmpeg(folder.path);
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

const settled: Answer = { status: 200, json: { committed: 0, next: null } };
const renewed = (lease_ms: number): Answer => ({
  status: 200,
  json: { lease_ms, until_ms: Date.now() + lease_ms, grant: "g", grant_header: "Tablao-Grant-Token" },
});
const bodies = (verb: string) => manager.to(new RegExp(`/leases/L/${verb}$`)).map((call) => call.json!);
const folders = () => readdir(join(folder.path, "work"));

/** `f_N.png` for frame N, with this content. */
const pngs = (frames: number[]) => frames.map((frame) => ({ frame, name: `f_${frame}.png` }));
const save = `const save = (frame, text = "frame " + frame) => {
  const file = out + "/f_" + frame + ".png";
  fs.writeFileSync(file, text);
  say("tablao: saved " + frame + " " + file);
};`;
/** A script waits here until the test lets it go on. */
const gate = () => {
  const file = join(folder.path, "go on");
  return {
    wait: `while (!fs.existsSync(${JSON.stringify(file)})) await sleep(20);`,
    open: () => writeFileSync(file, ""),
  };
};
const start = (body: string, frames: number[], more: { lease_ms?: number } = {}) => {
  const of = lease(save + body, {
    ...more,
    frames: `${frames[0]!}-${frames.at(-1)!}`,
    plan: { outputs: pngs(frames) },
  });
  const allowed = { exec: true, autoexec: false, programs: { ffmpeg: { command: ffmpeg.command, version: "1" } } };
  const work = join(folder.path, "work");
  return new LeaseRunner({ client, allowed, cache, work, log: () => undefined }, of, performance.now());
};
const names = (done: unknown) =>
  (done as { receipts: string[] }[]).map(({ receipts }) => receipts.map((receipt) => receipt.split(":")[1]));

test("every frame has its preview, many of them from one run", async () => {
  manager.on("POST", /\/complete$/, () => settled);
  const twenty = Array.from({ length: 20 }, (_, i) => i + 1);
  await start("for (let i = 1; i <= 20; i++) { save(i); await sleep(10); }", twenty).run(() => null);
  const { done } = bodies("complete")[0]!;
  expect(names(done)).toEqual(twenty.map((frame) => [`f_${frame}.png`, `f_${frame}.png.preview.jpg`]));
  const previews = manager.to(/preview/).map((call) => [call.path.split("/").at(-1), call.body.toString()]);
  expect(previews).toContainEqual(["f_7.png.preview.jpg", "preview of frame 7"]);
  expect(ffmpeg.runs().length).toBeLessThan(8);
  expect(await folders()).toEqual([]);
});

test("P11: a frame that ffmpeg cannot read is done nevertheless, and the others have their previews", async () => {
  manager.on("POST", /\/complete$/, () => settled);
  const { wait, open } = gate();
  const settling = start(`save(1); save(2, 'corrupt'); save(3); ${wait}`, [1, 2, 3]).run(() => null);
  // Finding the corrupt file takes several runs of ffmpeg, and a finished lease waits only some
  // seconds for them.
  await until(() => manager.to(/preview/).length === 2, { what: "the other previews" });
  open();
  await settling;
  expect(names(bodies("complete")[0]!["done"])).toEqual([
    ["f_1.png", "f_1.png.preview.jpg"],
    ["f_2.png"],
    ["f_3.png", "f_3.png.preview.jpg"],
  ]);
});

test("a renewal leaves a frame whose preview is being uploaded for a later call", async () => {
  const early = () => bodies("renew").flatMap((body) => names(body["done"]));
  // The renewal that names frame 1 extends the lease by a minute, so no other renewal follows.
  manager.on("POST", /\/renew$/, () => renewed(early().length > 0 ? 60_000 : 900));
  manager.on("POST", /\/complete$/, () => settled);
  const { wait, open } = gate();
  const settling = start(`save(1); ${wait} save(2);`, [1, 2], { lease_ms: 900 }).run(() => null);
  await until(() => early().length > 0, { what: "a renewal names frame 1" });
  open();
  await settling;
  expect(bodies("renew")[0]!["done"]).toEqual([]);
  expect(early()).toEqual([["f_1.png", "f_1.png.preview.jpg"]]);
  expect(names(bodies("complete")[0]!["done"])).toEqual([["f_1.png"], ["f_2.png", "f_2.png.preview.jpg"]]);
});

test("a preview that hangs does not delay the frame", async () => {
  manager.on("POST", /\/complete$/, () => settled);
  const watch = new Stopwatch();
  expect(await start("save(1, 'hangs');", [1]).run(() => null)).toMatchObject({ kind: "settled", failed: false });
  expect(watch.elapsedMs).toBeLessThan(8_000);
  expect(names(bodies("complete")[0]!["done"])).toEqual([["f_1.png"]]);
  expect(isAlive(ffmpeg.runs()[0]!.pid)).toBe(false);
});

const running = async () => await until(() => ffmpeg.runs()[0]?.pid, { what: "ffmpeg runs", everyMs: 20 });

test("P2: when the lease is lost while ffmpeg runs, ffmpeg is killed, and nothing more is sent", async () => {
  manager.on("POST", /\/renew$/, () => renewed(600));
  const runner = start("save(1, 'hangs'); await sleep(60000);", [1, 2]);
  const lost = runner.run(() => null);
  const pid = await running();
  const watch = new Stopwatch();
  runner.markLost("canceled");
  expect(await lost).toEqual({ kind: "lost" });
  expect(watch.elapsedMs).toBeLessThan(5_000);
  expect(isAlive(pid)).toBe(false);
  expect(manager.to(/preview|\/(fail|complete|release)$/)).toEqual([]);
  expect(await folders()).toEqual([]);
});

test("P5: stopping while ffmpeg runs releases the lease at once, with the frame that is done", async () => {
  manager.on("POST", /\/release$/, () => settled);
  const runner = start("save(1, 'hangs'); await sleep(60000);", [1, 2]);
  const stopped = runner.run(() => null);
  const pid = await running();
  const watch = new Stopwatch();
  runner.stop();
  expect(await stopped).toMatchObject({ kind: "released" });
  expect(watch.elapsedMs).toBeLessThan(2_000);
  expect(names(bodies("release")[0]!["done"])).toEqual([["f_1.png"]]);
  expect(isAlive(pid)).toBe(false);
});
