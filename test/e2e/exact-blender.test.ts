/**
 * P6, P12, P13: the exact Blender from the farm. An admin adds archives (made from Debian's Blender, from the module
 * `bpy`, and stand-ins), and workers that have no Blender fetch them and render.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildsSchema, type BlenderBuild } from "../../src/protocol/blender-build.ts";
import { framesPageSchema } from "../../src/protocol/task.ts";
import { workersSchema, type Worker } from "../../src/protocol/worker.ts";
import { buildFolder, HERE, packed, type MadeArchive } from "../support/blender-archive.ts";
import { startCountingProxy, type CountingProxy } from "../support/counting-proxy.ts";
import { standInBlender } from "../support/fake-blender.ts";
import {
  endFarm,
  startAgent,
  startManager,
  submit,
  tablao,
  taskOf,
  untilStatus,
  type Manager,
} from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { filesOf } from "../support/history.ts";
import { pngSize } from "../support/pictures.ts";
import { makeBlend, testWith } from "../support/programs.ts";
import { testScene } from "../support/test-scene.ts";
import { until } from "../support/wait.ts";
import { blenderAt, pythonWithBpy, writeShim } from "../scenes/blenders.ts";

let manager: Manager;
const kept = temporaryFolder("exact-blender");
const at = (...names: string[]): string => path.join(kept.path, ...names);

beforeAll(async () => {
  manager = await startManager();
  // What a base system has, and no Blender; without xz, which not every base system has.
  mkdirSync(at("bin"));
  for (const name of ["sh", "tar", "head", "tail", "tr", "sed"]) {
    const found = ["/bin", "/usr/bin"].map((folder) => path.join(folder, name)).find((file) => existsSync(file));
    symlinkSync(found!, at("bin", name));
  }
});
afterAll(async () => {
  await endFarm();
  kept.remove();
});

/** The environment of a machine without Blender. */
const bare = (): NodeJS.ProcessEnv => ({ PATH: at("bin") });

/** An archive under an official name, whose Blender is this file. `more`: bytes that make it larger. */
function archiveOf(version: string, blender: string, more: Record<string, Uint8Array> = {}): MadeArchive {
  const top = buildFolder(at("made", `blender-${version}-linux-x64`), readFileSync(blender, "utf8"), more);
  return packed(top, at("archives"), `blender-${version}-linux-x64.tar.xz`);
}

/** The scripts of this machine's kind, whatever the official name says. */
const HERE_FLAGS = ["--platform", HERE];

async function add(made: MadeArchive, ...flags: string[]): Promise<void> {
  const added = await tablao(manager, "blender", "add", made.file, "--sha256", made.sha256, ...HERE_FLAGS, ...flags);
  expect(added).toMatchObject({ code: 0 });
  expect(added.stdout).toMatch(
    new RegExp(`^Blender \\d+\\.\\d+\\.\\d+ for ${HERE} is kept \\(.* SHA-256 ${made.sha256}\\)\\n$`),
  );
}

const buildsOf = async (): Promise<BlenderBuild[]> =>
  (await manager.client.call(buildsSchema, "GET", "/blender-builds")).builds;
const workerOf = async (id: number): Promise<Worker> => {
  const workers = await manager.client.call(workersSchema, "GET", "/workers");
  return Object.values(workers).find((worker) => worker.id === id)!;
};
async function blendersOf(task: number): Promise<string[]> {
  const { frames } = await manager.client.call(framesPageSchema, "GET", `/tasks/${task}/frames`);
  return [...new Set(frames.flatMap(({ blender }) => blender ?? []))];
}

function blend(version: string): string {
  const file = at(`scene-${version}.blend`);
  writeFileSync(file, testScene({ version }));
  return file;
}

