/** A machine without a checkout joins with the one line that the manager shows. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NODE_ARCHIVES, NODE_VERSION } from "../../src/http/join/node-archives.ts";
import { PROGRAM_GZIP_NAME, PROGRAM_NAME } from "../../src/protocol/program.ts";
import { buildFolder, HERE, packed } from "../support/blender-archive.ts";
import { startChild, type Child } from "../support/child.ts";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { CHECKOUT, endFarm, startManager, submit, tablao, taskOf, untilStatus, type Manager } from "../support/farm.ts";
import { temporaryFolder, testFolder } from "../support/folders.ts";
import { makeBlend, testWith } from "../support/programs.ts";
import { until } from "../support/wait.ts";

/** What the script may use: what every Linux has, curl and gzip. Node is not among it. */
const BASE = "sh curl tar gzip sha256sum cut mktemp mkdir mv rm ln chmod cat uname".split(" ");
/** The size of the bundled program, compressed, is bounded. */
const MAX_PROGRAM_GZIP_BYTES = 500_000;

/** What a machine fetches to join, beside Node and Blender. */
const MAX_JOIN_BYTES = 600_000;

const base = temporaryFolder("base");
const machine = process.arch === "arm64" ? "arm64" : "x64";
const archiveName = `node-v${NODE_VERSION}-linux-${machine}`;
let manager: Manager;
let mirror: Server;
let archive: Buffer;
/** The paths that the mirror was asked for. */
const asked: string[] = [];

