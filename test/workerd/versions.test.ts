/**
 * Versions of the manager that meet: an object of the version before under a Worker of the next
 * one, while a deploy is under way; and rows of a newer version under an older one, after a
 * rollback.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { REGISTRY_SCHEMA } from "../../src/registry/schema.ts";
import type { Env } from "../../src/rpc/env.ts";
import { registryStub } from "../../src/rpc/stubs.ts";
import { ring } from "./alarms.ts";
import { claim, complete, later, lease, stubOf, submit, view } from "./chaos-tasks.ts";
import { ADMIN_TOKEN, ask, newToken, okJson, problem, send } from "./http-client.ts";
import { newRegistry } from "./registry-client.ts";
import { writesRefused } from "./statements.ts";

const withToken = { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } };

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("an object of the version before, which lacks a method", () => {
  /** A registry whose methods fail like this, as often as errors are given. */
  function lacking(method: string, errors: Error[]): { REGISTRY: Env["REGISTRY"]; calls: () => number } {
    let calls = 0;
    const call = async (): Promise<unknown> => {
      calls++;
      const error = errors.shift();
      if (error) throw error;
      return method === "createToken" ? { token: { id: 1 }, secret: "made" } : [];
    };
    return { REGISTRY: { getByName: () => ({ [method]: call }) } as unknown as Env["REGISTRY"], calls: () => calls };
  }

  const missing = (method: string): Error =>
    new TypeError(`The RPC receiver does not implement the method "${method}".`);

  test("is called again, also with a call that creates something: nothing was done", async () => {
    const listed = lacking("listTokens", [missing("listTokens"), missing("listTokens")]);
    expect((await ask("/tokens", { REGISTRY: listed.REGISTRY }, withToken)).status).toBe(200);
    expect(listed.calls()).toBe(3);
    const made = lacking("createToken", [missing("createToken")]);
    const headers = { ...withToken.headers, "Content-Type": "application/json" };
    const body = JSON.stringify({ role: "viewer", name: "wall" });
    expect((await ask("/tokens", { REGISTRY: made.REGISTRY }, { method: "POST", headers, body })).status).toBe(201);
    expect(made.calls()).toBe(2);
  });

  test("is a 503 for as long as it lasts, and no fault of the manager", async () => {
    const { REGISTRY } = lacking(
      "listTokens",
      Array.from({ length: 9 }, () => missing("listTokens")),
    );
    const answer = await ask("/tokens", { REGISTRY }, withToken);
    expect(answer.headers.get("Retry-After")).toBe("2");
    expect((await problem(answer, 503, "overloaded")).detail).toContain("replaced by another version");
  });
});

describe("rows of a newer version", () => {
  /** A schema step that this code does not know is there, or is not; the object starts anew. */
  async function rowsOfNewer(stub: DurableObjectStub, newer: boolean): Promise<void> {
    await runInDurableObject(stub, (_instance, { storage }) => {
      storage.sql.exec(
        newer
          ? "INSERT INTO migrations (id, applied_ms) SELECT max(id) + 1, 0 FROM migrations"
          : "DELETE FROM migrations WHERE applied_ms = 0",
      );
    });
    await evictDurableObject(stub);
  }

  const alarmOf = async (stub: DurableObjectStub): Promise<number | null> =>
    await runInDurableObject(stub, (_instance, { storage }) => storage.getAlarm());

  const databaseOf = async (): Promise<SqlStorage> =>
    await runInDurableObject(newRegistry(), (_instance, { storage }) => storage.sql);

  test("P4, P13: the registry refuses every call with the reason, writes nothing, keeps its alarm, and goes on under the newer version", async () => {
    const { token } = await newToken("artist");
    const registry = registryStub(env);
    await runInDurableObject(
      registry,
      async (_instance, { storage }) => await storage.setAlarm(Date.now() + 3_600_000),
    );
    const before = await okJson(await send("GET", "/tokens"), 200);
    await rowsOfNewer(registry, true);
    const refused = await writesRefused(await databaseOf(), "written", async () => {
      const answer = await send("GET", "/tokens");
      expect(answer.headers.get("Retry-After")).toBe("60");
      const { detail } = await problem(answer, 503, "manager_outdated");
      const { length } = REGISTRY_SCHEMA;
      expect(detail).toContain(`newer version (schema ${length + 1}; this version knows ${length})`);
      expect(detail).toContain("Deploy that version or a newer one.");
      await problem(await send("GET", "/tasks", { token }), 503, "manager_outdated");
      const json = { type: "print_string", settings: { text: "hello", frames: "1-3" } };
      await problem(await send("POST", "/tasks", { token, json }), 503, "manager_outdated");
      await problem(await send("GET", "/backup/rows?of=registry"), 503, "manager_outdated");
      const restore = { json: { backup: crypto.randomUUID(), format: 1 } };
      await problem(await send("POST", "/restore", restore), 503, "manager_outdated");
      await ring(registry);
    });
    expect(refused).toEqual([]);
    expect(await alarmOf(registry)).toBeGreaterThan(Date.now());
    await rowsOfNewer(registry, false);
    expect(await okJson(await send("GET", "/tokens"), 200)).toEqual(before);
    expect((await send("GET", "/tasks", { token })).status).toBe(200);
  });

  test("P4, P5, P13: a task refuses likewise; its leases expire when the newer version is back", async () => {
    const id = await submit("1-2");
    const given = await lease(id, 1);
    await rowsOfNewer(stubOf(id), true);
    later(600_000);
    const refused = await writesRefused(await databaseOf(), "written", async () => {
      await problem(await send("GET", `/tasks/${id}`), 503, "manager_outdated");
      await expect(claim(id, 2)).rejects.toThrow(/schema step/);
      await expect(complete(given, 1)).rejects.toThrow(/schema step/);
      await ring(stubOf(id));
    });
    expect(refused).toEqual([]);
    expect(await alarmOf(stubOf(id))).toBeGreaterThan(Date.now());
    await rowsOfNewer(stubOf(id), false);
    await ring(stubOf(id));
    expect((await view(id)).frames).toMatchObject({ leased: 0, pending: 2 });
    expect((await claim(id, 2)).lease).not.toBeNull();
  });
});