test("P10: an archive is added by file or by URL, only with the right hash, is listed, and is removed", async () => {
  const made = archiveOf("4.2.1", standInBlender(at("4.2.1"), "4.2.1"));
  const wrong = await tablao(manager, "blender", "add", made.file, "--sha256", "a".repeat(64));
  expect([wrong.code, wrong.stderr]).toEqual([
    1,
    expect.stringContaining(`has the SHA-256 ${made.sha256} and not aaaa`),
  ]);
  const server = createServer((_, response) => response.end(made.bytes));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/release/${made.name}`;
  const unsure = await tablao(manager, "blender", "add", url);
  expect([unsure.code, unsure.stderr]).toEqual([2, expect.stringContaining("a URL needs --sha256")]);
  const other = await tablao(manager, "blender", "add", url, "--sha256", "b".repeat(64));
  expect([other.code, other.stderr]).toEqual([1, expect.stringContaining("nothing was sent")]);
  expect(await buildsOf()).toEqual([]);
  const right = await tablao(manager, "blender", "add", url, "--sha256", made.sha256.toUpperCase());
  server.close();
  expect(right.code).toBe(0);
  expect(await buildsOf()).toMatchObject([{ version: "4.2.1", platform: "linux-x64", sha256: made.sha256 }]);
  expect((await tablao(manager, "blender", "list")).stdout).toMatch(
    /^4\.2\.1 +linux-x64 .* blender-4\.2\.1-linux-x64\.tar\.xz$/m,
  );
  expect((await tablao(manager, "storage")).stdout).toMatch(/^Blender +.* in 1 build$/m);
  expect((await tablao(manager, "blender", "remove", "4.2.1")).stdout).toBe("Blender 4.2.1 for linux-x64 removed\n");
  expect((await tablao(manager, "blender", "list")).stderr).toContain("the farm keeps no Blender");
});

test("P12: submit says that nobody has the version; two slots of a machine without any fetch it once and render", async () => {
  const agent = await startAgent(manager, { name: "bare", args: ["--slots", "2"], env: bare() });
  await until(() => agent.said().includes("no Blender"), { what: "it says that it has none" });
  const early = await tablao(manager, "submit", blend("3.6"), "--frames", "1-6", "--chunk", "1");
  expect(early.stderr).toContain("no worker has Blender 3.6");
  const task = Number(/task (\d+)/.exec(early.stdout)![1]);
  await add(archiveOf("3.6.5", standInBlender(at("3.6.5"), "3.6.5")));
  expect(await untilStatus(manager, task, ["completed", "failed"], 120_000)).toMatchObject({
    status: "completed",
    errors: 0,
    lost: 0,
    kept_off: [],
  });
  expect(await blendersOf(task)).toEqual(["3.6.5"]);
  expect(agent.said().match(/fetching Blender 3\.6\.5/g)).toHaveLength(1);
  await until(async () => (await workerOf(agent.id)).programs["blender"] === "3.6.5", { what: "the worker offers it" });
  expect(await workerOf(agent.id)).toMatchObject({ activity: null, fetches: HERE });
  const late = await tablao(manager, "submit", blend("3.6"), "--frames", "1");
  expect([late.code, late.stderr]).toEqual([0, expect.not.stringContaining("no worker has")]);
  // Where the farm keeps it no more, whoever has it renders on.
  expect((await tablao(manager, "blender", "remove", "3.6.5")).code).toBe(0);
  const again = Number(/task (\d+)/.exec(late.stdout)![1]);
  expect((await untilStatus(manager, again, ["completed", "failed"], 120_000)).status).toBe("completed");
  await agent.stop();
  // The next start finds it on its disk.
  const next = await startAgent(manager, { name: "bare", stateDir: agent.stateDir, env: bare() });
  await until(() => next.said().includes("Blenders from the farm: 3.6.5"), { what: "it is found again" });
  await next.stop();
});

test("P13: a fetch that a kill -9 broke off goes on after the next start; why says how far it is", async () => {
  const noise = randomBytes(40_000_000);
  await add(archiveOf("4.1.2", standInBlender(at("4.1.2"), "4.1.2"), { noise }));
  const ofArchives = ({ seen }: CountingProxy): number =>
    seen.filter((call) => call.path.startsWith("/blender-files/")).reduce((sum, { answered }) => sum + answered, 0);
  const proxy = await startCountingProxy(manager.url, {
    holdAnswers: { path: /^\/blender-files\//, after: 12_000_000 },
  });
  const through = { url: proxy.url, client: manager.client };
  const first = await startAgent(through, { name: "cut", env: bare() });
  const task = await submit(manager, blend("4.1"), "--frames", "1-2", "--chunk", "1");
  await until(
    async () =>
      /is fetching Blender 4\.1\.2 \(\d+ of 40 MB\)/.test((await tablao(manager, "why", String(task))).stdout),
    {
      what: "why says it",
    },
  );
  const store = path.join(first.stateDir, ".renderers");
  const half = (): boolean =>
    readdirSync(store).some(
      (name) => name.endsWith(".fetch") && readdirSync(path.join(store, name)).some((file) => file.includes(".part")),
    );
  await until(half, { what: "a half file is there" });
  await first.kill();
  const before = ofArchives(proxy);
  expect(before).toBeGreaterThan(1_000_000);
  await proxy.close();
  const rest = await startCountingProxy(manager.url);
  const second = await startAgent(
    { url: rest.url, client: manager.client },
    { name: "cut", stateDir: first.stateDir, env: bare() },
  );
  // The other frame is leased to the process that is gone, until that runs out.
  await until(async () => (await taskOf(manager, task)).frames.done > 0, { what: "a frame is rendered" });
  // What has been written to the disk may be less than what has come.
  const [all, again] = [(await buildsOf()).find(({ version }) => version === "4.1.2")!.bytes, ofArchives(rest)];
  expect(again).toBeLessThan(all);
  expect(again).toBeGreaterThanOrEqual(all - before);
  await tablao(manager, "cancel", String(task));
  await second.stop();
  await rest.close();
});

test("P6: a build that does not start fails no frame; the worker is held off with the reason, and another one renders", async () => {
  await add(archiveOf("4.4.1", standInBlender(at("4.4.0"), "4.4.0")));
  const bad = await startAgent(manager, { name: "bad", env: bare() });
  const owner = await startAgent(manager, { name: "owner", args: ["--no-fetch"], env: bare() });
  const task = await submit(manager, blend("4.4"), "--frames", "1-3");
  await until(async () => (await taskOf(manager, task)).kept_off.length === 1, { what: "it is given back" });
  expect(await taskOf(manager, task)).toMatchObject({ status: "queued", errors: 0, frames: { pending: 3, failed: 0 } });
  const wrong = "Blender 4.4.1 of the farm cannot be used: it says that it is Blender 4.4.0";
  await until(async () => (await tablao(manager, "why", String(task))).stdout.includes(wrong), { what: "why says it" });
  expect(owner.said()).not.toContain("fetching");
  expect((await workerOf(owner.id)).fetches).toBeUndefined();
  const has = await startAgent(manager, { name: "has", args: ["--blender", standInBlender(at("4.4.2"), "4.4.2")] });
  expect(await untilStatus(manager, task, ["completed", "failed"], 120_000)).toMatchObject({
    status: "completed",
    errors: 0,
  });
  expect(await blendersOf(task)).toEqual(["4.4.2"]);
  for (const agent of [bad, owner, has]) await agent.stop();
});

testWith("blender")("P12: Debian's Blender from the farm renders real frames on a machine without any", async () => {
  const launcher = at("debian");
  writeFileSync(launcher, '#!/bin/sh\nexec /usr/bin/blender "$@"\n');
  await add(archiveOf("3.4.1", launcher));
  const agent = await startAgent(manager, { name: "fresh", env: bare() });
  const task = await submit(manager, makeBlend(kept.path, "real.blend"), "--frames", "1-3", "--blender", "3.4");
  const ended = await untilStatus(manager, task, ["completed", "failed"], 150_000);
  expect(ended).toMatchObject({ status: "completed", error: null });
  expect(await blendersOf(task)).toEqual(["3.4.1"]);
  expect(await filesOf(manager, task)).toHaveLength(3);
  expect((await tablao(manager, "download", String(task), at("out"))).code).toBe(0);
  for (const name of readdirSync(at("out")))
    expect(pngSize(readFileSync(at("out", name)))).toEqual({ width: 64, height: 36 });
  await agent.stop();
});

const python = pythonWithBpy();
const testBpy = python === undefined && process.env["TABLAO_TEST_ALL"] !== "1" ? test.skip : test;
testBpy("P12: Blender of the module bpy from the farm renders real frames on a machine without any", async () => {
  const shim = writeShim(at("made"), python!);
  const { full } = blenderAt(shim);
  await add(archiveOf(full, shim));
  const agent = await startAgent(manager, { name: "fresh-bpy", env: bare() });
  const minor = full.split(".").slice(0, 2).join(".");
  const scene = makeBlend(kept.path, "real-bpy.blend");
  const task = await submit(manager, scene, "--frames", "1-2", "--blender", minor);
  const ended = await untilStatus(manager, task, ["completed", "failed"], 240_000);
  expect(ended).toMatchObject({ status: "completed", error: null });
  expect(await blendersOf(task)).toEqual([full]);
  await agent.stop();
});
