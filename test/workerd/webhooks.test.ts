/** Webhooks: signed, retried, and sent exactly once for each event of a task. */
import { runInDurableObject } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi, type Mock } from "vitest";
import type { Env } from "../../src/rpc/env.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { webhookBodySchema, type Delivery, type WebhookCreated } from "../../src/protocol/webhook.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import { WebhookStore } from "../../src/registry/webhook-store.ts";
import { Webhooks } from "../../src/registry/webhooks.ts";
import { ring as ringAlarm } from "./alarms.ts";
import { okJson, problem, send } from "./http-client.ts";
import { newRegistry, report } from "./registry-client.ts";
import { refusing } from "./statements.ts";
import { until } from "./wait.ts";

const env = bindings as unknown as Env;
const registry = registryStub(env) as unknown as RegistryRpc;
let nextTask = 70_000;

/** What the receiver was sent, and how it answers. */
let received: { url: string; headers: Headers; body: string }[] = [];
let answer: () => Promise<Response>;
let sending: Mock<Webhooks["send"]>;

beforeEach(async () => {
  received = [];
  sending = vi.spyOn(Webhooks.prototype, "send");
  answer = async () => new Response(null, { status: 204 });
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    received.push({ url: request.url, headers: request.headers, body: await request.text() });
    expect(init?.redirect).toBe("manual");
    return await answer();
  });
  for (const { id } of (await registry.listWebhooks()).values()) await registry.removeWebhook(id);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const hook = async (json: object = { url: "https://hooks.example/render" }): Promise<WebhookCreated> =>
  (await okJson(await send("POST", "/webhooks", { json }), 201)) as unknown as WebhookCreated;

const deliveriesOf = async (id: number): Promise<Delivery[]> =>
  (await okJson(await send("GET", `/webhooks/${id}/deliveries`), 200))["deliveries"] as Delivery[];

/**
 * Move the clock forward by this much, run the registry's alarm, and finish everything that is due
 * then.
 */
async function ring(afterMs = 0): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + afterMs });
  const over = async (): Promise<boolean> => {
    await ringAlarm(registryStub(env));
    return await runInDurableObject(registryStub(env), async (_instance, { storage }) => {
      await Promise.all(sending.mock.results.map(({ value }) => value));
      const due = new WebhookStore(storage.sql).dueByHook();
      return [...due.values()].every((dueMs) => dueMs > Date.now());
    });
  };
  await until(over, () => "the end of what is due");
}

async function becomes(
  id: number,
  status: "queued" | "rendering" | "completed" | "failed",
  done: number,
): Promise<void> {
  const frames = { total: 10, pending: 10 - done, leased: 0, done, failed: 0, skipped: 0 };
  await registry.report(report(id, { task: { status, frames, name: "shot" }, claimable: status === "queued" ? 1 : 0 }));
}

