/** Sessions of the page and share links (P9). */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import worker from "../../src/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import { ADMIN_TOKEN, ask, HOST, newTask, newToken, newWorker, okJson, problem, send } from "./http-client.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** Move the clock; timers keep running. */
function laterBy(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

/** Sign in; returns the cookie as a browser would send it back. */
async function signIn(token: string): Promise<string> {
  const answer = await send("POST", "/auth/session", { token: null, json: { token }, headers: { Origin: HOST } });
  await okJson(answer.clone() as Response, 201);
  return answer.headers.get("Set-Cookie")!.split(";")[0]!;
}

/** A request with the cookie and no token. */
async function withCookie(method: string, path: string, cookie: string, origin: string | null = null, json?: unknown) {
  const headers: Record<string, string> = { Cookie: `other=1; ${cookie}` };
  if (origin !== null) headers["Origin"] = origin;
  return await send(method, path, { token: null, json, headers });
}

describe("a session", () => {
  it("P9: is a cookie that no script and no other site can use, with the token nowhere in it", async () => {
    const { token } = await newToken("artist", "ana");
    const answer = await send("POST", "/auth/session", { token: null, json: { token } });
    const cookie = answer.headers.get("Set-Cookie")!;
    expect(cookie).toMatch(/^__Host-tablao=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict; Secure$/);
    expect(cookie).not.toContain(token);
    expect(await okJson(answer, 201)).toMatchObject({ role: "artist", name: "ana", task_id: null });
    const http = await worker.fetch(
      new Request("http://127.0.0.1:8787/auth/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token }),
      }),
      env as unknown as Env,
      createExecutionContext(),
    );
    expect(http.headers.get("Set-Cookie")).toMatch(/^tablao=[^;]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
  });

  it("says who is signed in, and ends with signing out or after 12 h", async () => {
    const { id, token } = await newToken("artist", "ben");
    const cookie = await signIn(token);
    const session = await okJson(await withCookie("GET", "/auth/session", cookie), 200);
    expect(session).toMatchObject({ role: "artist", name: "ben", owner: `ben#${id}` });
    const out = await withCookie("DELETE", "/auth/session", cookie, HOST);
    expect(out.status).toBe(204);
    expect(out.headers.get("Set-Cookie")).toMatch(/^__Host-tablao=; Max-Age=0;/);
    laterBy(12 * 3_600_000);
    await problem(await withCookie("GET", "/tasks", cookie), 401, "unauthorized");
  });

  it("P9: acts for its role, and changes something only from our own page", async () => {
    const cookie = await signIn((await newToken("artist", "cleo")).token);
    const task = { type: "print_string", settings: { text: "x", frames: "1" } };
    for (const origin of [null, "https://evil.example", "null", "http://farm.example"])
      await problem(await withCookie("POST", "/tasks", cookie, origin, task), 403, "forbidden");
    const { id } = await okJson(await withCookie("POST", "/tasks", cookie, HOST, task), 202);
    expect((await withCookie("GET", `/tasks/${id as number}`, cookie)).status).toBe(200);
    await problem(await withCookie("GET", "/tokens", cookie), 403, "forbidden");
    const upgrade = { Cookie: cookie, Upgrade: "websocket" };
    await problem(await send("GET", "/live", { token: null, headers: upgrade }), 403, "forbidden");
    const headers = { ...upgrade, Origin: "https://evil.example" };
    await problem(await send("GET", `/tasks/${id as number}/live`, { token: null, headers }), 403, "forbidden");
  });

  it("P9: gets no access token, and is not opened with workers' secrets, join tokens or access tokens", async () => {
    const cookie = await signIn(ADMIN_TOKEN);
    await problem(await withCookie("POST", "/auth/access", cookie, HOST), 403, "forbidden");
    const access = (await okJson(await send("POST", "/auth/access"), 200))["access_token"] as string;
    const others = [access, (await newWorker("no-page")).secret, (await newToken("join")).token];
    for (const token of others)
      await problem(await send("POST", "/auth/session", { token: null, json: { token } }), 403, "forbidden");
    await problem(
      await send("POST", "/auth/session", {
        token: null,
        json: { token: ADMIN_TOKEN },
        headers: { Origin: "https://evil.example" },
      }),
      403,
      "forbidden",
    );
  });

  it("P9: ends within 60 s of its token's revocation", async () => {
    const { id, token } = await newToken("viewer", "leaving");
    const cookie = await signIn(token);
    expect((await withCookie("GET", "/tasks", cookie)).status).toBe(200);
    expect((await send("DELETE", `/tokens/${id}`)).status).toBe(204);
    laterBy(60_000);
    await problem(await withCookie("GET", "/tasks", cookie), 401, "unauthorized");
    await problem(await send("POST", "/auth/session", { token: null, json: { token } }), 401, "unauthorized");
  });

  it("P9: of the admin ends when the admin token changes, although the signing key stays", async () => {
    const key = { TABLAO_SIGNING_KEY: "a key of its own, longer than anybody guesses" };
    const body = JSON.stringify({ token: ADMIN_TOKEN });
    const signed = await ask("/auth/session", key, {
      method: "POST",
      body,
      headers: { "Content-Type": "application/json" },
    });
    const headers = { Cookie: signed.headers.get("Set-Cookie")!.split(";")[0]! };
    expect((await ask("/auth/session", key, { headers })).status).toBe(200);
    expect(
      (
        await ask(
          "/auth/session",
          { ...key, TABLAO_ADMIN_TOKEN: "another-admin-token-7fQx2LmV9cTzRk4wNbHs" },
          { headers },
        )
      ).status,
    ).toBe(401);
  });

  it("P9: that is forged, of another kind or empty is refused, and a bad token at sign-in counts as a guess", async () => {
    const cookie = await signIn(ADMIN_TOKEN);
    const [name, text = ""] = cookie.split("=");
    const access = (await okJson(await send("POST", "/auth/access"), 200))["access_token"] as string;
    for (const bad of ["", "x.y", access, `${text}x`, text.replace(/^./, "f")])
      await problem(await withCookie("GET", "/tasks", `${name}=${bad}`), 401, "unauthorized");
    await problem(await send("GET", "/tasks", { token: text }), 401, "unauthorized");
    const headers = { "CF-Connecting-IP": "203.0.113.77" };
    const guess = async () =>
      await send("POST", "/auth/session", { token: null, json: { token: "tablao_admin_x" }, headers });
    for (let n = 0; n < 20; n++) expect((await guess()).status).toBe(401);
    expect((await guess()).status).toBe(429);
  });
});

describe("who has no token", () => {
  it("P10: cannot fill the memory with bodies: signing in takes 16 KiB, whether they are announced or not", async () => {
    const spaces = " ".repeat(16_384 - 100);
    const [fits, tooLong] = [spaces, spaces + spaces].map((more) => JSON.stringify({ token: "x" }) + more);
    const post = async (body: BodyInit): Promise<Response> =>
      await send("POST", "/auth/session", { token: null, body, headers: { "Content-Type": "application/json" } });
    await problem(await post(fits!), 401, "unauthorized");
    for (const body of [tooLong!, new Blob([tooLong!]).stream()]) {
      const { detail } = await problem(await post(body), 413, "too_large");
      expect(detail).toBe("The body may have at most 16384 bytes.");
    }
  });
});

describe("a share link", () => {
  let id: number;
  let other: number;
  let token: string;

  beforeAll(async () => {
    [id, other] = [await newTask(ADMIN_TOKEN, { name: "shown" }), await newTask()];
    const share = await okJson(await send("POST", `/tasks/${id}/share`, { json: { expires_s: 3_600 } }), 201);
    token = share["token"] as string;
    expect(share["url"]).toBe(`${HOST}/app/share#${token}`);
  });

  it("P9: shows its one task without settings, owner and errors, and nothing else", async () => {
    const task = await okJson(await send("GET", `/tasks/${id}`, { token }), 200);
    expect(task).toMatchObject({ id, name: "shown", settings: {}, owner: "", error: null });
    for (const path of ["frames", "files", "timings"])
      expect((await send("GET", `/tasks/${id}/${path}`, { token })).status).toBe(200);
    for (const path of ["", "/frames", "/files", "/timings", "/frames/1/file", "/frames/1/preview", "/live"])
      await problem(await send("GET", `/tasks/${other}${path}`, { token }), 403, "forbidden");
    for (const path of [
      `/tasks/${id}/log`,
      `/tasks/${id}/zip`,
      "/tasks",
      "/workers",
      "/live",
      "/history",
      "/settings",
      "/tokens",
    ])
      await problem(await send("GET", path, { token }), 403, "forbidden");
    for (const [method, path] of [
      ["PATCH", ""],
      ["DELETE", ""],
      ["POST", "/share"],
      ["DELETE", "/share"],
    ] as const)
      await problem(await send(method, `/tasks/${id}${path}`, { token, json: { priority: 1 } }), 403, "forbidden");
    await problem(
      await send("GET", `/tasks/${id}/live?log=1`, { token, headers: { Upgrade: "websocket" } }),
      403,
      "forbidden",
    );
  });

  it("signs the page in to that task, for no longer than the link is valid", async () => {
    const answer = await send("POST", "/auth/session", { token: null, json: { token } });
    expect(answer.headers.get("Set-Cookie")).toMatch(/Max-Age=3[56]\d\d;/);
    expect(await okJson(answer.clone() as Response, 201)).toMatchObject({ role: "share", name: "", task_id: id });
    const cookie = answer.headers.get("Set-Cookie")!.split(";")[0]!;
    expect(await okJson(await withCookie("GET", `/tasks/${id}`, cookie), 200)).toMatchObject({ settings: {} });
    await problem(await withCookie("GET", `/tasks/${other}`, cookie), 403, "forbidden");
    laterBy(3_600_000);
    await problem(await withCookie("GET", `/tasks/${id}`, cookie), 401, "unauthorized");
    await problem(await send("GET", `/tasks/${id}`, { token }), 401, "unauthorized");
  });

  it("P9: is made and voided by the task's owner and admins only; voiding ends all links and their sessions", async () => {
    const [ana, ben] = [await newToken("artist", "ana"), await newToken("artist", "ben")];
    const mine = await newTask(ana.token);
    await problem(await send("POST", `/tasks/${mine}/share`, { token: ben.token, json: {} }), 403, "forbidden");
    const link = (await okJson(await send("POST", `/tasks/${mine}/share`, { token: ana.token, json: {} }), 201))[
      "token"
    ] as string;
    const cookie = await signIn(link);
    expect((await send("GET", `/tasks/${mine}`, { token: link })).status).toBe(200);
    await problem(await send("DELETE", `/tasks/${mine}/share`, { token: ben.token }), 403, "forbidden");
    expect((await send("DELETE", `/tasks/${mine}/share`, { token: ana.token })).status).toBe(204);
    const anew = (await okJson(await send("POST", `/tasks/${mine}/share`, { token: ana.token, json: {} }), 201))[
      "token"
    ] as string;
    // At once, although the link was valid a moment ago.
    await problem(await send("POST", "/auth/session", { token: null, json: { token: link } }), 401, "unauthorized");
    laterBy(60_000);
    await problem(await send("GET", `/tasks/${mine}`, { token: link }), 401, "unauthorized");
    await problem(await withCookie("GET", `/tasks/${mine}`, cookie), 401, "unauthorized");
    expect((await send("GET", `/tasks/${mine}`, { token: anew })).status).toBe(200);
    await problem(await send("POST", "/tasks/999999/share", { json: {} }), 404, "not_found");
  });
});
