import { writeFileSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Stopwatch } from "../../test/support/real-time.ts";
import { FakeManager, problem, sha256, takeUploads, type Answer } from "../../test/support/fake-manager.ts";
import { plainBlend, standInBlender } from "../../test/support/fake-blender.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { lease } from "../../test/support/scripted-lease.ts";
import { until } from "../../test/support/wait.ts";
import { InputCache } from "./input-cache.ts";
import type { LooseLease } from "./lease-calls.ts";
import { encodePng } from "../demo-renderer/png.ts";
import { LeaseRunner, type LeaseOutcome } from "./lease-runner.ts";
import { isAlive } from "../client/process-stat.ts";
import { ManagerClient } from "../client/manager-client.ts";

let manager: FakeManager;
let client: ManagerClient;
let folder: ReturnType<typeof temporaryFolder>;
let cache: InputCache;
let said: string[];

beforeEach(async () => {
  said = [];
  folder = temporaryFolder("lease");
  manager = await FakeManager.start();
  client = new ManagerClient({ url: manager.url, secret: "s" });
  cache = await InputCache.open(join(folder.path, "cache"), 1e9, client);
  takeUploads(manager);
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

const settled: Answer = { status: 200, json: { committed: 0, next: null } };
const renewed = (lease_ms = 60_000, grant = "g"): Answer => ({
  status: 200,
  json: { lease_ms, until_ms: Date.now() + lease_ms, grant, grant_header: "Tablao-Grant-Token" },
});

function runnerOf(of: LooseLease): LeaseRunner {
  const allowed = { exec: true, autoexec: false, programs: {} };
  return new LeaseRunner(
    { client, allowed, cache, work: join(folder.path, "work"), log: (text) => said.push(text) },
    of,
    performance.now(),
  );
}

/** Frame 1 of a plain .blend that 5.0 saved, rendered by a stand-in for this Blender. */
async function renders(blender: string, saved: string, more: { crash?: boolean } = {}): Promise<LeaseOutcome> {
  const blend = join(folder.path, "shot.blend");
  writeFileSync(blend, plainBlend(saved));
  const program = { command: [standInBlender(folder.path, blender, more)] as [string], version: blender };
  const args = ["--background", blend, "--render-output", { out: "frame_####" }, "--render-frame", "1"];
  const plan = {
    command: { program: "blender", args, env: {} },
    parser: "blender_render",
    outputs: [{ frame: 1, name: "frame_0001.png" }],
    needs_exec: false,
  };
  const allowed = { exec: false, autoexec: false, programs: { blender: program } };
  const work = join(folder.path, "work");
  const of = lease("", { frames: "1", plan });
  const runner = new LeaseRunner(
    { client, allowed, cache, work, log: (text) => said.push(text) },
    of,
    performance.now(),
  );
  return await runner.run(() => null);
}

const run = (of: LooseLease): Promise<LeaseOutcome> => runnerOf(of).run(() => null);
const bodies = (verb: string) => manager.to(new RegExp(`/leases/L/${verb}$`)).map((call) => call.json!);
const frames = (done: unknown) => (done as { frame: number }[]).map((each) => each.frame);
const folders = () => readdir(join(folder.path, "work"));

describe("P6: a file that a newer Blender saved", () => {
  test.each([
    ["is not read", "3.4.1", "5.0", {}],
    ["crashes it", "4.2.0", "4.5", { crash: true }],
  ])(
    "where it %s, the frames go back with the reason, for another worker, and none has failed",
    async (_, has, saved, more) => {
      manager.on("POST", /\/release$/, () => settled);
      const outcome = await renders(has, saved, more);
      expect(outcome).toMatchObject({ kind: "released", declineMs: 600_000 });
      expect(bodies("fail")).toEqual([]);
      const reason = `saved by Blender ${saved}, this worker has ${has}`;
      expect(bodies("release")).toMatchObject([{ cause: "version", reason, done: [] }]);
    },
  );

  test("is rendered where it can be, and an older one always", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    expect(await renders("4.2.0", "4.5")).toMatchObject({ kind: "settled", failed: false });
    expect(await renders("5.0.1", "5.0")).toMatchObject({ kind: "settled", failed: false });
    expect(bodies("release")).toEqual([]);
  });
});

describe("a lease that succeeds", () => {
  test("P11: each frame is uploaded when it is saved, under the grant, and committed with its receipt; the folder is deleted", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    const running = run(lease("say('tablao: frame 1'); write(1); await sleep(700); say('tablao: frame 2'); write(2);"));
    await until(() => manager.to(/outputs\/f_1/).length > 0, { what: "frame 1 is uploaded" });
    expect(bodies("complete")).toEqual([]);
    expect(await running).toEqual({ kind: "settled", failed: false, claimed: null });
    const [body] = bodies("complete");
    expect(body).toMatchObject({ attempt: 3, next: null });
    expect(body!["done"]).toMatchObject([
      { frame: 1, receipts: [`g:f_1:${sha256("frame 1").slice(0, 8)}`] },
      { frame: 2, receipts: [`g:f_2:${sha256("frame 2").slice(0, 8)}`] },
    ]);
    expect(body!["log"]).toContain("tablao: frame 2\n");
    expect(await folders()).toEqual([]);
  });

  test("files are found at the end even when the program reports nothing", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    await run(lease("fs.writeFileSync(out + '/f_1', 'a'); fs.writeFileSync(out + '/f_2', 'b');"));
    expect(frames(bodies("complete")[0]!["done"])).toEqual([1, 2]);
  });

  test("a file that changes after it was saved is uploaded in its last state", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    await run(
      lease("write(1); await sleep(600); fs.writeFileSync(out + '/f_1', 'better');", { frames: "1", outputs: [1] }),
    );
    expect(bodies("complete")[0]!["done"]).toMatchObject([
      { frame: 1, receipts: [`g:f_1:${sha256("better").slice(0, 8)}`] },
    ]);
  });

  test("P3: after a lost reply, the same body with the same key of the next claim is sent until it is answered", async () => {
    let tries = 0;
    manager.on("POST", /\/complete$/, () => (++tries < 3 ? "hang up" : settled));
    let keys = 0;
    await runnerOf(lease("write(1); write(2);")).run(() => ({
      key: `key-number-${++keys}`,
      platform: "linux",
      epoch: 1,
    }));
    expect(bodies("complete")).toHaveLength(3);
    expect(new Set(bodies("complete").map((body) => JSON.stringify(body))).size).toBe(1);
    expect(bodies("complete")[0]).toMatchObject({ next: { key: "key-number-1" } });
  });

  test("the lease is renewed every third of its time, with the frames done so far, and the newest grant is used", async () => {
    manager.on("POST", /\/renew$/, () => renewed(900, "g2")).on("POST", /\/complete$/, () => settled);
    await run(lease("write(1); await sleep(1500); write(2);", { lease_ms: 900 }));
    expect(bodies("renew").length).toBeGreaterThanOrEqual(3);
    expect(bodies("renew").flatMap((body) => frames(body["done"]))).toEqual([1]);
    // P3: the settlement names every frame, also those that a renewal has committed: the manager
    // recognises a repeated call by them.
    expect(bodies("complete")[0]!["done"]).toMatchObject([
      { frame: 1, receipts: [expect.stringMatching(/^g/) as string] },
      { frame: 2, receipts: [expect.stringMatching(/^g2:/) as string] },
    ]);
  });
});

