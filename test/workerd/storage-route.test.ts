/** `GET /storage` and `/storage/tasks`: who sees what, and what is said when a part cannot be told. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { storageSchema, type Storage } from "../../src/protocol/storage.ts";
import { taskListSchema, type TaskSummary } from "../../src/protocol/task.ts";
import { complete, lease, stubOf, view } from "./chaos-tasks.ts";
import { ring } from "./alarms.ts";
import { ADMIN_TOKEN, ask, newToken, okJson, problem, send } from "./http-client.ts";
import { failing, VirtualBucket } from "./input-storage.ts";
import { put, sha256, text } from "./files-call.ts";
import { putAsset } from "../../src/http/routes/assets.ts";

async function storage(token = ADMIN_TOKEN): Promise<Storage> {
  return storageSchema.parse(await okJson(await send("GET", "/storage", { token }), 200));
}

async function largest(token: string, query = ""): Promise<TaskSummary[]> {
  const answer = await okJson(await send("GET", `/storage/tasks${query}`, { token }), 200);
  return taskListSchema.parse(answer).tasks;
}

/** A task with so many committed frames of nine bytes each. */
async function rendered(token: string, frames: number): Promise<number> {
  const json = { type: "demo_render", settings: { frames: `1-${frames}`, width: 16, height: 9, samples: 1 } };
  const { id } = (await okJson(await send("POST", "/tasks", { token, json }), 202)) as { id: number };
  for (let i = 0; i < frames; i++) expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
  expect(await view(id)).toMatchObject({ status: "completed", stored_bytes: 9 * frames });
  await ring(stubOf(id));
  return id;
}

test("admins see all of it, artists see their own tasks and no inputs, and nobody sees those of others", async () => {
  const [ada, bo] = [await newToken("artist", "ada"), await newToken("artist", "bo")];
  const before = await storage();
  const small = await rendered(ada.token, 2);
  const large = await rendered(ada.token, 3);
  const other = await rendered(bo.token, 4);
  const content = text("an input of twenty-two");
  const hash = await sha256(content);
  expect((await put(putAsset, content, { params: { sha256: hash } })).status).toBeLessThan(300);

  const all = await storage();
  expect(all.outputs.bytes - before.outputs.bytes).toBe(81);
  expect(all.outputs.tasks - before.outputs.tasks).toBe(3);
  expect(all.owners.filter(({ owner }) => [`ada#${ada.id}`, `bo#${bo.id}`].includes(owner))).toEqual([
    { owner: `ada#${ada.id}`, tasks: 2, bytes: 45, uncounted_tasks: 0 },
    { owner: `bo#${bo.id}`, tasks: 1, bytes: 36, uncounted_tasks: 0 },
  ]);
  expect(all.inputs!.files - before.inputs!.files).toBe(1);
  expect(all.inputs!.bytes - before.inputs!.bytes).toBe(content.length);
  expect(all.cost).toMatchObject({ month_dollars: 0, dollars_per_gb: 0.015, free_gb: 10 });

  const own = await storage(ada.token);
  expect(own.outputs).toEqual({ tasks: 2, bytes: 45, uncounted_tasks: 0 });
  expect(own.owners.map(({ owner }) => owner)).toEqual([`ada#${ada.id}`]);
  expect([own.inputs, own.cost]).toEqual([null, null]);
  expect(own.inputs_problem).toMatch(/only admins/);

  expect((await largest(ada.token)).map(({ id }) => id)).toEqual([large, small]);
  expect((await largest(ADMIN_TOKEN, `?owner=bo%23${bo.id}`)).map(({ id }) => id)).toEqual([other]);
  expect((await largest(ADMIN_TOKEN, "?limit=1"))[0]).toMatchObject({ id: other, stored_bytes: 36 });
  await problem(await send("GET", `/storage/tasks?owner=bo%23${bo.id}`, { token: ada.token }), 403, "forbidden");
  await problem(await send("GET", "/storage/tasks?limit=501"), 422, "invalid");
  await problem(await send("GET", "/storage/tasks?cursor=x"), 422, "invalid");
});

test("P14: the list of the largest tasks says when a rule deletes them, as the list of tasks does", async () => {
  const eve = await newToken("artist", "eve");
  const id = await rendered(eve.token, 1);
  expect((await largest(eve.token))[0]).toMatchObject({ id, expires_ms: null, expires_by: null });
  expect((await send("PATCH", `/tasks/${id}`, { token: eve.token, json: { retention_days: 3 } })).status).toBe(204);
  await ring(stubOf(id));
  const [told] = await largest(eve.token);
  const { tasks } = taskListSchema.parse(await okJson(await send("GET", `/tasks?owner=eve%23${eve.id}`), 200));
  expect(told).toMatchObject({ id, expires_by: "task", expires_ms: tasks[0]!.expires_ms });
});

const asAdmin = { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } };

test("while D1 does not answer, the inputs are null with the reason, and the rest is told", async () => {
  const answer = await ask("/storage", { HISTORY: failing(env.HISTORY, "all") }, asAdmin);
  const told = storageSchema.parse(await okJson(answer, 200));
  expect(told.inputs).toBeNull();
  expect(told.inputs_problem).toMatch(/D1/);
  expect(told.outputs.tasks).toBeGreaterThan(0);
  expect(told.cost?.is_whole).toBe(false);
});

test("an index of inputs that is not complete is filled by a page, and told while it is not complete", async () => {
  await env.HISTORY.exec("DELETE FROM inputs");
  await env.HISTORY.exec("UPDATE inputs_fill SET after = '', complete = 0");
  const { bucket } = new VirtualBucket(1_500);
  const told = async (FILES: R2Bucket): Promise<Storage> =>
    storageSchema.parse(await okJson(await ask("/storage", { FILES }, asAdmin), 200));
  const away = { list: async () => await Promise.reject(new Error("R2 is away")) } as unknown as R2Bucket;
  expect(await told(away)).toMatchObject({ inputs: { files: 0, complete: false }, cost: { is_whole: false } });
  expect(await told(bucket)).toMatchObject({
    inputs: { files: 1_000, bytes: 10_000, complete: false },
    cost: { is_whole: false },
  });
  expect(await told(bucket)).toMatchObject({
    inputs: { files: 1_500, bytes: 15_000, complete: true },
    cost: { is_whole: true },
  });
});
