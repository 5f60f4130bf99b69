/** An agent whose manager, or whose program, is malicious. */
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Stopwatch } from "../../test/support/real-time.ts";
import { FakeManager, problem, sha256 } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { lease } from "../../test/support/scripted-lease.ts";
import { InputCache } from "./input-cache.ts";
import type { LooseLease } from "./lease-calls.ts";
import { LeaseRunner } from "./lease-runner.ts";
import { ManagerClient } from "../client/manager-client.ts";

let manager: FakeManager;
let folder: ReturnType<typeof temporaryFolder>;
let cache: InputCache;
let client: ManagerClient;

beforeEach(async () => {
  folder = temporaryFolder("hostile");
  manager = await FakeManager.start();
  manager.on("POST", /\/(complete|fail|release)$/, () => ({ status: 200, json: { committed: 0, next: null } }));
  client = new ManagerClient({ url: manager.url, secret: "s" });
  cache = await InputCache.open(join(folder.path, "cache"), 1e9, client);
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

async function run(of: LooseLease, exec = true): Promise<string> {
  const deps = {
    client,
    allowed: { exec, autoexec: false, programs: {} },
    cache,
    work: join(folder.path, "work"),
    log: () => undefined,
  };
  const outcome = await new LeaseRunner(deps, of, performance.now()).run(() => null);
  return outcome.kind;
}

const sent = (verb: string): Record<string, unknown> | undefined => manager.to(new RegExp(`/${verb}$`))[0]?.json;

describe("P9: a malicious program", () => {
  test.each([
    ["a link to a file of the machine", "fs.symlinkSync('/etc/passwd', out + '/f_1')", "not a regular file"],
    ["a link to a folder of the machine", "fs.symlinkSync('/etc', out + '/f_1')", "not a regular file"],
    [
      "a pipe that never ends",
      "require('node:child_process').execSync('mkfifo ' + out + '/f_1')",
      "not a regular file",
    ],
    ["a folder", "fs.mkdirSync(out + '/f_1')", "not a regular file"],
    [
      "its output folder replaced by a link",
      "fs.rmdirSync(out); fs.mkdirSync(out + '2'); fs.writeFileSync(out + '2/f_1', 'x'); fs.symlinkSync('/etc', out)",
      "was not written",
    ],
  ])("leaves %s in place of its frame: nothing is uploaded, the frame has failed", async (_what, script, why) => {
    expect(await run(lease(`${script}; say('tablao: saved 1 ' + out + '/f_1');`, { frames: "1", outputs: [1] }))).toBe(
      "settled",
    );
    expect(manager.to(/outputs/)).toEqual([]);
    expect(sent("fail")).toMatchObject({ frames: "1" });
    expect(String(sent("fail")!["error"])).toContain(why);
  });

  test("reports files elsewhere as its frames: they are not read", async () => {
    const outside = join(folder.path, "f_1");
    await writeFile(outside, "private");
    const script = `for (const path of [${JSON.stringify(outside)}, '../../../f_1', '/etc/passwd', 'f_1/../../f_1']) say('tablao: saved 1 ' + path);`;
    expect(await run(lease(script, { frames: "1", outputs: [1] }))).toBe("settled");
    expect(manager.to(/outputs/)).toEqual([]);
    expect(String(sent("fail")!["error"])).toContain("was not written");
  });

  test("prints 10 MB of one line, escape sequences and malformed reports: they cost one line of the log", async () => {
    const script = `
      for (let i = 0; i < 1000; i++) fs.writeSync(1, "\\u001b[31mx".repeat(1700));
      say('');
      say('tablao: frame 99'); say('tablao: saved 1e999 '); say('tablao: progress NaN'); say('tablao: saved 1 ' + 'a/'.repeat(5000));
      say('tablao: done 1');`;
    expect(await run(lease(script, { frames: "1", outputs: [] }))).toBe("settled");
    const log = String(sent("complete")!["log"]);
    expect(log.length).toBeLessThan(40_000);
    expect(log).toMatch(/characters left out\]/);
  });
});

describe("P12: a program that changes its input", () => {
  /** Reads the input `a`, writes it into the frame, and spoils it without a trace. */
  const spoil = `
    const file = require("node:path").join(out, "..", "in", "a"), was = fs.statSync(file);
    fs.writeFileSync(out + "/f_1", fs.readFileSync(file)); say("tablao: saved 1 " + out + "/f_1");
    fs.chmodSync(file, 0o644); fs.writeFileSync(file, "poison"); fs.utimesSync(file, was.atime, was.mtime);`;

  test("and puts its time back changes only its own: the next lease, and one beside it, get the true bytes", async () => {
    manager.on("GET", /^\/assets\//, () => ({ status: 200, bytes: Buffer.from("scene!") }));
    manager.on("PUT", /\/outputs\//, ({ body }) => {
      return { status: 201, json: { receipt: "r", name: "f_1", size: body.length, sha256: sha256(body) } };
    });
    const inputs = [{ path: "a", sha256: sha256("scene!"), size: 6 }];
    const next = () => lease(spoil, { frames: "1", outputs: [1], plan: { inputs } });
    await Promise.all([run({ ...next(), attempt: 4 }), run({ ...next(), attempt: 5 })]);
    expect(await run(next())).toBe("settled");
    const frames = manager.calls.filter(({ method }) => method === "PUT").map(({ body }) => body.toString());
    expect(frames).toEqual(["scene!", "scene!", "scene!"]);
    expect(manager.to(/^\/assets\//).length).toBe(1);
  });
});

describe("P9: a malicious manager", () => {
  const input = (content: string, path = "a", size = content.length) => ({ path, sha256: sha256(content), size });

  test("sends an input without end: it is cut off at the announced size, and nothing of it is kept", async () => {
    manager.on("GET", /^\/assets\//, () => ({ status: 200, bytes: Buffer.alloc(3_000_000) }));
    expect(await run(lease("", { plan: { inputs: [input("small")] } }))).toBe("released");
    expect(String(sent("release")!["reason"])).toContain("more than the 5 bytes");
    expect(await readdir(join(folder.path, "cache"))).toEqual([]);
  });

  test("sends bytes that do not match the hash: they are not used as an input", async () => {
    manager.on("GET", /^\/assets\//, () => ({ status: 200, bytes: Buffer.from("evil!") }));
    expect(await run(lease("", { plan: { inputs: [input("small")] } }))).toBe("released");
    expect(await readdir(join(folder.path, "cache"))).toEqual([]);
  });

  test.each([
    ["an input that climbs", { inputs: [input("x", "../../cache/evil")] }],
    ["an output that climbs", { outputs: [{ frame: 1, name: "../f_1" }] }],
    ["an argument that climbs", { command: { program: process.execPath, args: [{ out: "../../x" }], env: {} } }],
    ["two inputs in one place", { inputs: [input("x"), input("y")] }],
  ])("sends a plan with %s: it does not run", async (_what, plan) => {
    manager.on("GET", /^\/assets\//, (call) => ({
      status: 200,
      bytes: Buffer.from(call.path.endsWith(sha256("x")) ? "x" : "y"),
    }));
    const marker = join(folder.path, "ran");
    const of = lease(`fs.writeFileSync(${JSON.stringify(marker)}, '')`, { plan });
    expect(["released", "settled"]).toContain(await run(of));
    expect(existsSync(marker)).toBe(false);
    expect(sent("complete")).toBeUndefined();
  });

  test("asks for a program that its owner did not allow: it does not run, not even under one of our names", async () => {
    await mkdir(join(folder.path, "bin"));
    const marker = join(folder.path, "ran");
    for (const needs_exec of [true, false]) {
      const of = lease(`fs.writeFileSync(${JSON.stringify(marker)}, '')`, { plan: { needs_exec } });
      expect(await run(of, false)).toBe("released");
    }
    expect(existsSync(marker)).toBe(false);
  });

  test("leases ten million frames at once: the agent does not walk the list", async () => {
    const watch = new Stopwatch();
    expect(await run(lease("", { frames: "1-10000000" }))).toBe("released");
    expect(watch.elapsedMs).toBeLessThan(1_000);
  });

  test("redirects a call to another host: the token is not sent there", async () => {
    const elsewhere = await FakeManager.start();
    try {
      manager.on("GET", /^\/assets\//, () =>
        manager.to(/^\/assets\//).length === 1
          ? { status: 307, headers: { location: `${elsewhere.url}/assets/x` } }
          : problem(404, "not_found"),
      );
      expect(await run(lease("", { plan: { inputs: [input("small")] } }))).toBe("settled");
      expect(elsewhere.calls).toEqual([]);
    } finally {
      await elsewhere.stop();
    }
  });
});