it("reports the first frame, the end and a failure, once each, signed with the hook's secret", async () => {
  const { id, secret } = await hook();
  const task = nextTask++;
  for (const [status, done] of [
    ["queued", 0],
    ["rendering", 0],
    ["rendering", 1],
    ["rendering", 2],
    ["failed", 2],
    ["queued", 2],
    ["completed", 10],
  ] as const)
    await becomes(task, status, done);
  await ring();
  expect(received.map(({ headers }) => headers.get("Tablao-Event"))).toEqual([
    "task.first_frame",
    "task.failed",
    "task.completed",
  ]);
  for (const { url, headers, body } of received) {
    expect([url, headers.get("Content-Type")]).toEqual(["https://hooks.example/render", "application/json"]);
    const [, t = "", mac = ""] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers.get("Tablao-Signature")!)!;
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(secret),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"],
    );
    const bytes = Uint8Array.from(mac.match(/../g)!, (pair) => Number.parseInt(pair, 16));
    expect(await crypto.subtle.verify("HMAC", key, bytes, new TextEncoder().encode(`${t}.${body}`))).toBe(true);
    expect(Math.abs(Number(t) * 1_000 - Date.now())).toBeLessThan(60_000);
    const parsed = webhookBodySchema.parse(JSON.parse(body));
    expect([parsed.id, parsed.event, parsed.task.id]).toEqual([
      Number(headers.get("Tablao-Delivery")),
      headers.get("Tablao-Event"),
      task,
    ]);
  }
  expect(
    (await deliveriesOf(id)).map(({ event, status, tries, response_status }) => [
      event,
      status,
      tries,
      response_status,
    ]),
  ).toEqual([
    ["task.completed", "delivered", 1, 204],
    ["task.failed", "delivered", 1, 204],
    ["task.first_frame", "delivered", 1, 204],
  ]);
  await ring(60_000);
  expect(received).toHaveLength(3);
  const listed = await send("GET", "/webhooks");
  const text = await listed.text();
  expect(text).not.toContain(secret);
  expect(JSON.parse(text)).toMatchObject({ webhooks: [{ id, last_status: "delivered" }] });
  const stored = await runInDurableObject(registryStub(env), (_instance, { storage }) =>
    JSON.stringify(storage.sql.exec("SELECT * FROM webhooks").toArray()),
  );
  expect(stored).not.toContain(secret);
});

it("tries again after longer and longer waits, whatever the failure, and gives up in the end", async () => {
  const { id } = await hook({ url: "https://hooks.example/down", events: ["task.completed"] });
  const wrong = [
    async () => new Response(null, { status: 500 }),
    async () => new Response(null, { status: 302, headers: { Location: "https://elsewhere.example" } }),
    () => Promise.reject(new TypeError("no route to host")),
  ];
  let n = 0;
  answer = async () => await wrong[n++ % wrong.length]!();
  const task = nextTask++;
  vi.useFakeTimers({ toFake: ["Date"] });
  await becomes(task, "rendering", 1);
  await becomes(task, "completed", 10);
  await ring();
  const [first] = await deliveriesOf(id);
  expect(first).toMatchObject({
    event: "task.completed",
    status: "waiting",
    tries: 1,
    response_status: 500,
    error: "the receiver answered 500",
  });
  const wait = first!.next_ms! - first!.last_try_ms!;
  await ring(wait - 2_000);
  expect(received).toHaveLength(1);
  await ring(2_000);
  expect(await deliveriesOf(id)).toMatchObject([{ tries: 2, response_status: 302 }]);
  let last = wait;
  for (let tries = 3; tries <= 10; tries++) {
    const [before] = await deliveriesOf(id);
    const pauseMs = before!.next_ms! - before!.last_try_ms!;
    expect(pauseMs).toBeGreaterThan(last);
    last = pauseMs;
    await ring(pauseMs + 1);
    expect(await deliveriesOf(id)).toMatchObject([{ tries }]);
  }
  expect(await deliveriesOf(id)).toMatchObject([{ status: "failed", next_ms: null }]);
  expect(new Set(received.map(({ headers }) => headers.get("Tablao-Delivery"))).size).toBe(1);
});

it("an event is written with the report that made it, and the alarm is set for it", async () => {
  const { id } = await hook();
  const task = nextTask++;
  await becomes(task, "rendering", 0);
  await becomes(task, "completed", 10);
  expect(await deliveriesOf(id)).toHaveLength(2);
  await until(
    () => received.length >= 2,
    () => "what the alarm sends",
  );
  expect(received).toHaveLength(2);
});

