/** The page's addresses: which of them answer HTML, and with which policy. */
import { expect, it } from "vitest";
import { ask, problem } from "./http-client.ts";

const HTML = "<!doctype html><title>page</title>";
const FILES: Record<string, [string, string]> = { "/index.html": ["text/html", HTML] };

/** Answers as the assets binding does with `html_handling = "none"`. */
const ASSETS = {
  fetch: async (input: RequestInfo | URL) => {
    const request = new Request(input);
    const file = FILES[new URL(request.url).pathname];
    if (!file) return new Response(null, { status: 404 });
    const headers = { "Content-Type": file[0], ETag: '"tag"' };
    if (request.headers.get("If-None-Match") === '"tag"') return new Response(null, { status: 304, headers });
    return new Response(file[1], { headers });
  },
} as unknown as Fetcher;

it.each(["/", "/app", "/app/", "/app/tasks/7", "/app/share", "/app/a.b/c", "/app/static"])(
  "%s answers the page",
  async (path) => {
    const answer = await ask(path, { ASSETS });
    expect(await answer.text()).toBe(HTML);
    const policy = answer.headers.get("Content-Security-Policy")!;
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(policy).not.toMatch(/unsafe|\*|data:|http/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(answer.headers.get("Cache-Control")).toBe("no-cache");
    expect(answer.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect((await ask(path, { ASSETS }, { headers: { "If-None-Match": '"tag"' } })).status).toBe(304);
  },
);

it("a file of the page that is not there does not answer the page, and the answer is not kept", async () => {
  const missing = await ask("/app/static/main-old.js", { ASSETS });
  expect(missing.headers.get("Cache-Control")).toBe("no-store");
  await problem(missing, 404, "not_found");
  await problem(await ask("/app/tasks", { ASSETS }, { method: "POST" }), 405, "method_not_allowed");
});

it.each(["/tasks/7", "/assets/main.js", "/index.html", "/application", "/x", "/app%2f"])(
  "%s answers no HTML",
  async (path) => {
    const answer = await ask(path, { ASSETS });
    expect(answer.headers.get("Content-Type")).toBe("application/problem+json");
  },
);

it("without a built page `/` says how to build it", async () => {
  for (const assets of [undefined, { fetch: async () => new Response(null, { status: 404 }) } as unknown as Fetcher]) {
    const answer = await ask("/", { ASSETS: assets });
    expect([answer.status, answer.headers.get("Content-Type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(await answer.text()).toContain("npm run build:page");
  }
});
