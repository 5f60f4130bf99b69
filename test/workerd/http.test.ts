/**
 * The HTTP layer as a client sees it: what is refused and how, and that no input causes an internal
 * error (P10).
 */
import { beforeAll, describe, expect, it, vi } from "vitest";
import { sign } from "../../src/platform/signed-claims.ts";
import { importKey } from "../../src/platform/signing-key.ts";
import { ROUTES } from "../../src/http/routes/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import { ADMIN_TOKEN, ask, HOST, newToken, newWorker, okJson, problem, send } from "./http-client.ts";

let machine: { id: number; secret: string };

beforeAll(async () => {
  machine = await newWorker("http");
});

describe("addresses and methods", () => {
  it.each([
    "/nothing",
    "/tasks/",
    "/tasks/1/",
    "/api/tasks",
    "//tasks",
    "/tasks/1/leases/x",
    "/app/static/gone.js",
    "/favicon.ico",
  ])("%s → 404 problem", async (path) => {
    await problem(await send("GET", path), 404, "not_found");
  });

  it.each(["0", "-1", "1.5", "01", "1e3", "abc", "9007199254740993", "1%2F2", "%F0%9F%98%80"])(
    "there is no task %s",
    async (id) => {
      await problem(await send("GET", `/tasks/${id}`), 404, "not_found");
      await problem(
        await send("POST", `/tasks/${id}/leases`, {
          token: machine.secret,
          json: { key: "abcdefgh", platform: "linux" },
        }),
        404,
        "not_found",
      );
    },
  );

  it("P10: a broken percent sign is a 400", async () => {
    await problem(await send("GET", "/tasks/%E0%A4%A"), 400, "invalid_request");
  });

  it.each([
    ["DELETE", "/tasks", "GET, HEAD, POST"],
    ["POST", "/healthz", "GET, HEAD"],
    ["GET", "/auth/access", "POST"],
    ["OPTIONS", "/workers/1", "GET, HEAD, PATCH, DELETE"],
    ["GET", "/assets/missing", "POST"],
  ])("%s %s → 405 with Allow: %s", async (method, path, allow) => {
    const response = await send(method, path);
    expect(response.headers.get("Allow")).toBe(allow);
    await problem(response, 405, "method_not_allowed");
  });

  it("HEAD answers like GET, without the body", async () => {
    const response = await send("HEAD", "/healthz");
    expect([response.status, response.headers.get("Content-Type"), await response.text()]).toEqual([
      200,
      "application/json",
      "",
    ]);
    expect((await send("HEAD", "/tasks/999999")).status).toBe(404);
  });

  it("names unknown and repeated query parameters", async () => {
    const { errors } = await problem(await send("GET", "/tasks?page=2"), 422, "invalid");
    expect(errors).toMatchObject([{ field: "page" }]);
    await problem(await send("GET", "/tasks?limit=1&limit=2"), 422, "invalid");
    await problem(await send("GET", "/tasks?cursor=x"), 422, "invalid");
    await problem(await send("GET", "/tasks/1/log?after=1&tail=1"), 422, "invalid");
    await problem(await send("GET", "/tasks/1?verbose=1"), 422, "invalid");
  });
});

describe("bodies", () => {
  const raw = async (body: BodyInit | undefined, type: string | null) =>
    await send("POST", "/tasks", { body, headers: type === null ? {} : { "Content-Type": type } });

  it.each([
    ["{", "application/json", 400, "invalid_request"],
    ["", "application/json", 400, "invalid_request"],
    ["a=1&a=2", "application/x-www-form-urlencoded", 400, "invalid_request"],
    ["--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415, "unsupported_media_type"],
    ["[]", "application/json", 422, "invalid"],
    ["null", "application/json", 422, "invalid"],
    [`"${"x".repeat(2 * 1024 * 1024)}"`, "application/json", 413, "too_large"],
  ] as const)("P10: %.20j as %s → %i %s", async (body, type, status, code) => {
    await problem(await raw(body, type), status, code);
  });

  it("an upload without its length → 411", async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    void writer.write(new Uint8Array(3)).then(() => writer.close());
    const response = await send("PUT", `/assets/${"0".repeat(64)}`, { body: readable });
    await problem(response, 411, "length_required");
  });
});

describe("the worker's socket", () => {
  const open = async (headers: Record<string, string>, token = machine.secret) =>
    await send("GET", `/workers/${machine.id}/socket`, { token, headers });

  it("is a WebSocket and says so", async () => {
    const response = await open({});
    expect(response.headers.get("Upgrade")).toBe("websocket");
    await problem(response, 426, "upgrade_required");
  });

  it("P9: is closed to pages of other sites", async () => {
    await problem(await open({ Upgrade: "websocket", Origin: "https://elsewhere.example" }), 403, "forbidden");
  });

  it("opens, answers pings, and takes the worker's identity from the token, not from a header", async () => {
    const response = await open({ Upgrade: "websocket", "Tablao-Worker-Id": "999999", Origin: HOST });
    expect(response.status).toBe(101);
    const socket = response.webSocket!;
    socket.accept();
    const pong = new Promise((resolve) =>
      socket.addEventListener("message", (event) => event.data === "pong" && resolve(event.data)),
    );
    socket.send("ping");
    expect(await pong).toBe("pong");
    expect(await okJson(await send("GET", `/workers/${machine.id}`), 200)).toMatchObject({ connection: "online" });
    socket.close(1000, "done");
  });
});

