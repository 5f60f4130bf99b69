/**
 * A quota of the free plan is used up. The platform then refuses every statement that writes, with
 * a text that it gives no code for. What only reads must go on, and what cannot go on must say why
 * and until when.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { ROUTES } from "../../src/http/routes/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import type { RegistryRpc } from "../../src/rpc/registry.ts";
import { registryStub, taskStub } from "../../src/rpc/stubs.ts";
import { newRender } from "./api-farm.ts";
import { ADMIN_TOKEN, ask, newToken, newWorker, problem, send } from "./http-client.ts";
import { newRegistry, rowsOf } from "./registry-client.ts";
import { refusing, writesRefused } from "./statements.ts";

const ROWS_WRITTEN = "Exceeded allowed rows written in Durable Objects free tier.";
const D1_ROWS_READ =
  "D1_ERROR: Your account has exceeded D1's free tier daily row read limit. Upgrade to a paid plan or wait until " +
  "tomorrow (midnight UTC) to continue.";

afterEach(() => {
  vi.restoreAllMocks();
});

/** The seconds of `Retry-After`, after the answer has been checked. */
async function untilMidnight(response: Response, quota: string): Promise<number> {
  const retryAfter = Number(response.headers.get("Retry-After"));
  const { detail } = await problem(response, 503, "quota_exceeded");
  expect(detail).toBe(`Today's quota of Cloudflare's free plan is used up (${quota}). It starts anew at 00:00 UTC.`);
  return retryAfter;
}

test("P13: with the day's written rows used up, all that reads works, also on objects that were just constructed", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  const worker = await newWorker("reader");
  const { token } = await newToken("artist");
  const task = await newRender(token);
  // A token that was not used yet: its first use is written down.
  const reader = await newToken("artist");
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
      const answer = await send("GET", path, { token: reader.token });
      await answer.arrayBuffer();
      answers.push([path, answer.status]);
    }
    const changed = await send("PATCH", `/tasks/${task}`, { token, json: { priority: 7 } });
    const retryAfterS = await untilMidnight(changed, "Durable Objects: rows written");
    expect(retryAfterS).toBeGreaterThan(0);
    expect(retryAfterS).toBeLessThanOrEqual(86_400);
  });
  expect(answers.filter(([, status]) => status >= 500)).toEqual([]);
  expect(answers.filter(([path]) => path === "/tasks" || path === `/tasks/${task}`)).toEqual([
    ["/tasks", 200],
    [`/tasks/${task}`, 200],
  ]);
  // No table is made again, whatever else was tried.
  expect(refused.filter((statement) => /^(CREATE|ALTER)/.test(statement))).toEqual([]);
  expect(refused.filter((statement) => statement.startsWith("UPDATE tokens"))).not.toEqual([]);
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

test("P13: a quota of D1 that is used up says so, too", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const HISTORY = {
    prepare: () => {
      throw new Error(D1_ROWS_READ);
    },
  } as unknown as Env["HISTORY"];
  const answer = await ask("/history", { HISTORY }, { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } });
  await untilMidnight(answer, "D1: rows read");
});

test("a restore that meets a used-up quota does not call the rows bad", async () => {
  const registry = newRegistry();
  await runInDurableObject(registry, async (instance, { storage }) => {
    await refusing(
      storage,
      /^INSERT OR REPLACE/,
      async () => {
        await expect(
          (instance as unknown as RegistryRpc).restoreRows([["settings", { name: "lease_s", value: "60" }]], false),
        ).rejects.toThrow(ROWS_WRITTEN);
      },
      ROWS_WRITTEN,
    );
  });
});
