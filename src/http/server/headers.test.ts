import { describe, expect, it } from "vitest";
import { headersOf, withHeaders } from "./headers.ts";

const get = new Request("http://manager/x");
const EVERYWHERE = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" };

describe("withHeaders", () => {
  it("completes an answer, and keeps its caching headers", async () => {
    const plain = withHeaders(get, new Response("text"));
    expect(Object.fromEntries(plain.headers)).toMatchObject({ ...EVERYWHERE, "cache-control": "no-store" });
    expect(await plain.text()).toBe("text");
    const kept = withHeaders(get, new Response("text", { headers: { "Cache-Control": "no-cache" } }));
    expect(Object.fromEntries(kept.headers)).toMatchObject({ ...EVERYWHERE, "cache-control": "no-cache" });
  });

  it("overrides other headers for sniffing and referrers", () => {
    const headers = { "X-Content-Type-Options": "sniff", "Referrer-Policy": "unsafe-url" };
    expect(Object.fromEntries(withHeaders(get, new Response(null, { headers })).headers)).toMatchObject(EVERYWHERE);
  });

  it("completes an answer whose headers cannot be changed", () => {
    const foreign = withHeaders(get, Response.redirect("http://elsewhere/", 307));
    expect(foreign.status).toBe(307);
    expect(Object.fromEntries(foreign.headers)).toMatchObject({ ...EVERYWHERE, location: "http://elsewhere/" });
  });

  it("says the time, by which clients count ages", () => {
    const date = Date.parse(withHeaders(get, new Response("text")).headers.get("Date") ?? "");
    expect(Math.abs(date - Date.now())).toBeLessThan(120_000);
  });

  it("removes the body from the answer to HEAD, not its headers", async () => {
    const answer = new Response("text", { status: 201, headers: { "Content-Length": "4" } });
    const head = withHeaders(new Request(get, { method: "HEAD" }), answer);
    expect([head.status, head.headers.get("Content-Length"), await head.text()]).toEqual([201, "4", ""]);
    expect(Object.fromEntries(head.headers)).toMatchObject(EVERYWHERE);
  });
});

it("headers made at once are complete", () => {
  const made = new Response("{}", { headers: headersOf("application/json") });
  const before = [...made.headers];
  expect([...withHeaders(get, made).headers].filter(([name]) => name !== "date")).toEqual(before);
  expect(Object.fromEntries(before)).toMatchObject({ ...EVERYWHERE, "content-type": "application/json" });
});