describe("a manager in trouble", () => {
  const auth = { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } };

  function failing(errors: object[]): Env["REGISTRY"] {
    const stub = {
      listTokens: async () => {
        const error = errors.shift();
        if (error) throw Object.assign(new Error("the secret inside"), error);
        return [];
      },
    };
    return { getByName: () => stub } as unknown as Env["REGISTRY"];
  }

  it("P9: without an admin token it serves health and nothing else", async () => {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const bare = { TABLAO_ADMIN_TOKEN: undefined };
    expect((await ask("/healthz", bare)).status).toBe(200);
    for (const path of ["/", "/openapi.json", "/tasks", "/nothing"])
      await problem(await ask(path, bare, auth), 503, "not_configured");
    await problem(
      await ask("/tasks", { TABLAO_ADMIN_TOKEN: "" }, { headers: { Authorization: "Bearer " } }),
      503,
      "not_configured",
    );
    expect(log).not.toHaveBeenCalled();
    log.mockRestore();
  });

  describe.each<["TABLAO_ADMIN_TOKEN" | "TABLAO_SIGNING_KEY", Partial<Env> & { TABLAO_ADMIN_TOKEN: string }]>([
    ["TABLAO_ADMIN_TOKEN", { TABLAO_ADMIN_TOKEN: "admin" }],
    ["TABLAO_ADMIN_TOKEN", { TABLAO_ADMIN_TOKEN: "admin", TABLAO_SIGNING_KEY: "signing-key-7fQx2LmV9cTzRk4wNbHs" }],
    ["TABLAO_SIGNING_KEY", { TABLAO_ADMIN_TOKEN: ADMIN_TOKEN, TABLAO_SIGNING_KEY: "key" }],
  ])("with a %s that can be guessed (%j)", (name, weak) => {
    const as = (token: string): RequestInit => ({ headers: { Authorization: `Bearer ${token}` } });
    const guessed = weak[name] ?? "";

    it("P9: nobody is admin by it, and the answer says how to make a good one", async () => {
      const log = vi.spyOn(console, "error").mockImplementation(() => {});
      const { detail } = await problem(await ask("/tasks", weak, as(weak.TABLAO_ADMIN_TOKEN)), 503, "misconfigured");
      expect(detail).toMatch(new RegExp(`^${name} is too easy to guess.*openssl rand -hex 32`));
      const body = { method: "POST", body: JSON.stringify({ token: weak.TABLAO_ADMIN_TOKEN }) };
      const headers = { "Content-Type": "application/json" };
      await problem(await ask("/auth/session", weak, { ...body, headers }), 503, "misconfigured");
      await problem(
        await ask("/auth/access", weak, { method: "POST", ...as(weak.TABLAO_ADMIN_TOKEN) }),
        503,
        "misconfigured",
      );
      expect((await ask("/healthz", weak)).status).toBe(200);
      await problem(await ask("/tasks", weak), 401, "unauthorized");
      log.mockRestore();
    });

    it("P9: who guesses it can sign nothing", async () => {
      const claims = { p: { role: "admin", id: 7, name: "boss" }, exp_ms: Date.now() + 60_000 };
      const access = await sign(await importKey(guessed), "access", claims);
      await problem(await ask("/tasks", weak, as(access)), 401, "unauthorized");
      const { id } = await newToken("viewer");
      const session = await sign(await importKey(guessed), "session", { exp_ms: claims.exp_ms, token: id });
      const cookie = { headers: { Cookie: `__Host-tablao=${session}` } };
      await problem(await ask("/tasks", weak, cookie), 401, "unauthorized");
    });

    it("P9: a worker and an artist with tokens of their own go on", async () => {
      const artist = await newToken("artist", "ada");
      const machine = await newWorker("goes-on");
      expect((await ask("/tasks", weak, as(artist.token))).status).toBe(200);
      const traded = await ask("/auth/access", weak, { method: "POST", ...as(machine.secret) });
      const { access_token } = await okJson(traded, 200);
      const said = await ask(`/workers/${machine.id}`, weak, as(access_token as string));
      expect(await okJson(said, 200)).toMatchObject({ id: machine.id });
    });
  });

  it("creates objects where TABLAO_LOCATION says, and none while that is no place of the platform", async () => {
    const placed: unknown[] = [];
    const namespace = (stub: object) =>
      ({ getByName: (_name: string, options: unknown) => placed.push(options) && stub }) as unknown as Env["REGISTRY"];
    const REGISTRY = namespace({ listTokens: async () => [] });
    const TASK = namespace({ view: async () => ({ ok: false, error: { code: "not_found", detail: "" } }) });
    for (const TABLAO_LOCATION of ["weur", "", undefined]) {
      expect((await ask("/tokens", { REGISTRY, TABLAO_LOCATION }, auth)).status).toBe(200);
      expect((await ask("/tasks/1", { TASK, TABLAO_LOCATION }, auth)).status).toBe(404);
    }
    expect(placed.splice(0)).toEqual([{ locationHint: "weur" }, { locationHint: "weur" }, {}, {}, {}, {}]);

    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const wrong = { REGISTRY, TABLAO_LOCATION: "berlin" };
    const { detail } = await problem(await ask("/tokens", wrong, auth), 503, "misconfigured");
    expect(detail).toMatch(/^TABLAO_LOCATION is "berlin", and must be one of wnam, enam, /);
    expect((await ask("/healthz", wrong)).status).toBe(200);
    expect(placed).toEqual([]);
    log.mockRestore();
  });

  it("tries again when the object allows it, and then answers", async () => {
    expect((await ask("/tokens", { REGISTRY: failing([{ retryable: true }, { retryable: true }]) }, auth)).status).toBe(
      200,
    );
  });

  it("P10: an overloaded object is a 503 with Retry-After; a bug is a 500 without details, and one line in the log", async () => {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const busy = await ask("/tokens", { REGISTRY: failing([{ overloaded: true, retryable: true }]) }, auth);
    expect(busy.headers.has("Retry-After")).toBe(true);
    await problem(busy, 503, "overloaded");
    log.mockClear();
    const broken = await ask("/tokens", { REGISTRY: failing([{}]) }, auth);
    const text = await broken.clone().text();
    expect(text).not.toContain("secret");
    await problem(broken, 500, "internal");
    expect(log).toHaveBeenCalledTimes(1);
    const line = JSON.parse(String(log.mock.calls[0]![0])) as Record<string, unknown>;
    expect(line).toMatchObject({
      level: "error",
      method: "GET",
      path: "/tokens",
      status: 500,
      message: "Error: the secret inside",
    });
    expect(text).toContain(line["incident"]);
    expect(JSON.stringify(line)).not.toContain(ADMIN_TOKEN);
    log.mockRestore();
  });
});