it("P13: receivers that hang hold up their own deliveries only, and are left alone for longer and longer", async () => {
  const hung: PromiseWithResolvers<Response>[] = [];
  const urls = (): string[] => received.map(({ url }) => new URL(url).hostname);
  answer = async () => {
    if (urls().at(-1)!.startsWith("up")) return new Response(null, { status: 204 });
    const never = Promise.withResolvers<Response>();
    hung.push(never);
    return await never.promise;
  };
  await runInDurableObject(newRegistry(), async (_instance, { storage }) => {
    const webhooks = new Webhooks(storage.sql, env, () => []);
    const make = async (name: string): Promise<number> =>
      (await webhooks.create({ url: `https://${name}.example/`, events: ["task.completed"] }, 1)).webhook.id;
    let tasks = 0;
    const waiting = (hook: number, count: number): void => {
      for (let i = 0; i < count; i++) webhooks.store.enqueue(hook, "task.completed", ++tasks, String, 1);
      webhooks.forget();
    };
    const [down, worse, up] = [await make("down"), await make("worse"), await make("up")];
    waiting(down, 30);
    waiting(worse, 30);
    waiting(up, 5);
    let freed = 0;
    const sending = webhooks.send(Date.now(), () => freed++);
    await vi.waitUntil(() => freed === 1, { timeout: 120_000 });
    expect(urls().toSorted()).toEqual(
      ["down.example", ...Array<string>(5).fill("up.example"), "worse.example"].toSorted(),
    );
    expect(webhooks.dueMs).toBeNull();
    // What comes for the others meanwhile is sent at once.
    waiting(up, 2);
    expect(webhooks.dueMs).toBeLessThanOrEqual(Date.now());
    await webhooks.send(Date.now());
    expect(webhooks.store.deliveries(up).every(({ status }) => status === "delivered")).toBe(true);
    expect(urls().filter((name) => name !== "up.example")).toHaveLength(2);
    for (const { resolve } of hung) resolve(new Response(null, { status: 500 }));
    await sending;
    // 29 deliveries are due, but their receiver has just failed.
    let dueMs = webhooks.dueMs!;
    expect(dueMs).toBeGreaterThan(Date.now() + 3_000);
    answer = async () => new Response(null, { status: 500 });
    const waits: number[] = [];
    for (let round = 0; round < 6; round++) {
      vi.useFakeTimers({ toFake: ["Date"], now: dueMs + 100 });
      await webhooks.send(Date.now());
      waits.push(Math.round((webhooks.dueMs! - Date.now()) / 1_000));
      dueMs = webhooks.dueMs!;
    }
    expect(waits).toEqual([10, 20, 40, 60, 60, 60]);
    answer = async () => new Response(null, { status: 204 });
    vi.setSystemTime(dueMs + 100);
    await webhooks.send(Date.now());
    expect(webhooks.dueMs).toBeLessThanOrEqual(Date.now());
    expect(webhooks.store.deliveries(down).filter(({ status }) => status === "delivered").length).toBe(6);
  });
});

it("P13: a delivery whose outcome cannot be written down is sent again, but not without a pause", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  await runInDurableObject(newRegistry(), async (_instance, { storage }) => {
    const webhooks = new Webhooks(storage.sql, env, () => []);
    const { webhook } = await webhooks.create({ url: "https://up.example", events: ["task.completed"] }, 1);
    webhooks.store.enqueue(webhook.id, "task.completed", 1, String, 1);
    await refusing(storage, /^UPDATE deliveries/, async () => await webhooks.send(Date.now()));
    expect(webhooks.dueMs).toBeGreaterThan(Date.now() + 30_000);
    await webhooks.send(Date.now());
    expect(received).toHaveLength(1);
    await webhooks.send(Date.now() + 60_001);
    expect(received).toHaveLength(2);
  });
});

it("P13: deliveries that waited when a backup was made are sent by the manager that it is restored into", async () => {
  const dueMs = Date.now() + 86_400_000;
  const [from, into] = [newRegistry(), newRegistry()];
  await runInDurableObject(from, (_instance, { storage }) => {
    const store = new WebhookStore(storage.sql);
    const { id } = store.create({ url: "https://up.example", events: ["task.completed"] }, "salt", 1);
    store.enqueue(id, "task.completed", 1, String, dueMs);
  });
  // The empty manager has looked, and found that nothing is due.
  await into.listTokens();
  const page = await from.backupPage(null);
  if (!page.ok) throw new Error(page.error.detail);
  expect(await into.restoreRows(page.value.rows, true)).toMatchObject({ ok: true });
  expect(await runInDurableObject(into, (_instance, { storage }) => storage.getAlarm())).toBe(dueMs);
});

