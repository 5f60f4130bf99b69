/** Who may do what: roles, tokens, ownership (P9). */
import { env as bindings } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { MAX_FAILURES } from "../../src/http/server/auth.ts";
import { ROUTES } from "../../src/http/routes/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import { ADMIN_TOKEN, ask, newTask, newToken, newWorker, okJson, problem, send } from "./http-client.ts";

const env = bindings as unknown as Env;

const tokens: Record<string, string> = { admin: ADMIN_TOKEN };
let machine: { id: number; secret: string };

beforeAll(async () => {
  for (const role of ["artist", "viewer", "join"] as const) tokens[role] = (await newToken(role)).token;
  machine = await newWorker("matrix");
  tokens["worker"] = machine.secret;
  const share = await okJson(await send("POST", `/tasks/${await newTask()}/share`, { json: {} }), 201);
  tokens["share"] = share["token"] as string;
});

afterEach(() => {
  vi.useRealTimers();
});

/** Move the clock; timers keep running. */
function laterBy(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

/**
 * Each route lets in exactly the roles that it declares; `authz-matrix.test.ts` says by hand which
 * roles these should be.
 */
describe("roles", () => {
  const VALUES: Record<string, string> = {
    id: "999999",
    frame: "1",
    attempt: "1",
    n: "1",
    sha256: "0".repeat(64),
    lease_id: "none",
    name: "x.png",
    code: "invalid",
    path: "tasks/7",
  };

  it.each(ROUTES.map((route) => [`${route.method} ${route.path}`, route] as const))(
    "P9: %s lets in its roles and no others",
    async (_key, route) => {
      const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => VALUES[name]!);
      const without = await send(route.method, path, { token: null });
      if (route.who === "anyone") return expect([200, 204, 400]).toContain(without.status);
      await problem(without, 401, "unauthorized");
      expect(without.headers.get("WWW-Authenticate")).toMatch(/^Bearer/);
      const allowed: readonly string[] = route.who;
      for (const [role, token] of Object.entries(tokens)) {
        const response = await send(route.method, path, { token });
        const said = response.status === 101 ? "" : await response.text();
        const turnedAway = response.status === 401 || (response.status === 403 && said.includes("This is for"));
        expect({ role, letIn: !turnedAway }).toEqual({ role, letIn: allowed.includes(role) });
        expect(response.status, said).toBeLessThan(500);
      }
    },
  );
});

