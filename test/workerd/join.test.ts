/** `/join`, `/join.sh` and `/join.ps1`: what they hold, and what they refuse. */
import { expect, it } from "vitest";
import { ask, HOST, problem } from "./http-client.ts";

const RECORD = { version: "1.2.3", sha256: "ab".repeat(32), bytes: 900_000 };

const ASSETS = {
  fetch: async (input: RequestInfo | URL) => {
    const { pathname } = new URL(new Request(input).url);
    return pathname === "/tablao.json" ? Response.json(RECORD) : new Response(null, { status: 404 });
  },
} as unknown as Fetcher;

it.each([
  ["/join", "text/html; charset=utf-8"],
  ["/join.sh", "text/plain; charset=utf-8"],
  ["/join.ps1", "text/plain; charset=utf-8"],
])("%s answers anybody, with the manager's own address and the hash of its program", async (path, type) => {
  const answer = await ask(path, { ASSETS });
  expect([answer.status, answer.headers.get("Content-Type")]).toEqual([200, type]);
  expect(answer.headers.get("Cache-Control")).toBe("no-store");
  const text = await answer.text();
  for (const part of [HOST, RECORD.sha256, RECORD.version, "https://nodejs.org/dist"]) expect(text).toContain(part);
});

it.each(["/join", "/join.sh", "/join.ps1"])("%s says that there is no program where none was built", async (path) => {
  for (const assets of [undefined, { fetch: async () => new Response(null, { status: 404 }) } as unknown as Fetcher])
    expect((await problem(await ask(path, { ASSETS: assets }), 404, "not_found")).detail).toContain(
      "npm run build:page",
    );
});

it.each([
  "https://nodejs.org/dist/",
  "ftp://a.example/x",
  "https://a.example/x'; rm -rf ~; '",
  "https://a.example?x",
  7,
])("the setting node_mirror is no %s", async (value) => {
  const { checkSetting } = await import("../../src/protocol/setting-rules.ts");
  const check = (): never => {
    throw new Error("no preset");
  };
  expect(checkSetting("node_mirror", value, check)).toEqual([
    { field: "node_mirror", message: expect.stringContaining("must be an address such as https://nodejs.org/dist") },
  ]);
  expect(checkSetting("node_mirror", "http://10.0.0.7:8080/mirror/node", check)).toEqual([]);
});
