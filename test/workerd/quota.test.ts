/**
 * A quota of the free plan is used up. The platform then refuses every statement that writes. What
 * only reads must go on.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { ROUTES } from "../../src/http/routes/index.ts";
import { registryStub, taskStub } from "../../src/rpc/stubs.ts";
import { newRender } from "./api-farm.ts";
import { newToken, newWorker, send } from "./http-client.ts";
import { newRegistry, rowsOf } from "./registry-client.ts";
import { writesRefused } from "./statements.ts";

const ROWS_WRITTEN = "Exceeded allowed rows written in Durable Objects free tier.";
afterEach(() => {
  vi.restoreAllMocks();
});

test("P13: with the day's written rows used up, all that reads works, also on objects that were just constructed", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  const worker = await newWorker("reader");
  const { token } = await newToken("artist");
  const task = await newRender(token);
  for (const stub of [registryStub(env), taskStub(env, task)]) await evictDurableObject(stub);
  const database = await runInDurableObject(newRegistry(), (_instance, { storage }) => storage.sql);

  const reading = ROUTES.filter(
    ({ method, socket, who, path }) =>
      method === "GET" && !socket && who !== "anyone" && who.includes("artist") && !/\{(?!id\})/.test(path),
  ).map(({ path }) => path.replace("/tasks/{id}", `/tasks/${task}`).replace("/workers/{id}", `/workers/${worker.id}`));
  expect(reading.length).toBeGreaterThan(15);
  const answers: [string, number][] = [];
  const refused = await writesRefused(database, ROWS_WRITTEN, async () => {
    for (const path of reading) {
      const answer = await send("GET", path, { token });
      await answer.arrayBuffer();
      answers.push([path, answer.status]);
    }
  });
  expect(answers.filter(([, status]) => status >= 500)).toEqual([]);
  expect(answers.filter(([path]) => path === "/tasks" || path === `/tasks/${task}`)).toEqual([
    ["/tasks", 200],
    [`/tasks/${task}`, 200],
  ]);
  // No table is made again, whatever else was tried.
  expect(refused.filter((statement) => /^(CREATE|ALTER)/.test(statement))).toEqual([]);
  expect(refused.length).toBeGreaterThan(0);
  expect((await send("PATCH", `/tasks/${task}`, { token, json: { priority: 7 } })).status).toBe(204);
});

test("a new registry makes its tables once", async () => {
  const registry = newRegistry();
  const database = await runInDurableObject(registry, (_instance, { storage }) => storage.sql);
  await evictDurableObject(registry);
  const refused = await writesRefused(database, ROWS_WRITTEN, async () => {
    expect(await registry.listTokens()).toEqual([]);
  });
  expect(refused).toEqual([]);
  expect(
    (await rowsOf(registry, (r) => r.createToken({ role: "viewer", name: "wall", tags: [] }))).written,
  ).toBeGreaterThan(0);
});