describe("tokens", () => {
  it.each(["Basic YTpi", "Bearer", "Bearer  ", "bearer a b", "tablao_admin_x"])(
    "P9: %j is no token",
    async (header) => {
      await problem(
        await send("GET", "/tasks", { token: null, headers: { Authorization: header } }),
        401,
        "unauthorized",
      );
    },
  );

  it("P9: a token in the address is ignored", async () => {
    await problem(await send("GET", `/tasks?token=${ADMIN_TOKEN}`, { token: null }), 401, "unauthorized");
  });

  it("exchanges a secret for an access token that works without the registry, until it expires", async () => {
    const { access_token, expires_in_ms } = await okJson(
      await send("POST", "/auth/access", { token: tokens["artist"]! }),
      200,
    );
    expect(expires_in_ms).toBe(60_000);
    const headers = { Authorization: `Bearer ${access_token as string}` };
    const registry = { getByName: () => expect.unreachable("the registry was asked") } as unknown as Env["REGISTRY"];
    expect((await ask("/tasks/999999", { REGISTRY: registry }, { headers })).status).toBe(404);
    await problem(await send("POST", "/auth/access", { token: access_token as string }), 403, "forbidden");
    await problem(await send("GET", "/tokens", { token: access_token as string }), 403, "forbidden");
    laterBy(60_001);
    await problem(await send("GET", "/tasks/1", { token: access_token as string }), 401, "unauthorized");
  });

  it("P9: an access token with other claims or of another kind is refused", async () => {
    const { access_token } = await okJson(await send("POST", "/auth/access"), 200);
    // The second time the token is in the cache, which does not verify its signature again.
    for (let i = 0; i < 2; i++)
      expect((await send("GET", "/tasks", { token: access_token as string })).status).toBe(200);
    const [body = "", mac = ""] = (access_token as string).split(".");
    const changed = (mac.startsWith("A") ? "B" : "A") + mac.slice(1);
    const forged = btoa(JSON.stringify({ p: { role: "admin", id: 0, name: "admin" }, exp_ms: 9e15 })).replaceAll(
      "=",
      "",
    );
    for (const text of [`${forged}.${mac}`, `${body}.`, `.${mac}`, `${body}.${mac}x`, `${body}.${changed}`]) {
      await problem(await send("GET", "/tasks", { token: text }), 401, "unauthorized");
    }
    const headers = { Authorization: `Bearer ${access_token as string}` };
    expect((await ask("/tokens", {}, { headers })).status).toBe(200);
    await problem(
      await ask("/tokens", { TABLAO_SIGNING_KEY: "another-key-7fQx2LmV9cTzRk4wNbHs" }, { headers }),
      401,
      "unauthorized",
    );
  });

  it("P9: an admin token may have dots in it, as signed ones have", async () => {
    const as = async (token: string) =>
      await ask(
        "/tokens",
        { TABLAO_ADMIN_TOKEN: "an.admin-token.with-7fQx2LmV9cTzRk4wN-dots" },
        { headers: { Authorization: `Bearer ${token}` } },
      );
    expect((await as("an.admin-token.with-7fQx2LmV9cTzRk4wN-dots")).status).toBe(200);
    for (const token of [
      "an.admin-token.with-7fQx2LmV9cTzRk4wN-dot",
      "an.admin-token.with-7fQx2LmV9cTzRk4wN-dots.",
      "an",
      ".admin-token.with-7fQx2LmV9cTzRk4wN-dots",
    ])
      await problem(await as(token), 401, "unauthorized");
  });

  it("P9: a revocation holds within 60 s, for the secret and for what it bought", async () => {
    const { id, token } = await newToken("viewer", "leaving");
    const { access_token } = await okJson(await send("POST", "/auth/access", { token }), 200);
    expect((await send("GET", "/tasks", { token })).status).toBe(200);
    expect((await send("DELETE", `/tokens/${id}`)).status).toBe(204);
    laterBy(60_000);
    await problem(await send("GET", "/tasks", { token }), 401, "unauthorized");
    await problem(await send("GET", "/tasks", { token: access_token as string }), 401, "unauthorized");
  });

  it("P9: a revoked secret that is still in the Worker's cache gets no access token any more", async () => {
    const { id, token } = await newToken("viewer", "remembered");
    expect((await send("GET", "/tasks", { token })).status).toBe(200);
    expect((await send("DELETE", `/tokens/${id}`)).status).toBe(204);
    expect((await send("GET", "/tasks", { token })).status).toBe(200);
    await problem(await send("POST", "/auth/access", { token }), 401, "unauthorized");
  });

  it("asks the registry once for many calls with one secret, and never about what cannot be one", async () => {
    const { token } = await newToken("viewer", "busy");
    const lookUps = vi.fn();
    const counted = {
      getByName: (name: string) => (lookUps(), env.REGISTRY.getByName(name)),
    } as unknown as Env["REGISTRY"];
    const headers = { Authorization: `Bearer ${token}` };
    for (let i = 0; i < 5; i++)
      expect((await ask("/tasks/999999", { REGISTRY: counted }, { headers })).status).toBe(404);
    expect(lookUps).toHaveBeenCalledTimes(1);
    const guess = { headers: { Authorization: "Bearer tablao_admin_guess" } };
    expect((await ask("/tasks/999999", { REGISTRY: counted }, guess)).status).toBe(401);
    expect(lookUps).toHaveBeenCalledTimes(1);
  });

  it("answers 429 to an address that keeps guessing, but not to a valid token from there", async () => {
    const headers = { "CF-Connecting-IP": "203.0.113.9" };
    const guess = async (n: number) => await send("GET", "/tasks", { token: `tablao_admin_guess${n}`, headers });
    for (let n = 0; n < MAX_FAILURES; n++) expect((await guess(n)).status).toBe(401);
    const refused = await guess(99);
    await problem(refused, 429, "rate_limited");
    expect(Number(refused.headers.get("Retry-After"))).toBeGreaterThan(0);
    expect((await send("GET", "/tasks", { headers })).status).toBe(200);
    expect(
      (await send("GET", "/tasks", { token: "tablao_admin_other", headers: { "CF-Connecting-IP": "203.0.113.10" } }))
        .status,
    ).toBe(401);
    laterBy(60_001);
    expect((await guess(100)).status).toBe(401);
  });

  it("P9: guesses from one address cost the registry no more than the allowed look-ups, and put out no valid token", async () => {
    const calls: string[] = [];
    const counted = {
      getByName: (name: string) =>
        new Proxy(env.REGISTRY.getByName(name), {
          get: (stub, method) => (calls.push(String(method)), Reflect.get(stub, method) as unknown),
        }),
    } as unknown as Env["REGISTRY"];
    const address = { "CF-Connecting-IP": "203.0.113.77" };
    const asks = async (token: string): Promise<number> =>
      (await ask("/tasks/999999", { REGISTRY: counted }, { headers: { ...address, Authorization: `Bearer ${token}` } }))
        .status;
    const made = (n: number): string => `tablao_admin_${String(n).padStart(43, "x")}`;
    const busy = await newToken("viewer", "known before");
    expect(await asks(busy.token)).toBe(404);
    calls.length = 0;
    const statuses = await Promise.all(Array.from({ length: 1_000 }, async (_, n) => await asks(made(n))));
    expect(statuses.filter((status) => status === 401)).toHaveLength(MAX_FAILURES);
    expect(statuses.filter((status) => status === 429)).toHaveLength(1_000 - MAX_FAILURES);
    expect(calls.filter((method) => method === "authenticate").length).toBeLessThanOrEqual(MAX_FAILURES);
    expect(calls.filter((method) => method === "secretMarks")).toHaveLength(1);
    for (let n = 1_000; n < 7_000; n += 500)
      await Promise.all(Array.from({ length: 500 }, async (_, i) => await asks(made(n + i))));
    calls.length = 0;
    // Known to this Worker, known to the registry only, a worker's.
    expect(await asks(busy.token)).toBe(404);
    expect(calls).toEqual([]);
    const cold = await newToken("viewer", "not seen by this Worker");
    laterBy(10_001);
    expect(await asks(cold.token)).toBe(404);
    expect(await asks(machine.secret)).toBe(404);
    expect(await asks(made(8_000))).toBe(429);
  });

  it("P9: many good tokens that come at once for the first time are no guesses, also while nobody guesses", async () => {
    const headers = { "CF-Connecting-IP": "203.0.113.78" };
    const statusOf = async (token: string): Promise<number> => (await send("GET", "/tasks", { token, headers })).status;
    const many = async (prefix: string): Promise<string[]> =>
      await Promise.all(
        Array.from({ length: 3 * MAX_FAILURES }, async (_, n) => (await newToken("viewer", `${prefix}${n}`)).token),
      );
    // Machines behind one router that start together, twice within the time for which marks are remembered.
    for (const prefix of ["first ", "second "])
      expect(new Set(await Promise.all((await many(prefix)).map(statusOf)))).toEqual(new Set([200]));
  });

  it("shows a new secret once, never in the list", async () => {
    const { token } = await newToken("viewer", "shown once");
    expect(await (await send("GET", "/tokens")).text()).not.toContain(token);
  });
});