describe("P12: warnings of the program", () => {
  /** Before frame 2, it waits for a file. */
  const script = () =>
    "say('tablao: warning: of all'); say('tablao: frame 1'); say('tablao: warning: of one'); write(1); " +
    `say('tablao: warning: ' + out + '/x of two'); while (!fs.existsSync(${JSON.stringify(goFile())})) await sleep(20); ` +
    "say('tablao: frame 2'); write(2);";
  const goFile = () => join(folder.path, "go");

  test("go with the frames that they are about: before the first all, after a saved one the next", async () => {
    manager.on("POST", /\/renew$/, () => renewed(900)).on("POST", /\/complete$/, () => settled);
    const running = run({ ...lease(script(), { lease_ms: 900 }), takes_warnings: true });
    const withFrame = () => bodies("renew").find((body) => frames(body["done"]).includes(1));
    await until(() => withFrame() !== undefined, { what: "a renewal commits frame 1" });
    await writeFile(goFile(), "");
    await running;
    const first = withFrame()!;
    expect(first["warnings"]).toEqual([
      { text: "of all", frames: "1" },
      { text: "of one", frames: "1" },
    ]);
    expect(bodies("complete")[0]!["warnings"]).toEqual([
      { text: "of all", frames: "1-2" },
      { text: "of one", frames: "1" },
      { text: "x of two", frames: "2" },
    ]);
    expect(bodies("renew").filter((body) => frames(body["done"]).length === 0 && "warnings" in body)).toEqual([]);
  });

  test("are not sent to a manager of 0.1, which would refuse the call", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    await writeFile(goFile(), "");
    await run(lease(script()));
    expect(bodies("complete")[0]).not.toHaveProperty("warnings");
  });

  test("are bounded: at most 20 texts of at most 300 characters, however many the program prints", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    const many = "for (let i = 0; i < 5000; i++) say('tablao: warning: ' + i + ' '.repeat(9) + 'x'.repeat(400));";
    await run({ ...lease(`say('tablao: frame 1'); ${many} write(1); write(2);`), takes_warnings: true });
    const { warnings } = bodies("complete")[0]! as { warnings: { text: string }[] };
    expect(warnings).toHaveLength(20);
    expect(warnings[0]!.text).toHaveLength(300);
    expect(warnings.at(-1)!.text).toBe("other warnings: see the log of the task");
  });
});

