/**
 * Upgrade: objects whose rows an older version of the manager wrote. This version opens them,
 * upgrades their schema, and continues their work. Each fixture holds the rows of a real farm,
 * recorded from the version that it names (`test/chaos/fixtures/take.ts`).
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { outputKey } from "../../src/files/keys.ts";
import { queryDays } from "../../src/history/totals-store.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { sign, verify } from "../../src/platform/signed-claims.ts";
import { importKey } from "../../src/platform/signing-key.ts";
import type { ShareClaims } from "../../src/protocol/share.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import beforeJournal from "../chaos/fixtures/before-journal.json";
import beforeLeases from "../chaos/fixtures/before-leases.json";
import beforeWebhooks from "../chaos/fixtures/before-webhooks.json";
import blender9991c53 from "../chaos/fixtures/blender-9991c53.json";
import release9991c53 from "../chaos/fixtures/release-9991c53.json";
import { leaseSchema, type Lease } from "../../src/protocol/lease.ts";
import { framesPageSchema } from "../../src/protocol/task.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { readerOf, readTar } from "../support/archive-readers.ts";
import { ring as ringAlarm } from "./alarms.ts";
import { upload } from "./api-farm.ts";
import { admin, claim, complete, files, history, later, object, requeue, ring, stubOf, view } from "./chaos-tasks.ts";
import { sha256, text as encoded } from "./files-call.ts";
import { ask, okJson, problem, send } from "./http-client.ts";
import { until } from "./wait.ts";

type Row = Record<string, string | number | null>;
interface Store {
  create: string[];
  tables: Record<string, Row[]>;
}
interface Taken {
  taken_ms: number;
  live: { lease_id: string; attempt: number };
  /** Absent in the older fixtures, where the record of the task holds the claim. */
  live_claim?: { key: string; worker: number };
  registry: Store;
  tasks: Store[];
  objects: { key: string; text: string }[];
}

const registry = (): RegistryRpc => registryStub(env) as unknown as RegistryRpc;

/** Replace the rows of an object with those of an older version. */
async function put(stub: DurableObjectStub, { create, tables }: Store): Promise<void> {
  await evictDurableObject(stub).catch(() => undefined);
  await runInDurableObject(stub, async (_, { storage }) => {
    const own = storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray();
    for (const { name } of own) if (!/^(_|sqlite_)/.test(name)) storage.sql.exec(`DROP TABLE "${name}"`);
    for (const statement of create) storage.sql.exec(statement);
    for (const [table, rows] of Object.entries(tables)) {
      for (const row of rows) {
        const marks = Object.keys(row).map(() => "?");
        storage.sql.exec(
          `INSERT INTO ${table} (${Object.keys(row).join(", ")}) VALUES (${marks.join(", ")})`,
          ...Object.values(row),
        );
      }
    }
    // A deployment leaves alarms as they are.
    await storage.setAlarm(Date.now() + 1);
  });
  await evictDurableObject(stub);
}

/** Give the objects of this test run the fixture's rows, ten seconds after it was recorded. */
async function restore(taken: Taken): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: taken.taken_ms + 10_000 });
  for (const table of ["history", "history_days", "history_open_days"]) await env.HISTORY.exec(`DELETE FROM ${table}`);
  await put(registryStub(env), taken.registry);
  for (const store of taken.tasks) {
    const { id } = JSON.parse(String(store.tables["definition"]![0]!["json"])) as { id: number };
    await put(stubOf(id), store);
  }
  for (const { key, text } of taken.objects)
    await env.FILES.put(key, text, { customMetadata: { sha256: await sha256(encoded(text)) } });
}

const rowsOf = async (id: number, sql: string): Promise<Row[]> =>
  await runInDurableObject(stubOf(id), (_, { storage }) => storage.sql.exec<Row>(sql).toArray());

/** The bytes of a task's committed files, added up from its frames. */
async function bytesOfFrames(id: number): Promise<number> {
  const done = await object(id).frames({ limit: 1_000, states: ["done"] });
  if (!done.ok || done.value.cursor !== null) throw new Error("not all frames");
  return done.value.frames.flatMap(({ files }) => files).reduce((sum, { size }) => sum + size, 0);
}

/** Render all remaining frames of a task, one lease after the other. */
async function finish(id: number, worker: number): Promise<void> {
  for (let given = (await claim(id, worker)).lease; given; given = (await claim(id, worker)).lease)
    expect((await complete(given, worker)).ok).toBe(true);
}