describe("ownership", () => {
  it("P9: an artist changes own tasks only, also beside another artist of the same name", async () => {
    const [ana, twin] = [await newToken("artist", "ana"), await newToken("artist", "ana")];
    const id = await newTask(ana.token);
    expect(await okJson(await send("GET", `/tasks/${id}`, { token: twin.token }), 200)).toMatchObject({
      owner: `ana#${ana.id}`,
    });
    await problem(await send("PATCH", `/tasks/${id}`, { token: twin.token, json: { priority: 1 } }), 403, "forbidden");
    await problem(await send("DELETE", `/tasks/${id}`, { token: twin.token }), 403, "forbidden");
    expect((await send("PATCH", `/tasks/${id}`, { token: ana.token, json: { priority: 1 } })).status).toBe(204);
    expect((await send("PATCH", `/tasks/${id}`, { json: { priority: 2 } })).status).toBe(204);
    const theirs = await newTask();
    await problem(await send("DELETE", `/tasks/${theirs}`, { token: ana.token }), 403, "forbidden");
  });

  it("P9: a worker reports on a task it has a lease of, and changes nothing else", async () => {
    const id = await newTask();
    const report = { log: "Fra:1 Mem:1M", activity: "rendering", time_cost: 3 };
    const token = machine.secret;
    await problem(await send("PATCH", `/tasks/${id}`, { token, json: report }), 409, "lease_lost");
    await problem(
      await send("POST", `/tasks/${id}/log`, { token, json: { attempt: 1, text: "x" } }),
      409,
      "lease_lost",
    );
    const claim = { key: "key-of-http-1", platform: "linux" };
    const { lease } = (await okJson(await send("POST", `/tasks/${id}/leases`, { token, json: claim }), 200)) as {
      lease: { attempt: number };
    };
    expect((await send("PATCH", `/tasks/${id}`, { token, json: report })).status).toBe(204);
    expect(
      (await send("POST", `/tasks/${id}/log`, { token, json: { attempt: lease.attempt, text: "line two" } })).status,
    ).toBe(204);
    await problem(
      await send("POST", `/tasks/${id}/log`, { token, json: { attempt: lease.attempt + 1, text: "x" } }),
      409,
      "lease_lost",
    );
    const idle = await newWorker("idle");
    await problem(await send("PATCH", `/tasks/${id}`, { token: idle.secret, json: report }), 409, "lease_lost");
    await problem(
      await send("POST", `/tasks/${id}/log`, { token: idle.secret, json: { attempt: lease.attempt, text: "x" } }),
      409,
      "lease_lost",
    );
    expect(JSON.stringify(await okJson(await send("GET", `/tasks/${id}/log`), 200))).toMatch(/Fra:1 Mem:1M.*line two/);
    expect(await okJson(await send("GET", `/workers/${machine.id}`), 200)).toMatchObject({
      activity: "rendering",
      time_cost: 3,
    });
    const { errors } = await problem(
      await send("PATCH", `/tasks/${id}`, { token, json: { log: "x", priority: 9, status: "cancel" } }),
      403,
      "forbidden",
    );
    expect(errors?.map((error) => error.field)).toEqual(["priority", "status"]);
    const own = await problem(await send("PATCH", `/tasks/${id}`, { json: { log: "x" } }), 403, "forbidden");
    expect(own.errors).toMatchObject([{ field: "log" }]);
  });

  it("P9: a worker's secret is for that worker only", async () => {
    const other = await newWorker("other");
    await problem(
      await send("PATCH", `/workers/${other.id}`, { token: machine.secret, json: { status: "disabled" } }),
      403,
      "forbidden",
    );
    await problem(
      await send("GET", `/workers/${other.id}/socket`, { token: machine.secret, headers: { Upgrade: "websocket" } }),
      403,
      "forbidden",
    );
  });
});