beforeAll(async () => {
  for (const name of BASE) symlinkSync(realpathSync(pathOf(name)), path.join(base.path, name));
  // Node's official archive cannot be had in every place where tests run. One with the Node of this checkout
  // stands in, and its hash takes the place of the pinned one in the script.
  const tree = path.join(base.path, "tree", archiveName, "bin");
  mkdirSync(tree, { recursive: true });
  cpSync(process.execPath, path.join(tree, "node"), { dereference: true });
  archive = gzipSync(
    execFileSync("tar", ["-cf", "-", "-C", path.join(base.path, "tree"), archiveName], { maxBuffer: 1e9 }),
    {
      level: 1,
    },
  );
  mirror = createServer((request, response) => {
    asked.push(request.url!);
    if (request.url === `/dist/v${NODE_VERSION}/${archiveName}.tar.gz`) response.end(archive);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => mirror.listen(0, "127.0.0.1", resolve));
  manager = await startManager();
  const { port } = mirror.address() as AddressInfo;
  const set = await tablao(manager, "settings", "set", "node_mirror", `http://127.0.0.1:${port}/dist`);
  expect(set).toMatchObject({ code: 0 });
});
afterAll(async () => {
  mirror.close();
  await endFarm();
  base.remove();
});

function pathOf(program: string): string {
  return execFileSync("which", [program], { encoding: "utf8" }).trim();
}

async function script(): Promise<string> {
  return await (await fetch(`${manager.url}/join.sh`)).text();
}

/** The script with the hash of the archive that stands in for Node's. */
async function scriptForMirror(): Promise<string> {
  const ours = createHash("sha256").update(archive).digest("hex");
  const text = await script();
  expect(text).toContain(NODE_ARCHIVES.linux[machine]);
  return text.replace(NODE_ARCHIVES.linux[machine], ours);
}

async function joinToken(): Promise<string> {
  return (await tablao(manager, "token", "create", "--role", "join")).stdout.trim();
}

/** Pipe a script into `sh` on a machine that has only this folder of programs, and an empty home. */
function pipe(text: string, home: string, env: NodeJS.ProcessEnv, ...args: string[]): Child {
  return startChild(path.join(base.path, "sh"), ["-s", "--", ...args], {
    input: text,
    cwd: home,
    env: { PATH: base.path, HOME: home, ...env },
  });
}

/** The machine's own Node, which is Node 20 on Debian 12; the checkout's where it has none. */
function systemNode(): string {
  const found = (process.env["PATH"] ?? "")
    .split(":")
    .filter((folder) => folder !== "" && !folder.includes("node_modules"))
    .map((folder) => path.join(folder, "node"))
    .find((file) => existsSync(file));
  const node = found ?? process.execPath;
  process.stderr.write(`the machine's Node: ${execFileSync(node, ["--version"], { encoding: "utf8" })}`);
  return node;
}

/** A PATH with the programs of the base system and a Node. */
function pathWithNode(node: string): string {
  const folder = testFolder("node");
  symlinkSync(node, path.join(folder, "node"));
  return `${folder}:${base.path}`;
}

test("P9: a machine with only its base system joins with one line, fetches Node by its hash, and renders", async () => {
  const task = await submit(
    manager,
    "--type",
    "demo_render",
    "--settings",
    '{"width":64,"height":36}',
    "--frames",
    "1-4",
  );
  const home = testFolder("home");
  const child = pipe(await scriptForMirror(), home, { TABLAO_JOIN: await joinToken() }, "--once", "--name", "joined");
  expect(await child.ended, child.stderr()).toMatchObject({ code: 0 });
  await untilStatus(manager, task, ["completed"]);
  expect(await taskOf(manager, task)).toMatchObject({ errors: 0, lost: 0, frames: { done: 4 } });
  expect(asked).toEqual([`/dist/v${NODE_VERSION}/${archiveName}.tar.gz`]);
  // Nothing but its own folder, and nothing half done in it.
  expect(readdirSync(home)).toEqual([".tablao"]);
  const { mode } = statSync(path.join(home, ".tablao"));
  expect((mode & 0o777).toString(8)).toBe("700");
  expect(readdirSync(path.join(home, ".tablao")).toSorted()).toEqual([
    "bin",
    "node",
    "program",
    "renderers",
    "workers",
  ]);

  // The second line finds all of it, and fetches nothing.
  const again = pipe(await scriptForMirror(), home, {}, "--once", "--name", "joined");
  expect(await again.ended, again.stderr()).toMatchObject({ code: 0 });
  expect(again.stderr()).not.toContain("fetching");
  expect(asked).toHaveLength(1);
});

test("without a token the line installs the command line, which says how to sign in and works", async () => {
  const home = testFolder("home");
  mkdirSync(path.join(home, ".local/bin"), { recursive: true });
  const PATH = pathWithNode(systemNode());
  const child = pipe(await script(), home, { PATH });
  expect(await child.ended, child.stderr()).toMatchObject({ code: 0 });
  const program = path.join(home, ".tablao/bin/tablao");
  expect(child.stderr()).toContain(`sign in:       ${program} login ${manager.url}`);
  expect(readdirSync(path.join(home, ".tablao")).toSorted()).toEqual(["bin", "program"]);
  const env = { PATH: `${path.join(home, ".local/bin")}:${PATH}`, HOME: home };
  const run = async (...args: string[]): Promise<{ code: number | null; said: string }> => {
    const ran = startChild("tablao", args, { env, cwd: home });
    const { code } = await ran.ended;
    return { code, said: ran.stdout() + ran.stderr() };
  };
  expect(await run("tasks")).toEqual({
    code: 5,
    said: "tablao: no manager is known. Name one: --manager URL, TABLAO_URL, or `tablao login URL`.\n",
  });
  const tasks = await run("--manager", manager.url, "--token", manager.token, "tasks", "--all");
  expect(tasks).toMatchObject({ code: 0 });
});

test("P9: a program or a Node with another hash is not installed", async () => {
  const home = testFolder("home");
  const env = { TABLAO_JOIN: await joinToken() };
  // The mirror serves an archive that is not Node's official one.
  const node = pipe(await script(), home, env);
  expect(await node.ended).toMatchObject({ code: 1 });
  expect(node.stderr()).toContain(
    "tablao: Node did not arrive as it should be (its SHA-256 differs); nothing was installed",
  );
  const text = await script();
  const hash = /^program_sha256='(\w{64})'$/m.exec(text)![1]!;
  const changed = text.replace(
    `program_sha256='${hash}'`,
    `program_sha256='${hash.replace(/^./, (digit) => (digit === "0" ? "1" : "0"))}'`,
  );
  const program = pipe(changed, home, { ...env, PATH: pathWithNode(process.execPath) });
  expect(await program.ended).toMatchObject({ code: 1 });
  expect(program.stderr()).toContain("tablao: the program did not arrive as it should be");
  const left = readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) =>
    statSync(path.join(home, name)).isFile(),
  );
  expect(left).toEqual([]);
});