describe("P12: pictures that are looked at", () => {
  const outputs = [1, 2].map((frame) => ({ frame, name: `f_${frame}.png` }));
  const PNG = JSON.stringify(
    encodePng(
      2,
      2,
      Uint8Array.from({ length: 12 }, (_, i) => i),
    ).toString("base64"),
  );
  const program = (second: string) =>
    `fs.writeFileSync(out + '/f_1.png', Buffer.from(${PNG}, 'base64')); ` +
    `fs.writeFileSync(out + '/f_2.png', ${second}); say('tablao: saved 1 f_1.png'); say('tablao: saved 2 f_2.png');`;
  const half = program(`Buffer.from(${PNG}, 'base64').subarray(0, 50)`);

  test("a finding is a warning of its frame", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    await run({ ...lease(half, { plan: { outputs } }), takes_warnings: true });
    const [body] = bodies("complete");
    expect(body!["warnings"]).toEqual([{ text: "the picture is not whole: it ends before its end mark", frames: "2" }]);
    // Of frame 2 it is not known.
    expect(body).toMatchObject({ several_colours: "1" });
    expect(body).not.toHaveProperty("one_colour");
  });

  test("P11: with strict it is a failure of that frame alone", async () => {
    manager.on("POST", /\/fail$/, () => settled);
    await run({ ...lease(half, { plan: { outputs, strict: true } }), takes_warnings: true });
    const [body] = bodies("fail");
    expect(frames(body!["done"])).toEqual([1]);
    expect(body).toMatchObject({ frames: "2" });
    expect(body!["error"]).toContain("f_2.png: the picture is not whole: it ends before its end mark");
  });

  test("P11: with strict, a renderer's warning about the picture is a failure, too; other warnings are not", async () => {
    manager.on("POST", /\/fail$/, () => settled).on("POST", /\/complete$/, () => settled);
    const newer = "Warning: File written by newer Blender binary (306.13), expect loss of data!";
    const of = (line: string) =>
      run(
        lease(`say(${JSON.stringify(line)}); ${program(`Buffer.from(${PNG}, 'base64')`)}`, {
          plan: { outputs, strict: true, parser: "blender_render" },
        }),
      );
    await of(newer);
    expect(bodies("fail")[0]!["error"]).toContain("File written by newer Blender");
    await of("tablao: warning: the rig has an interface");
    expect(bodies("complete")).toHaveLength(1);
  });
});