describe.each([
  ["from before there was a journal", beforeJournal as unknown as Taken],
  ["from before there were webhooks and daily totals", beforeWebhooks as unknown as Taken],
  ["from before leases had rows of their own", beforeLeases as unknown as Taken],
  ["of release 9991c53", release9991c53 as unknown as Taken],
])("P4: a farm %s", (_, taken) => {
  beforeAll(async () => await restore(taken));
  afterAll(() => vi.useRealTimers());

  test("has the state in which it was left", async () => {
    const counts = { total: 12, pending: 7, leased: 1, done: 2, failed: 1, skipped: 1 };
    expect(await view(1)).toMatchObject({ status: "rendering", task_id: 41, frames: counts });
    expect(await view(2)).toMatchObject({ frames: { total: 12, pending: 12 } });
    expect((await view(3)).status).toBe("paused");
    expect(await view(4)).toMatchObject({ name: "long", frames: { done: 130, pending: 20 } });
    expect((await view(5)).status).toBe("completed");
    const failed = await object(1).frames({ limit: 9, states: ["failed"] });
    expect(failed).toMatchObject({ ok: true, value: { frames: [{ frame: 2, error: "no camera", failures: 1 }] } });
  });

  test("P14: tasks that had ended expire by their last change, with a day of notice", async () => {
    const page = await registry().listTasks({ limit: 10, status: "completed" });
    expect(page).toMatchObject({ ok: true, value: { tasks: [{ id: 5, expires_ms: null, expires_by: null }] } });
    expect((await registry().setSettings({ retention_days: 1 })).ok).toBe(true);
    const { updated_ms: updated } = await view(5);
    const expires = Math.max(updated, Date.now()) + 86_400_000;
    const listed = await registry().listTasks({ limit: 10, status: "completed" });
    expect(listed).toMatchObject({ ok: true, value: { tasks: [{ id: 5, expires_ms: expires, expires_by: "farm" }] } });
    const terms = { farm: await registry().retention(), ended_before_ms: null, ended_for_ms: null, downloaded: false };
    expect(await object(5).removeEnded(terms, admin)).toMatchObject({ error: { detail: "task 5 has not expired" } });
    expect((await registry().setSettings({ retention_days: null })).ok).toBe(true);
  });

  test("P4: what its journal says is not overwritten by later changes", async () => {
    const given = [];
    for (let i = 0; i < 6; i++) given.push((await claim(4, 2)).lease!);
    await evictDurableObject(stubOf(4));
    expect(await view(4)).toMatchObject({ frames: { done: 130, leased: 6, pending: 14 } });
    for (const one of given) expect((await complete(one, 2)).ok).toBe(true);
    await evictDurableObject(stubOf(4));
    expect(await view(4)).toMatchObject({ frames: { done: 136, leased: 0, pending: 14 } });
  });

  test("P1: what its tasks store is counted when they are next called, and reported, and is exact", async () => {
    for (const id of [1, 2, 3, 4, 5]) {
      await view(id);
      await ring(id);
      const { stored_bytes } = await view(id);
      expect([id, stored_bytes]).toEqual([id, await bytesOfFrames(id)]);
      const listed = await registry().listTasks({ limit: 10 });
      expect(listed.ok && listed.value.tasks.find((task) => task.id === id)?.stored_bytes).toBe(stored_bytes);
    }
    expect((await view(1)).stored_bytes).toBeGreaterThan(0);
  });

  test("P9: knows its workers, tokens and settings, and those made since", async () => {
    expect(Object.keys(await registry().listWorkers()).toSorted()).toEqual(["anvil", "bellows"]);
    const secret = String(taken.registry.tables["workers"]![0]!["secret_sha256"]);
    expect(await registry().authenticate(secret)).toMatchObject({ role: "worker", id: 1 });
    expect((await registry().listTokens()).map(({ name }) => name)).toContain("ana");
    expect(await registry().getSetting("lease_s")).toEqual({ ok: true, value: 90 });
    const listed = await registry().listTasks({ limit: 10 });
    expect(listed.ok && listed.value.tasks.map(({ id }) => id)).toEqual([5, 4, 3, 2, 1]);
    const hooks = (await registry().listWebhooks()).map(({ id }) => id);
    expect(hooks).toEqual((taken.registry.tables["webhooks"] ?? []).map(({ id }) => id));
    const hook = await registry().createWebhook({ url: "https://example.com/hook", events: ["task.completed"] });
    expect((await registry().listWebhooks()).map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([
      ...hooks,
      hook.id,
    ]);
    expect(await registry().removeWebhook(hook.id)).toEqual({ ok: true, value: null });
  });

  test("P2, P3: the lease that was live still belongs to the worker, under its key, its attempt and its id", async () => {
    const held = taken.live_claim ?? claimIn(taken);
    const again = await object(1).claim({ id: held.worker }, { key: held.key, platform: "linux", epoch: 99 });
    const given = again.ok ? again.value.lease : null;
    expect(given).toMatchObject(taken.live);
    const stale = await complete({ ...given!, attempt: taken.live.attempt - 1 }, held.worker);
    expect(stale).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    expect((await complete(given!, held.worker)).ok).toBe(true);
    expect((await rowsOf(1, "SELECT version FROM journal")).length).toBeGreaterThan(0);
  });

  test("P3, P7: finishes: every frame and every event once, no unreferenced file left", async () => {
    expect(await object(3).patch({ status: "resume" }, admin, null)).toMatchObject({ ok: true });
    expect(await requeue(1, "2")).toMatchObject({ ok: true });
    await finish(1, 1);
    for (let i = 0; i < 3; i++) {
      later(60_000);
      await ring(1);
    }
    for (const id of [2, 3, 4]) await finish(id, 2);
    later(3 * 3_600_000);
    for (const id of [1, 2, 3, 4, 5])
      for (let i = 0; i < 4; i++) {
        await ring(id);
        later(120_000);
      }
    for (const id of [1, 2, 3, 4, 5]) {
      const { status, frames } = await view(id);
      expect([id, status, frames.done + frames.skipped]).toEqual([id, "completed", frames.total]);
      const told = await history(id);
      expect(told.map(({ seq }) => seq)).toEqual(told.map((__, i) => i + 1));
      const done = told.filter(({ kind }) => kind === "done");
      expect(done.reduce((sum, { frame_count }) => sum + frame_count, 0)).toBe(frames.done);
      expect(await rowsOf(id, "SELECT seq FROM outbox")).toEqual([]);
    }
    const days = await queryDays(env.HISTORY, 0, 40_000 * 86_400_000);
    const told = (await Promise.all([1, 2, 3, 4, 5].map((id) => history(id)))).flat();
    const done = told.filter(({ kind }) => kind === "done").reduce((sum, { frame_count }) => sum + frame_count, 0);
    expect(days.reduce((sum, { frames }) => sum + frames, 0)).toBe(done);
    const kept = await object(1).files({ limit: 100 });
    const committed = kept.ok ? kept.value.files.map(({ attempt, name }) => outputKey(1, attempt, name)) : [];
    expect(committed).toHaveLength(11);
    expect((await files(1)).toSorted()).toEqual(committed.toSorted());
    const listed = await registry().listTasks({ limit: 10, status: "completed" });
    expect(listed.ok && listed.value.tasks).toHaveLength(5);
    const bytes = await Promise.all([1, 2, 3, 4, 5].map((id) => bytesOfFrames(id)));
    expect(await registry().storage(null)).toMatchObject({
      outputs: { tasks: 5, uncounted_tasks: 0, bytes: bytes.reduce((sum, one) => sum + one, 0) },
    });
  });
});

describe("P9: a farm of release 9991c53, over HTTP", () => {
  const taken = release9991c53;
  /**
   * The key that the release's manager had (`test/chaos/manager-child.ts`): it signs share links. It
   * can be guessed, so this version signs with no such key.
   */
  const keyOfThen = "key-of-chaos-admin-token-0123456789abcdef";
  const signing = { TABLAO_SIGNING_KEY: "key-of-upgrade-7fQx2LmV9cTzRk4wNbHs" };
  /** The same link, as a release with a strong key would have signed it. */
  const signedAnew = async (link: string): Promise<string> => {
    const claims = await verify<ShareClaims>(await importKey(keyOfThen), "share", link);
    return await sign(await importKey(signing.TABLAO_SIGNING_KEY), "share", claims!);
  };
  const withBearer = (token: string): RequestInit => ({ headers: { Authorization: `Bearer ${token}` } });

  beforeAll(async () => await restore(taken as unknown as Taken));
  afterAll(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  test("a token that was made then still works, and sees the finished frames", async () => {
    const { artist } = taken.credentials;
    const listed = await okJson(await send("GET", "/tasks", { token: artist }), 200);
    expect((listed["tasks"] as { id: number }[]).map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([
      1, 2, 3, 4, 5,
    ]);
    const done = await okJson(await send("GET", "/tasks/4/frames?state=done&limit=200", { token: artist }), 200);
    expect(done["frames"]).toHaveLength(130);
    const file = await send("GET", "/tasks/1/frames/3/file", { token: artist });
    expect([file.status, await file.text()]).toEqual([200, "pixels of frame_0003.png"]);
  });

  test("its finished frames are downloaded as a tar, because their agents sent no CRC-32", async () => {
    const answer = await send("GET", "/tasks/1/zip", { token: taken.credentials.artist });
    expect([answer.status, answer.headers.get("Content-Type")]).toEqual([200, "application/x-tar"]);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const texts = readTar(bytes.length, readerOf(bytes)).map(({ path, at, size }) => {
      return [path, new TextDecoder().decode(bytes.subarray(at, at + size))];
    });
    expect(texts).toContainEqual(["frame_0003.png", "pixels of frame_0003.png"]);
    expect(texts).toHaveLength(2);
  });

  test("a share link that was made then gives access to its task and no other; a revoked one stays revoked", async () => {
    const share = await signedAnew(taken.credentials.share);
    const revoked = await signedAnew(taken.credentials.revoked);
    const opened = await okJson(await ask("/tasks/5", signing, withBearer(share)), 200);
    expect(opened).toMatchObject({ id: 5, status: "completed" });
    await problem(await ask("/tasks/4", signing, withBearer(share)), 403, "forbidden");
    await problem(await ask("/tasks/5", signing, withBearer(revoked)), 401, "unauthorized");
  });

  test("P13: the webhook deliveries that waited then are sent", async () => {
    const sent: { id: string | null; event: string | null; task: number }[] = [];
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const request = new Request(input, init);
      expect(request.url).toBe("http://127.0.0.1:9/hook");
      expect(request.headers.get("Tablao-Signature")).toMatch(/^t=\d+,v1=[0-9a-f]{64}$/);
      const { task } = await request.json<{ task: { id: number } }>();
      const { headers } = request;
      sent.push({ id: headers.get("Tablao-Delivery"), event: headers.get("Tablao-Event"), task: task.id });
      return new Response(null, { status: 204 });
    });
    // Its receiver is private. An earlier release asked for no word of an admin.
    const named = { json: { value: ["127.0.0.1"] } };
    expect((await send("PATCH", "/settings/webhook_hosts", named)).status).toBe(200);
    later(60_000);
    await until(
      async () => {
        await ringAlarm(registryStub(env));
        const { deliveries } = await okJson(await send("GET", `/webhooks/${taken.webhook}/deliveries`), 200);
        return (deliveries as { status: string }[]).every(({ status }) => status === "delivered");
      },
      () => "all deliveries",
    );
    expect(sent.toSorted((a, b) => Number(a.id) - Number(b.id))).toEqual(
      taken.registry.tables.deliveries.map(({ id, event, task_id }) => ({ id: String(id), event, task: task_id })),
    );
  });
});

describe("P4, P12: a task of release 9991c53 that Blender renders", () => {
  const taken = blender9991c53;
  const { anvil, bellows } = taken.credentials;
  /** Agents of that release name no Blender with their calls. */
  const OF_THEN = {};
  const OF_NOW = { "Tablao-Blender": "5.0.1, 4.5.15" };
  type Agent = { token: string; headers: Record<string, string> };

  beforeAll(async () => await restore(taken as unknown as Taken));
  afterAll(() => vi.useRealTimers());

  async function assigned(worker: number, { token, headers }: Agent): Promise<unknown> {
    const answer = await send("PATCH", `/workers/${worker}`, { token, headers, json: { status: "available" } });
    return (await okJson(answer, 200))["task_id"];
  }

  async function claimed({ token, headers }: Agent, key: string): Promise<Lease> {
    const json = { key, platform: "linux", epoch: 1e12 };
    return leaseSchema.parse(
      (await okJson(await send("POST", "/tasks/1/leases", { token, headers, json }), 200))["lease"],
    );
  }

  async function completed(lease: Lease, { token, headers }: Agent): Promise<void> {
    const { frame, name } = lease.plan.outputs[0]!;
    const done = [{ frame, seconds: 1, receipts: [await upload(token, lease, name, `pixels of ${name}`)] }];
    const json = { attempt: lease.attempt, done };
    await okJson(await send("POST", `/tasks/1/leases/${lease.lease_id}/complete`, { token, headers, json }), 200);
  }

  /** The plan without the script, which is that of the manager that makes the plan; otherwise as an agent gets it. */
  function withoutScript({ plan }: Lease): object {
    const { args } = plan.command;
    const script = args.indexOf("--python-expr") + 1;
    expect(args[script]).toContain("import bpy");
    return { ...plan, command: { ...plan.command, args: args.with(script, "") } };
  }

  /** The plan of that release for this frame. */
  function planOfThen(frame: number): object {
    const name = `frame_000${frame}.png`;
    const { plan } = taken.live;
    const args = [...plan.command.args.slice(0, -1), String(frame)];
    return { ...plan, command: { ...plan.command, args }, outputs: [{ frame, name }] };
  }

  test("has the state in which it was left: any Blender renders it, and it has no warning", async () => {
    const task = await okJson(await send("GET", "/tasks/1"), 200);
    expect(task).toMatchObject({ status: "rendering", errors: 1, frames: { done: 2, leased: 1, pending: 5 } });
    expect(task).not.toHaveProperty("warnings");
    expect(task).not.toHaveProperty("settings.blender");
    expect(await okJson(await send("GET", "/tasks/1/plan"), 200)).not.toHaveProperty("command.version");
  });

  test("the agent that held a lease goes on with it, under the same plan", async () => {
    const agent = { token: anvil, headers: OF_THEN };
    const lease = await claimed(agent, taken.live_claim.key);
    const { lease_id, attempt } = taken.live;
    expect(lease).toMatchObject({ lease_id, attempt });
    expect(withoutScript(lease)).toEqual(planOfThen(4));
    await completed(lease, agent);
  });

  test("agents of that release and of this one are given the rest, each under a plan that both understand", async () => {
    const json = {
      hostname: "chisel",
      system: "Linux",
      platform: "linux",
      version: "0.2.0",
      programs: { blender: "5.0.1", "tablao-tool": "1" },
      versions: { blender: ["5.0.1", "4.5.15"] },
    };
    const added = workerRegisteredSchema.parse(await okJson(await send("POST", "/workers", { json }), 201));
    const { id, secret } = Object.values(added)[0]!;
    const then = { token: bellows, headers: OF_THEN };
    const now = { token: secret!, headers: OF_NOW };
    expect([await assigned(2, then), await assigned(id, now)]).toEqual([1, 1]);
    // Frame 3 failed on the worker of then, so the other one has it in the end.
    for (let round = 0; round < 5; round++) {
      const agent = round % 2 === 0 ? now : then;
      const lease = await claimed(agent, `claim-of-round-${round}`);
      expect(withoutScript(lease)).toEqual(planOfThen(lease.plan.outputs[0]!.frame));
      await completed(lease, agent);
    }
    const task = await okJson(await send("GET", "/tasks/1"), 200);
    expect(task).toMatchObject({ status: "completed", errors: 1, frames: { done: 8, pending: 0 } });
    expect(task).not.toHaveProperty("warnings");
    const { frames } = framesPageSchema.parse(await okJson(await send("GET", "/tasks/1/frames"), 200));
    const told = frames.flatMap(({ worker_id, blender }) => (blender === undefined ? [] : [[worker_id, blender]]));
    expect(told).toEqual(Array.from({ length: 3 }, () => [id, "5.0.1"]));
    expect(await rowsOf(1, "SELECT json FROM definition WHERE json LIKE '%\"blender\":%'")).toEqual([]);
  });

  test("P7: its history has every frame once", async () => {
    for (let i = 0; i < 4; i++) {
      later(120_000);
      await ring(1);
    }
    // The farm before this one may have written its last events of its own task 1 after they were deleted.
    const done = (await history(1)).filter(({ kind, type }) => kind === "done" && type === "blender_render");
    expect(done.map(({ frames }) => frames).toSorted((a, b) => Number(a) - Number(b))).toEqual([
      "1",
      "2",
      "3",
      "4",
      "5",
      "6",
      "7",
      "8",
    ]);
  });
});

/** The claim of the lease that was live, as the task's record holds it. */
function claimIn(taken: Taken): { key: string; worker: number } {
  interface Recorded {
    ledger: { leases: { worker: number; key: string }[] };
  }
  return taken.tasks
    .map(({ tables }) => JSON.parse(String(tables["record"]![0]!["json"])) as Recorded)
    .flatMap(({ ledger }) => ledger.leases)[0]!;
}