test("a Node that is too old is not used, and a mirror without Node says what to install", async () => {
  const home = testFolder("home");
  const old = path.join(testFolder("old"), "node");
  writeFileSync(old, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  const other = (await script()).replace(/^node_version='.*'$/m, "node_version='0.0.1'");
  const child = pipe(other, home, { PATH: pathWithNode(old), TABLAO_JOIN: "x" });
  expect(await child.ended).toMatchObject({ code: 1 });
  expect(child.stderr()).toMatch(/cannot be fetched: install Node 20 or newer, and run this again\n$/);
});

test("the line makes a service or does not: another value is refused before anything is done", async () => {
  const home = testFolder("home");
  const child = pipe(await script(), home, { TABLAO_JOIN: "x", TABLAO_SERVICE: "yes" });
  expect(await child.ended).toMatchObject({ code: 1 });
  expect(child.stderr()).toBe("tablao: TABLAO_SERVICE must be 1 (make it a service) or 0, not 'yes'\n");
  expect(readdirSync(home)).toEqual([]);
});

test("a script that was cut off on the way does nothing", async () => {
  const text = await script();
  const lines = text.split("\n");
  for (const end of [40, 80, lines.length - 20, lines.length - 3]) {
    const home = testFolder("home");
    const child = pipe(lines.slice(0, end).join("\n"), home, { TABLAO_JOIN: "x" });
    await child.ended;
    expect(readdirSync(home)).toEqual([]);
  }
});

test("P9: a machine's own Node is used, and the token is in no argument of any process of the line", async () => {
  const home = testFolder("home");
  const token = await joinToken();
  const task = await submit(
    manager,
    "--type",
    "demo_render",
    "--settings",
    '{"width":64,"height":36}',
    "--frames",
    "1-4",
  );
  const env = { PATH: pathWithNode(systemNode()), TABLAO_JOIN: token };
  const child = pipe(await script(), home, env, "--name", "quiet");
  const seen = new Set<string>();
  // Read again and again while the task renders: a process may live for milliseconds only.
  const rendered = async (): Promise<true | undefined> => {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        seen.add(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
      } catch {
        // It has ended.
      }
    }
    return (await taskOf(manager, task)).status === "completed" || undefined;
  };
  await until(rendered, { what: `the task is completed: ${child.stderr()}`, everyMs: 20 });
  expect([...seen].some((line) => line.includes("tablao-"))).toBe(true);
  expect([...seen].filter((line) => line.includes(token))).toEqual([]);
  await child.end("SIGTERM");
});

testWith("blender")(
  "P12: a machine with nothing but Node joins with one line, and renders with the Blender of the farm",
  async () => {
    const launcher = path.join(base.path, "debian");
    writeFileSync(launcher, '#!/bin/sh\nexec /usr/bin/blender "$@"\n');
    const top = buildFolder(path.join(base.path, "blender-3.4.1-linux-x64"), readFileSync(launcher, "utf8"));
    const { file } = packed(top, base.path, "blender-3.4.1-linux-x64.tar.xz");
    expect(await tablao(manager, "blender", "add", file, "--platform", HERE)).toMatchObject({ code: 0 });
    const scene = makeBlend(testFolder("scene"), "shot.blend");
    const task = await submit(manager, scene, "--frames", "1-2", "--blender", "3.4");

    const home = testFolder("home");
    const proxy = await startCountingProxy(manager.url);
    const env = { PATH: pathWithNode(systemNode()), TABLAO_JOIN: await joinToken() };
    const beganMs = performance.now();
    const child = pipe((await script()).replaceAll(manager.url, proxy.url), home, env, "--name", "fresh");
    await until(() => child.stderr().includes("connected"), { what: `it has joined: ${child.stderr()}`, everyMs: 20 });
    const joinedMs = performance.now();
    await untilStatus(manager, task, ["completed"]);
    const seconds = (fromMs: number, toMs: number): string => ((toMs - fromMs) / 1_000).toFixed(1);
    const fetched = proxy.seen.filter((call) => call.path.startsWith("/tablao.")).map(({ answered }) => answered);
    const bytes = fetched.reduce((sum, one) => sum + one, (await script()).length);
    process.stderr.write(
      `joined in ${seconds(beganMs, joinedMs)} s with ${(bytes / 1_000).toFixed(0)} kB; two frames by the farm's Blender ${seconds(joinedMs, performance.now())} s later\n`,
    );
    expect(bytes).toBeLessThanOrEqual(MAX_JOIN_BYTES);
    expect(await taskOf(manager, task)).toMatchObject({ errors: 0, lost: 0, frames: { done: 2 } });
    await child.end("SIGTERM");
    await proxy.close();
  },
);

test(`the program is at most ${MAX_PROGRAM_GZIP_BYTES / 1_000} kB, and is what its record says`, async () => {
  const built = path.join(CHECKOUT, "public");
  const packed = statSync(path.join(built, PROGRAM_GZIP_NAME)).size;
  process.stderr.write(`the program: ${(packed / 1_000).toFixed(0)} kB gzip\n`);
  expect(packed).toBeLessThanOrEqual(MAX_PROGRAM_GZIP_BYTES);
  const bytes = Buffer.from(await (await fetch(`${manager.url}/${PROGRAM_NAME}`)).arrayBuffer());
  const record = (await (await fetch(`${manager.url}/tablao.json`)).json()) as Record<string, unknown>;
  expect(record).toMatchObject({ bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
});

test("the page of the line shows both systems, and no token", async () => {
  const html = await (await fetch(`${manager.url}/join`)).text();
  expect(html).toContain(`curl -fsS ${manager.url}/join.sh | TABLAO_JOIN=TOKEN sh`);
  expect(html).toContain(`$env:TABLAO_JOIN='TOKEN'; irm ${manager.url}/join.ps1 | iex`);
  const windows = await (await fetch(`${manager.url}/join.ps1`)).text();
  expect(windows).toContain(`$manager = '${manager.url}'`);
  expect(windows).not.toContain("undefined");
});