describe("P6: whose fault a failure is", () => {
  const refusal = "say('tablao: fault: scene'); say('Tablao: scripts are off'); process.exit(12);";
  const plan = { parser: "blender_render" };
  /** A lease whose scene came with the task, of a manager that knows the field. */
  const sent = (body: string, more: object = {}): LooseLease => {
    const given = lease(body, { plan: { ...plan, ...more } });
    const { command } = given.plan as { command: { args: unknown[] } };
    const args = [...command.args, { in: "shot.blend" }];
    return { ...given, takes_fault: true, plan: { ...(given.plan as object), command: { ...command, args } } };
  };
  const fails = async (of: LooseLease) => {
    manager.on("POST", /\/fail$/, () => settled);
    expect(await run(of)).toMatchObject({ kind: "settled", failed: true });
    return bodies("fail")[0];
  };

  test("is told where the program says that it is the scene's", async () => {
    const body = await fails(sent(refusal));
    expect(body).toMatchObject({ frames: "1-2", error: "scripts are off", fault: "scene" });
  });

  test("is not told of any other failure", async () => {
    const other = "say('Tablao: this Blender has no render engine FOO'); process.exit(12);";
    expect(await fails(sent(other))).not.toHaveProperty("fault");
  });

  test("is not told where scripts of the file run, which may do otherwise on another worker", async () => {
    const of = sent(refusal, { autoexec: true });
    manager.on("POST", /\/fail$/, () => settled);
    const allowed = { exec: true, autoexec: true, programs: {} };
    const work = join(folder.path, "work");
    await new LeaseRunner({ client, allowed, cache, work, log: () => {} }, of, performance.now()).run(() => null);
    expect(bodies("fail")[0]).toMatchObject({ error: "scripts are off" });
    expect(bodies("fail")[0]).not.toHaveProperty("fault");
  });

  test("is not told of a file on this machine's disk, which may be another one elsewhere", async () => {
    const body = await fails({ ...lease(refusal, { plan }), takes_fault: true });
    expect(body).toMatchObject({ error: "scripts are off" });
    expect(body).not.toHaveProperty("fault");
  });

  test("is not told to a manager of 0.1, which would refuse the call", async () => {
    expect(await fails({ ...sent(refusal), takes_fault: false })).not.toHaveProperty("fault");
  });
});

describe("the header that the grant goes into", () => {
  const sentIn = (name: string): (string | string[] | undefined)[] =>
    manager.to(/outputs/).map((call) => call.headers[name]);

  test("P9: is the one that the lease names, and no other", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    await run(lease("write(1); write(2);"));
    expect(sentIn("tablao-grant-token")).toEqual(["g", "g"]);
    expect(sentIn("tablao-grant")).toEqual([undefined, undefined]);
  });

  test("is the one that a renewal names, when the manager was replaced meanwhile by one that knows only the other", async () => {
    manager.handlers.unshift((call) =>
      /outputs/.test(call.path) && call.headers["tablao-grant"] === undefined ? problem(403, "forbidden") : undefined,
    );
    // A manager up to version 0.1 names no header.
    manager.on("POST", /\/renew$/, () => ({ status: 200, json: { lease_ms: 60_000, until_ms: 0, grant: "g2" } }));
    manager.on("POST", /\/complete$/, () => settled);
    expect(await run(lease("write(1); write(2);"))).toMatchObject({ kind: "settled", failed: false });
    expect(sentIn("tablao-grant").filter((value) => value !== undefined)).toEqual(["g2", "g2"]);
  });
});