it("a removed hook receives nothing more; other hooks do", async () => {
  const [gone, stays] = [await hook(), await hook({ url: "https://hooks.example/stays" })];
  const task = nextTask++;
  await becomes(task, "rendering", 0);
  await becomes(task, "completed", 10);
  expect((await send("DELETE", `/webhooks/${gone.id}`)).status).toBe(204);
  await ring();
  expect(received.map(({ url }) => url)).toEqual(["https://hooks.example/stays", "https://hooks.example/stays"]);
  expect(await deliveriesOf(stays.id)).toHaveLength(2);
  await problem(await send("GET", `/webhooks/${gone.id}/deliveries`), 404, "not_found");
  await problem(await send("DELETE", `/webhooks/${gone.id}`), 404, "not_found");
});

it.each([
  "http://hooks.example",
  "ftp://hooks.example",
  "https://ana:secret@hooks.example",
  "https://hooks.example/#x",
  "hooks.example",
  "javascript:alert(1)",
  "file:///etc/passwd",
])("P10: %s is no address for a hook", async (url) => {
  const { errors } = await problem(await send("POST", "/webhooks", { json: { url } }), 422, "invalid");
  expect(errors?.map(({ field }) => field)).toEqual(["url"]);
});

it("P9: private hosts are refused by name unless the admin has allowed them, with http then, too", async () => {
  const refusals = [
    "http://127.0.0.1:9000/x",
    "https://2130706433/",
    "https://nas.local/",
    "https://[::ffff:10.0.0.1]/",
  ];
  for (const url of refusals) {
    const { errors } = await problem(await send("POST", "/webhooks", { json: { url } }), 422, "invalid");
    expect(errors).toEqual([{ field: "url", message: expect.stringContaining("webhook_hosts") }]);
  }
  const allow = async (value: unknown): Promise<Response> =>
    await send("PATCH", "/settings/webhook_hosts", { json: { value } });
  await problem(await allow(["http://127.0.0.1"]), 422, "invalid");
  expect((await allow(["127.0.0.1"])).status).toBe(200);
  expect((await hook({ url: "http://127.0.0.1:9000/x" })).url).toBe("http://127.0.0.1:9000/x");
  await problem(await send("POST", "/webhooks", { json: { url: "http://127.0.0.1.evil.example/" } }), 422, "invalid");
  expect((await allow(null)).status).toBe(200);
  await problem(await send("POST", "/webhooks", { json: { url: "http://127.0.0.1:9000/x" } }), 422, "invalid");
});

it("P9: the address is checked at each delivery, too: a stored private one gets nothing until an admin allows it", async () => {
  answer = async () => new Response(null, { status: 204 });
  await runInDurableObject(newRegistry(), async (_instance, { storage }) => {
    let allowed: string[] = [];
    const webhooks = new Webhooks(storage.sql, env, () => allowed);
    const url = "http://127.0.0.1:9000/x";
    const { id } = webhooks.store.create({ url, events: ["task.completed"] }, "salt of an earlier release", 1);
    webhooks.store.enqueue(id, "task.completed", 1, String, 1);
    const before = received.length;
    await webhooks.send(Date.now());
    expect(received.length).toBe(before);
    expect(webhooks.store.deliveries(id)).toMatchObject([
      { status: "waiting", error: expect.stringContaining("webhook_hosts") },
    ]);
    allowed = ["127.0.0.1"];
    await webhooks.send(webhooks.dueMs!);
    expect(webhooks.store.deliveries(id)).toMatchObject([{ status: "delivered" }]);
    allowed = [];
    webhooks.store.enqueue(id, "task.completed", 2, String, 1);
    webhooks.forget();
    const sent = received.length;
    await webhooks.send(Date.now());
    expect(received.length).toBe(sent);
  });
});
