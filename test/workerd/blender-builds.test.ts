/**
 * P8, P9, P12: builds of Blender that the farm keeps. A worker that fetches them is able, one that does not say so is
 * not; what a worker has goes first.
 */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { runDailyJobs } from "../../src/daily-jobs.ts";
import { buildsSchema } from "../../src/protocol/blender-build.ts";
import { leaseSchema } from "../../src/protocol/lease.ts";
import { storageSchema } from "../../src/protocol/storage.ts";
import { taskWhySchema, type TaskWhy } from "../../src/protocol/why.ts";
import { workerInfoSchema, workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { PART_BYTES } from "../../src/protocol/file.ts";
import { fresh } from "./api-farm.ts";
import { newTask, newToken, okJson, problem, send } from "./http-client.ts";
import { sha256, text } from "./files-call.ts";

interface Agent {
  id: number;
  secret: string;
  headers: Record<string, string>;
}

/** An agent of this release with these Blenders; `fetches`: the platform for which it fetches builds. */
async function agent(hostname: string, blenders: string[], fetches?: string): Promise<Agent> {
  const headers: Record<string, string> = fetches === undefined ? {} : { "Tablao-Fetches-Blender": fetches };
  const json = {
    hostname,
    system: "Linux 6.1",
    platform: "linux",
    version: "0.2.0",
    programs: { ...(blenders.length > 0 && { blender: blenders[0]! }), "tablao-tool": "0.2.0" },
  };
  const answer = await okJson(await send("POST", "/workers", { json, headers }), 201);
  const [worker] = Object.values(workerRegisteredSchema.parse(answer));
  const has: Record<string, string> = blenders.length > 0 ? { "Tablao-Blender": blenders.join(", ") } : {};
  return { id: worker!.id, secret: worker!.secret!, headers: { ...headers, ...has } };
}

async function ask({ id, secret, headers }: Agent): Promise<Record<string, unknown>> {
  return await okJson(
    await send("PATCH", `/workers/${id}`, { token: secret, headers, json: { status: "available" } }),
    200,
  );
}

/** Claim as an agent does: it names what the registry told it that it can fetch. */
async function claim(task: number, worker: Agent, fetchable: string[]): Promise<{ lease: unknown; reason: unknown }> {
  const json = { key: fresh("claim-key"), platform: "linux", epoch: 1e12 };
  const headers = {
    ...worker.headers,
    ...(fetchable.length > 0 && { "Tablao-Fetchable-Blender": fetchable.join(", ") }),
  };
  const answer = await okJson(
    await send("POST", `/tasks/${task}/leases`, { token: worker.secret, json, headers }),
    200,
  );
  return { lease: answer["lease"], reason: answer["reason"] };
}

async function submit(blender: string, priority: number): Promise<number> {
  return await newTask(undefined, {
    type: "blender_render",
    settings: { file: "/mnt/shot.blend", frames: "1-3", blender },
    priority,
  });
}

const cancel = async (task: number): Promise<void> => {
  expect((await send("PATCH", `/tasks/${task}`, { json: { status: "cancel" } })).status).toBe(204);
};

const why = async (task: number): Promise<TaskWhy> =>
  taskWhySchema.parse(await okJson(await send("GET", `/tasks/${task}/why`), 200));

async function archive(content = fresh("archive")): Promise<{ sha256: string; bytes: number; file_name: string }> {
  const body = text(content);
  const hash = await sha256(body);
  const headers = { "Content-Length": String(body.length) };
  expect((await send("PUT", `/blender-files/${hash}`, { body, headers })).status).toBe(201);
  return { sha256: hash, bytes: body.length, file_name: "blender.tar.xz" };
}

async function keep(version: string, platform: string, json?: object): Promise<void> {
  const answer = await send("PUT", `/blender-builds/${version}/${platform}`, { json: json ?? (await archive()) });
  expect(answer.status).toBe(200);
}

const builds = async (): Promise<string[]> =>
  buildsSchema
    .parse(await okJson(await send("GET", "/blender-builds"), 200))
    .builds.map(({ version, platform }) => `${version} ${platform}`);

let plain: Agent;
let fetcher: Agent;
let mac: Agent;
beforeAll(async () => {
  plain = await agent("render-07", ["3.4.1"]);
  fetcher = await agent("render-08", [], "linux-x64");
  mac = await agent("render-09", ["3.4.1"], "darwin-arm64");
});

describe("P12: a worker that lacks the version of a task", () => {
  test("is able when the farm keeps a build for its platform and it says that it fetches; no other worker is", async () => {
    const task = await submit("4.5", 90);
    expect((await ask(fetcher))["task_id"]).toBeNull();
    expect((await why(task)).text).toMatch(/no worker has it: the farm has Blender 3\.4 \(2 workers\)\.$/);
    await keep("4.5.3", "linux-x64");
    expect(await ask(plain)).toMatchObject({ task_id: null });
    expect(await ask(plain)).not.toHaveProperty("blender_builds");
    expect(await ask(mac)).toMatchObject({ task_id: null });
    expect(await ask(fetcher)).toMatchObject({ task_id: task, blender_builds: ["4.5.3"] });

    const answer = await why(task);
    expect(answer.blender).toMatchObject({
      workers: 1,
      fetch: 1,
      builds: [{ version: "4.5.3", platform: "linux-x64" }],
    });
    expect(answer.text).toMatch(/no worker has it yet: 1 worker fetches it from the farm when needed\.$/);
    const rules = answer.workers.map(({ hostname, rule }) => `${hostname} ${rule}`);
    expect(rules).toEqual(expect.arrayContaining(["render-07 cannot", "render-09 cannot"]));
    expect(rules).not.toContain("render-08 cannot");

    const listed = buildsSchema.parse(await okJson(await send("GET", "/blender-builds"), 200));
    expect(listed.needs).toEqual([
      {
        needs: "4.5",
        tasks: [task],
        more_tasks: false,
        have: 0,
        fetch: 1,
        cannot: 2,
        cannot_names: ["render-07", "render-09"],
      },
    ]);
    expect(await okJson(await send("GET", "/blender-builds", { token: plain.secret }), 200)).not.toHaveProperty(
      "needs",
    );

    // The registry's word is not trusted: the claim says what the agent fetches.
    expect(await claim(task, fetcher, [])).toEqual({ lease: null, reason: "blender" });
    const { lease } = await claim(task, fetcher, ["4.5.3"]);
    expect(leaseSchema.parse(lease).plan.command).toMatchObject({ program: "blender", version: "4.5" });
    await cancel(task);
  });

  test("says what it is fetching in why, and no longer when its agent has come back", async () => {
    const task = await submit("4.5", 91);
    await claim(task, fetcher, ["4.5.3"]);
    const { id, secret, headers } = fetcher;
    const json = { activity: "fetching Blender 4.5.3 (310 of 370 MB)" };
    await okJson(await send("PATCH", `/workers/${id}`, { token: secret, headers, json }), 200);
    await expect
      .poll(async () => (await why(task)).text)
      .toContain("render-08 is fetching Blender 4.5.3 (310 of 370 MB).");
    const held = (await why(task)).workers.find(({ worker_id }) => worker_id === id);
    expect(held!.text).toBe("It has frames of this task, and is fetching Blender 4.5.3 (310 of 370 MB).");
    const again = { hostname: "render-08", system: "Linux 6.1" };
    await okJson(await send("POST", "/workers", { token: secret, headers, json: again }), 200);
    const shown = workerInfoSchema.parse(await okJson(await send("GET", `/workers/${id}`), 200));
    expect(shown).toMatchObject({ activity: null, fetches: "linux-x64" });
    await cancel(task);
  });

  test("a Blender that a worker has goes before one that it would fetch, and any takes what it has", async () => {
    await keep("4.2.9", "linux-x64");
    const both = await agent("render-10", ["4.5.1"], "linux-x64");
    expect(await ask(both)).toMatchObject({ blender_builds: ["4.5.3", "4.2.9"] });
    const task = await submit("4.2+", 92);
    const { lease } = await claim(task, both, ["4.5.3", "4.2.9"]);
    expect(leaseSchema.parse(lease).plan.command).toMatchObject({ version: "4.5" });
    // The task is bound now: the others fetch that version, too.
    const { lease: second } = await claim(task, fetcher, ["4.5.3", "4.2.9"]);
    expect(second === null || leaseSchema.parse(second).plan.command.version === "4.5").toBe(true);
    await cancel(task);
    const any = await submit("any", 93);
    expect((await ask(fetcher))["task_id"]).toBe(any);
    const { lease: whichever } = await claim(any, fetcher, ["4.5.3", "4.2.9"]);
    expect(leaseSchema.parse(whichever).plan.command).not.toHaveProperty("version");
    await cancel(any);
  });

  test("an owner who switches fetching off is given no such task any more", async () => {
    const task = await submit("4.5", 94);
    expect((await ask(fetcher))["task_id"]).toBe(task);
    expect((await ask({ ...fetcher, headers: {} }))["task_id"]).toBeNull();
    expect((await ask({ ...fetcher, headers: { "Tablao-Fetches-Blender": "vax-780" } }))["task_id"]).toBeNull();
    expect((await ask(fetcher))["task_id"]).toBe(task);
    await cancel(task);
  });

  test("a build that is removed makes nobody able any more, and its archive is deleted", async () => {
    const task = await submit("3.6", 95);
    const kept = await archive();
    await keep("3.6.12", "linux-x64", kept);
    expect((await ask(fetcher))["task_id"]).toBe(task);
    expect((await send("DELETE", "/blender-builds/3.6.12/linux-x64")).status).toBe(204);
    expect((await ask(fetcher))["task_id"]).toBeNull();
    expect((await send("GET", `/blender-files/${kept.sha256}`, { token: fetcher.secret })).status).toBe(404);
    await problem(await send("DELETE", "/blender-builds/3.6.12/linux-x64"), 404, "not_found");
    await cancel(task);
  });
});

describe("P9, P10: builds and their archives", () => {
  test("a build without its archive, or with a name that says nothing, is refused and nothing is kept", async () => {
    const before = await builds();
    const kept = await archive();
    const put = async (path: string, json: object) => await send("PUT", `/blender-builds/${path}`, { json });
    await problem(await put("4.1.0/linux-x64", { ...kept, sha256: "a".repeat(64) }), 409, "conflict");
    await problem(await put("4.1.0/linux-x64", { ...kept, bytes: kept.bytes + 1 }), 409, "conflict");
    for (const [path, field] of [
      ["4.1/linux-x64", "version"],
      ["4.1.0-beta/linux-x64", "version"],
      ["4.1.0/linux-mips", "platform"],
    ] as const)
      expect((await problem(await put(path, kept), 422, "invalid"))["errors"]).toMatchObject([{ field }]);
    const named = await problem(await put("4.1.0/linux-x64", { ...kept, file_name: "blender.exe" }), 422, "invalid");
    expect(named["errors"]).toMatchObject([{ field: "file_name" }]);
    expect(await builds()).toEqual(before);
  });

  test("bytes that do not have the announced hash are refused", async () => {
    const body = text("other bytes");
    const headers = { "Content-Length": String(body.length) };
    await problem(await send("PUT", `/blender-files/${"b".repeat(64)}`, { body, headers }), 422, "invalid");
  });

  test("an archive in parts is checked by their list, and served in ranges", async () => {
    const [first, last] = [new Uint8Array(PART_BYTES).fill(7), text("the end")];
    const hashes = [await sha256(first), await sha256(last)];
    const whole = "c".repeat(64);
    for (const [i, body] of [first, last].entries()) {
      const headers = { "Content-Length": String(body.length), "Tablao-SHA256": hashes[i]! };
      expect((await send("PUT", `/blender-files/${whole}/parts/${i + 1}`, { body, headers })).status).toBe(204);
    }
    const json = { size: PART_BYTES + last.length, sha256: whole };
    // Without the list of the parts, the whole is read and has another hash.
    const list = await sha256(text(`tablao-pieces 1\n${PART_BYTES} ${hashes[0]}\n${last.length} ${hashes[1]}\n`));
    const headers = { "Tablao-Pieces": list };
    const assembled = await send("POST", `/blender-files/${whole}/assemble`, { json, headers });
    expect(await okJson(assembled, 201)).toEqual({ sha256: whole, size: json.size });
    const range = { Range: `bytes=${PART_BYTES}-` };
    const end = await send("GET", `/blender-files/${whole}`, { token: fetcher.secret, headers: range });
    expect([end.status, await end.text()]).toEqual([206, "the end"]);
    await keep("4.4.0", "windows-x64", { sha256: whole, bytes: json.size, file_name: "blender-4.4.0-windows-x64.zip" });
    expect((await send("DELETE", "/blender-builds/4.4.0/windows-x64")).status).toBe(204);
    expect((await env.FILES.list({ prefix: `parts/blenders/${whole}/` })).objects).toEqual([]);
  });

  test("one of the same version and platform is replaced; an archive of two builds stays while one is kept", async () => {
    const [one, other] = [await archive(), await archive()];
    await keep("2.93.0", "linux-x64", one);
    await keep("2.93.1", "linux-x64", one);
    await keep("2.93.0", "linux-x64", other);
    const status = async (hash: string) => (await send("GET", `/blender-files/${hash}`)).status;
    expect([await status(one.sha256), await status(other.sha256)]).toEqual([200, 200]);
    expect((await send("DELETE", "/blender-builds/2.93.1/linux-x64")).status).toBe(204);
    expect([await status(one.sha256), await status(other.sha256)]).toEqual([404, 200]);
    expect((await send("DELETE", "/blender-builds/2.93.0/linux-x64")).status).toBe(204);
  });

  test("P14: an archive that no build names is deleted after a week, one that is named stays", async () => {
    const [orphan, named] = [await archive(), await archive()];
    await keep("3.3.0", "linux-x64", named);
    const there = async (): Promise<boolean[]> =>
      await Promise.all(
        [orphan, named].map(async ({ sha256: hash }) => (await env.FILES.head(`blenders/${hash}`)) !== null),
      );
    await runDailyJobs(env, Date.now() + 6 * 86_400_000);
    expect(await there()).toEqual([true, true]);
    await runDailyJobs(env, Date.now() + 8 * 86_400_000);
    expect(await there()).toEqual([false, true]);
  });

  test("P1: the storage of the farm counts them, and only admins are told", async () => {
    const { token } = await newToken("artist");
    const told = storageSchema.parse(await okJson(await send("GET", "/storage"), 200));
    expect(told.blender_builds!.builds).toBe((await builds()).length);
    expect(told.blender_builds!.bytes).toBeGreaterThan(0);
    expect(await okJson(await send("GET", "/storage", { token }), 200)).not.toHaveProperty("blender_builds");
  });
});