describe("a render that fails", () => {
  test("P11: exit 0 without its frames is a failure that names the file; the frame that is there counts", async () => {
    manager.on("POST", /\/fail$/, () => settled);
    expect(await run(lease("write(1);"))).toMatchObject({ kind: "settled", failed: true });
    expect(bodies("fail")[0]).toMatchObject({ frames: "2", done: [{ frame: 1 }] });
    expect(bodies("fail")[0]!["error"]).toContain("f_2 was not written");
  });

  test("P6: only the frame in progress fails, with the program's own words; frames saved before are committed", async () => {
    manager.on("POST", /\/fail$/, () => settled);
    await run(
      lease(
        "say('tablao: frame 1'); write(1); say('tablao: frame 2'); say('tablao: error no camera at ' + out + '/x'); await sleep(100); process.exit(0);",
        { frames: "1-3", outputs: [1, 2, 3] },
      ),
    );
    expect(bodies("fail")[0]).toMatchObject({ frames: "2", error: "no camera at x", done: [{ frame: 1 }] });
  });

  test("P6: when loading failed, all frames fail", async () => {
    manager.on("POST", /\/fail$/, () => settled);
    await run(lease("say('cannot read it'); process.exit(4);"));
    expect(bodies("fail")[0]).toMatchObject({ frames: "1-2", done: [] });
    expect(bodies("fail")[0]!["error"]).toMatch(/exited with code 4\ncannot read it$/);
  });

  test("when a frame takes longer than its limit, the program is killed and the frame fails", async () => {
    manager.on("POST", /\/fail$/, () => settled);
    await run(lease("write(1); say('tablao: frame 2'); await sleep(60000);", { plan: { frame_timeout_s: 0.5 } }));
    expect(bodies("fail")[0]).toMatchObject({
      frames: "2",
      error: expect.stringContaining("frame 2 took longer than 0.5 s") as string,
      done: [{ frame: 1 }],
    });
  });

  test("when the manager does not have an input, the task's frames fail", async () => {
    manager.on("POST", /\/fail$/, () => settled);
    await run(lease("", { plan: { inputs: [{ path: "a.blend", sha256: sha256("gone"), size: 4 }] } }));
    expect(bodies("fail")[0]).toMatchObject({
      frames: "1-2",
      error: expect.stringContaining("an input is not on the manager") as string,
    });
  });
});

describe("a lease that is lost", () => {
  const endless = "say('tablao: frame 1'); say('pid ' + process.pid); await sleep(60000);";
  const pid = async () =>
    await until(() => Number(/pid (\d+)/.exec(JSON.stringify(bodies("renew")))?.[1]), {
      what: "the log arrived",
    });

  test("P2: after a 409 to a renewal the process is dead within 5 s, and nothing more is sent", async () => {
    let lost = false;
    manager.on("POST", /\/renew$/, () => (lost ? problem(409, "lease_lost") : renewed(600)));
    const running = run(lease(`process.on('SIGTERM', () => {}); ${endless}`, { lease_ms: 600 }));
    const process = await pid();
    lost = true;
    const watch = new Stopwatch();
    expect(await running).toEqual({ kind: "lost" });
    expect(watch.elapsedMs).toBeLessThan(5_000);
    expect(isAlive(process)).toBe(false);
    expect(manager.calls.at(-1)!.path).toMatch(/renew$/);
    expect(await folders()).toEqual([]);
  });

  test("a pushed cancel ends it without a call to the manager", async () => {
    manager.on("POST", /\/renew$/, () => renewed(600));
    const runner = runnerOf(lease(endless, { lease_ms: 600 }));
    const running = runner.run(() => null);
    const process = await pid();
    runner.markLost("canceled");
    expect(await running).toEqual({ kind: "lost" });
    expect(isAlive(process)).toBe(false);
    expect(manager.to(/\/(fail|complete|release)$/)).toEqual([]);
  });

  test("P2: without an answer until the lease ends, it is lost, and the process is killed", async () => {
    manager.on("POST", /\/renew$/, () => problem(503, "overloaded"));
    const watch = new Stopwatch();
    const before = performance.now();
    expect(await run(lease(endless, { lease_ms: 1_000 }))).toEqual({ kind: "lost" });
    // All time counts for the lower limit: the lease runs out by the clock.
    expect(performance.now() - before).toBeGreaterThan(1_000);
    expect(watch.elapsedMs).toBeLessThan(6_000);
    expect(said.at(-1)).toContain("ran out");
  });

  test("P3: after a 409 to complete, nothing is released and no frame is failed", async () => {
    manager.on("POST", /\/complete$/, () => problem(409, "lease_lost"));
    expect(await run(lease("write(1); write(2);"))).toEqual({ kind: "lost" });
    expect(manager.to(/\/(fail|release)$/)).toEqual([]);
  });

  test("a refused upload causes a renewal, which distinguishes an old grant from a lost lease", async () => {
    manager.handlers.unshift((call) =>
      /outputs/.test(call.path) && call.headers["tablao-grant-token"] === "g" ? problem(409, "lease_lost") : undefined,
    );
    manager.on("POST", /\/renew$/, () => renewed(60_000, "g2")).on("POST", /\/complete$/, () => settled);
    expect(await run(lease("write(1); write(2);"))).toMatchObject({ kind: "settled", failed: false });
    expect(bodies("complete")[0]!["done"]).toMatchObject([
      { receipts: [expect.stringMatching(/^g2/) as string] },
      { frame: 2 },
    ]);
  });
});