describe("every answer", () => {
  it.each(["/healthz", "/tasks", "/nothing", "/openapi.json", "/problems/invalid"])(
    "%s has the security headers and no CORS",
    async (path) => {
      const response = await send("GET", path, { headers: { Origin: "https://elsewhere.example" } });
      expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(response.headers.get("Referrer-Policy")).toBe("no-referrer");
      expect(response.headers.get("Cache-Control")).toBe("no-store");
      expect(response.headers.has("Access-Control-Allow-Origin")).toBe(false);
      await response.body?.cancel();
    },
  );

  it("a problem's type is the address of its explanation", async () => {
    const { type } = await problem(await send("GET", "/tasks/999999"), 404, "not_found");
    expect(await okJson(await send("GET", type, { token: null }), 200)).toMatchObject({
      code: "not_found",
      status: 404,
    });
  });
});

describe("/openapi.json", () => {
  type Json = Record<string, unknown>;
  let document: { openapi: string; paths: Record<string, Record<string, Json>>; components: { schemas: Json } };
  beforeAll(async () => {
    document = (await okJson(await send("GET", "/openapi.json", { token: null }), 200)) as typeof document;
  });

  it("is OpenAPI 3.1 and has every route once, each with its own operationId", () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    const operations = Object.entries(document.paths).flatMap(([path, byMethod]) =>
      Object.entries(byMethod).map(([method, operation]) => ({ key: `${method.toUpperCase()} ${path}`, operation })),
    );
    expect(operations.map(({ key }) => key).toSorted()).toEqual(
      ROUTES.map((route) => `${route.method} ${route.path}`).toSorted(),
    );
    const ids = operations.map(({ operation }) => operation["operationId"]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("has no dangling reference, and no unused schema", () => {
    const refs = new Set([...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1]));
    const schemas = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect([...refs].toSorted()).toEqual(schemas.toSorted());
  });

  it("names every parameter of a path, and the statuses that a route can answer", () => {
    for (const [path, byMethod] of Object.entries(document.paths)) {
      for (const operation of Object.values(byMethod)) {
        const named = ((operation["parameters"] ?? []) as Json[])
          .filter((parameter) => parameter["in"] === "path")
          .map((parameter) => parameter["name"]);
        expect(named).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
        expect(Object.keys(operation["responses"] as Json).some((status) => /^[123]/.test(status))).toBe(true);
      }
    }
  });

  it("has separate schemas for requests and answers: defaults may be omitted in a request, and are always in an answer", () => {
    const { schemas } = document.components as { schemas: Record<string, { required?: string[]; properties: Json }> };
    expect(schemas["TaskSubmit"]!.required).toEqual(["type"]);
    expect(schemas["Task"]!.required).toEqual(
      expect.arrayContaining([
        "id",
        "worker_id",
        "priority",
        "frame_start",
        "frame_end",
        "frame_current",
        "status",
        "format",
      ]),
    );
    expect(schemas["Task"]).not.toHaveProperty("additionalProperties");
  });
});