describe("a lease that is released", () => {
  /** Run the lease, and ask it to finish its frame once frame 1 is uploaded. */
  async function finishAfterOne(of: LooseLease): Promise<LeaseOutcome> {
    const runner = runnerOf(of);
    const running = runner.run(() => null);
    await until(() => manager.to(/outputs\/f_1/).length > 0, { what: "frame 1 is uploaded" });
    runner.finishFrame();
    return await running;
  }

  test("P5: stopping releases it at once with the frames that are done, and kills the process", async () => {
    manager.on("POST", /\/renew$/, () => renewed(900)).on("POST", /\/release$/, () => settled);
    const runner = runnerOf(lease("write(1); say('tablao: frame 2'); await sleep(60000);", { lease_ms: 900 }));
    const running = runner.run(() => null);
    const named = () => bodies("renew").flatMap((body) => frames(body["done"]));
    await until(() => named().includes(1), { what: "a renewal names frame 1" });
    const watch = new Stopwatch();
    runner.stop();
    expect(await running).toMatchObject({ kind: "released" });
    expect(watch.elapsedMs).toBeLessThan(2_000);
    expect(bodies("release")[0]).toMatchObject({ attempt: 3, reason: "the agent is stopping", done: [{ frame: 1 }] });
  });

  test("P5: asked to finish its frame, it releases the later ones, and done frames stay done", async () => {
    manager.on("POST", /\/release$/, () => settled);
    const script =
      "write(1); say('tablao: frame 2'); await sleep(1500); write(2); say('tablao: frame 3'); await sleep(60000);";
    const outcome = await finishAfterOne(lease(script, { frames: "1-3", outputs: [1, 2, 3] }));
    expect(outcome).toEqual({ kind: "released", declineMs: 0, pauseMs: 0 });
    expect(bodies("release")).toMatchObject([
      { attempt: 3, reason: "the agent is stopping", done: [{ frame: 1 }, { frame: 2 }] },
    ]);
    expect(manager.to(/\/fail$/)).toEqual([]);
    expect(said.at(-1)).toBe("task 7: giving frame 3 back: the agent is stopping");
    expect(await folders()).toEqual([]);
  });

  test("asked to finish its frame, it completes a lease of which that is the last frame", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    const outcome = await finishAfterOne(lease("write(1); say('tablao: frame 2'); await sleep(1500); write(2);"));
    expect(outcome).toMatchObject({ kind: "settled", failed: false });
    expect(frames(bodies("complete")[0]!["done"])).toEqual([1, 2]);
  });

  test("asked to finish its frame, it completes a lease whose program was faster", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    // One write announces both frames: the agent reads about the third before it can act on the
    // second.
    const script = `
      write(1); await sleep(1500);
      for (const n of [2, 3]) fs.writeFileSync(out + "/f_" + n, "frame " + n);
      fs.writeSync(1, [2, 3].map((n) => "tablao: saved " + n + " " + out + "/f_" + n + "\\n").join(""));
      await sleep(60000);`;
    const outcome = await finishAfterOne(lease(script, { frames: "1-3", outputs: [1, 2, 3] }));
    expect(outcome).toMatchObject({ kind: "settled", failed: false });
    expect(frames(bodies("complete")[0]!["done"])).toEqual([1, 2, 3]);
  });

  test("P5: asked to finish its frame while it fetches inputs, it releases all frames at once", async () => {
    manager.on("GET", /^\/assets\//, () => new Promise<never>(() => undefined)).on("POST", /\/release$/, () => settled);
    const inputs = [{ path: "scene", sha256: sha256("scene"), size: 5 }];
    const runner = runnerOf(lease("write(1);", { plan: { inputs } }));
    const running = runner.run(() => null);
    await until(() => manager.to(/^\/assets\//).length > 0, { what: "it fetches" });
    runner.finishFrame();
    expect(await running).toMatchObject({ kind: "released" });
    expect(bodies("release")).toMatchObject([{ reason: "the agent is stopping", done: [] }]);
  });

  test("P6: a plan that this agent may not run is released, and not asked for again for a while", async () => {
    manager.on("POST", /\/release$/, () => settled);
    const outcome = await run(lease("", { plan: { autoexec: true } }));
    expect(outcome).toMatchObject({ kind: "released", declineMs: 600_000 });
    expect(bodies("release")[0]!["reason"]).toContain("--allow-autoexec");
    expect(manager.to(/\/fail$/)).toEqual([]);
  });

  test("P6: a frame whose upload is refused is released with the cause and the frame, without this machine's paths", async () => {
    manager.handlers.unshift(({ path }) =>
      /outputs\/f_2/.test(path) ? problem(413, "too_large", `no room for ${path}`) : undefined,
    );
    manager.on("POST", /\/release$/, () => settled);
    expect(await run(lease("write(1); write(2);"))).toMatchObject({ kind: "released", declineMs: 60_000 });
    expect(bodies("release")).toMatchObject([{ cause: "transfer", frames: "2", done: [{ frame: 1 }] }]);
    expect(bodies("release")[0]!["reason"]).not.toContain(folder.path);
    expect(manager.to(/\/fail$/)).toEqual([]);
  });

  test("P6: a manager of release 0.1, which does not know the cause, is told without it", async () => {
    manager.on("POST", /\/release$/, ({ json }) => ("cause" in json! ? problem(422, "invalid") : settled));
    const outcome = await run(lease("", { plan: { autoexec: true } }));
    expect(outcome).toMatchObject({ kind: "released" });
    expect(bodies("release").map((body) => body["cause"])).toEqual(["unable", undefined]);
  });

  test("P6: a program that ends before its file is whole has failed the frame: it is not given back for ever", async () => {
    manager.on("POST", /\/fail$/, () => settled);
    const grow =
      "const fs = require('node:fs'); const end = Date.now() + 20_000; const more = () => { try { fs.appendFileSync(process.argv[1], 'more', { flag: 'r+' }); fs.appendFileSync(process.argv[1], 'x'); } catch { process.exit(); } if (Date.now() < end) setImmediate(more); }; more();";
    const script = `write(1); fs.writeFileSync(out + "/f_2", Buffer.alloc(8e6));
      require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(grow)}, out + "/f_2"], { detached: true, stdio: "ignore", env: {}, cwd: "/" }).unref();
      await sleep(300);`;
    // Nothing tells the agent whose process that is, or it would end it.
    expect(await run(lease(script))).toMatchObject({ kind: "settled", failed: true });
    expect(bodies("fail")).toMatchObject([{ frames: "2", done: [{ frame: 1 }] }]);
    expect(bodies("fail")[0]!["error"]).toContain(
      "f_2 was changed while it was being sent, after the program had ended",
    );
    expect(bodies("fail")[0]!["error"]).not.toContain(folder.path);
  });

  test("P9: the process sees no token of the agent, and its temporary files stay in the lease's folder", async () => {
    manager.on("POST", /\/complete$/, () => settled);
    process.env["TABLAO_TOKEN"] = "tablao_admin_xxxxxxxxxxxxxxxx";
    try {
      await run(
        lease(
          "say('env ' + JSON.stringify([process.env.TABLAO_TOKEN, process.env.TMPDIR, process.cwd()])); say('tablao: done 1');",
          { frames: "1", outputs: [] },
        ),
      );
    } finally {
      delete process.env["TABLAO_TOKEN"];
    }
    const [token, tmp, cwd] = JSON.parse(/env (.*)/.exec(String(bodies("complete")[0]!["log"]))![1]!) as string[];
    expect(token).toBeNull();
    expect([tmp, cwd].map((path) => path!.slice(path!.indexOf("7-3")))).toEqual([
      join("7-3", "tmp"),
      join("7-3", "out"),
    ]);
  });
});
