/**
 * What the platform logs of a request: its address, and its headers but those whose names say that
 * they are secret (P9). So a credential travels in such a header, or in a body, and never in an
 * address.
 */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { loadRoutes } from "../../scripts/api-table.ts";
import { GRANT_HEADER, OLD_GRANT_HEADER } from "../../src/protocol/file.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(path.join(ROOT, file), "utf8");
const SOURCES = globSync("src/**/*.{ts,tsx}", { cwd: ROOT, exclude: ["**/*.test.ts"] });

/**
 * The rule of the runtime: `shouldRedact` in src/workerd/api/trace.c++ of cloudflare/workerd. Names
 * of headers are in lower case there.
 */
function isRedacted(name: string): boolean {
  return name === "cookie" || name === "set-cookie" || /auth|jwt|key|secret|token/.test(name);
}

/** The headers that hold a credential. */
const CREDENTIALS = new Set([
  "authorization",
  "cookie",
  "proxy-authorization",
  "set-cookie",
  "tablao-grant-token",
  "tablao-local-control-secret",
  "tablao-local-gate-secret",
  "tablao-secret",
]);

/** All other headers of the product, and what is in them. */
const PLAIN: Record<string, string> = {
  "tablao-assets": "hashes and sizes of files",
  "tablao-backup": "the id of a backup; an admin's token must come with it",
  "tablao-blender": "versions of a program",
  "tablao-fetches-blender": "a platform",
  "tablao-fetchable-blender": "versions of a program",
  "tablao-crc32": "a checksum of a file",
  "tablao-delivery": "a number",
  "tablao-event": "a word",
  "tablao-piece-list": "the hash of a list of pieces, which opens nothing without a grant",
  "tablao-pieces": "the hash of a list of parts",
  "tablao-instance": "names an agent's process, and gives no access",
  "tablao-sha256": "the hash of a body",
  "tablao-signature": "a MAC of a body and its time, sent to a receiver and never received",
  "tablao-viewer": "from the Worker to an object: ids, no secret",
  "tablao-worker-address": "from the Worker to an object: the caller's address",
  "tablao-worker-id": "from the Worker to an object: an id",
  accept: "media types",
  "accept-encoding": "encodings",
  "accept-ranges": "a unit",
  "cache-control": "caching",
  "cf-connecting-ip": "the caller's address, which the platform itself sets",
  "content-disposition": "a file's name",
  "content-encoding": "an encoding",
  "content-length": "a number",
  "content-range": "a range",
  "content-security-policy": "a policy",
  "content-type": "a media type",
  "cross-origin-opener-policy": "a policy",
  "cross-origin-resource-policy": "a policy",
  date: "an instant",
  etag: "a hash",
  "idempotency-key": "a submitter's own text; it gives no access",
  "if-none-match": "hashes",
  "if-range": "a hash",
  location: "an address without a credential",
  origin: "a site",
  prefer: "a preference",
  "preference-applied": "a preference",
  range: "a range",
  "referrer-policy": "a policy",
  "retry-after": "seconds",
  "transfer-encoding": "an encoding",
  upgrade: "a protocol",
  "user-agent": "a program and its version",
  "www-authenticate": "a scheme",
  "x-content-type-options": "a policy",
};

/** Texts in the form of a header's name that are none. */
const NO_HEADERS = new Set([
  "stop-now",
  "tablao-blender-",
  "tablao-demo-",
  "tablao-download",
  "tablao-history",
  "tablao-reloaded-for",
  "tablao-runtime-",
  "tablao-signed-in",
  "tablao-theme",
  "tablao-tool",
  "tablao-worker",
  "__host-tablao",
  "aria-describedby",
  "aria-disabled",
  "aria-invalid",
]);

/** Where the source names a header: a call, a name of ours, a key of an object, a pair. */
const NAMED = [
  /headers\??\.(?:get|has|set|append)\(\s*["'`]([\w-]+)["'`]/gi,
  /["'`](tablao-[\w-]+)["'`]/gi,
  /["']((?:\w+-)+\w+)["']\]?\s*:/g,
  /\[["']((?:[A-Z][A-Za-z]*-)+[A-Z][A-Za-z]*)["'],/g,
  /\bheaders(?:: |\[["'])\{? ?["']?(authorization|accept|cookie)\b/gi,
];

function headersInSource(): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of SOURCES)
    for (const pattern of NAMED)
      for (const [, name] of read(file).matchAll(pattern)) found.set(name!.toLowerCase(), file);
  for (const name of NO_HEADERS) found.delete(name);
  return found;
}

describe("P9: what the platform logs of a request", () => {
  it("every header that the source names is known here, as a credential or with what is in it", async () => {
    const found = headersInSource();
    for (const route of await loadRoutes())
      for (const { name } of route.headers ?? []) found.set(name.toLowerCase(), `${route.method} ${route.path}`);
    // The one name of a credential that is logged: of agents up to version 0.1 only.
    found.delete(OLD_GRANT_HEADER.toLowerCase());
    const unknown = [...found].filter(([name]) => !CREDENTIALS.has(name) && !(name in PLAIN));
    expect(unknown).toEqual([]);
    for (const name of CREDENTIALS) expect(found.has(name), name).toBe(true);
  });

  it("every header with a credential has a name that the runtime redacts", () => {
    expect([...CREDENTIALS].filter((name) => !isRedacted(name))).toEqual([]);
    expect([GRANT_HEADER, OLD_GRANT_HEADER].map((name) => isRedacted(name.toLowerCase()))).toEqual([true, false]);
  });

  it("no route takes a credential in its address, sockets included", async () => {
    const secret = /auth|jwt|key|secret|token|grant|receipt|cookie|password|signature/i;
    const named = (await loadRoutes()).flatMap(({ method, path: at, query }) => {
      const inQuery = query && z.toJSONSchema(query, { io: "input", unrepresentable: "any" }).properties;
      const inPath = [...at.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
      return [...inPath, ...Object.keys(inQuery ?? {})].map((name) => ({ at: `${method} ${at}`, name }));
    });
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter(({ name }) => secret.test(name))).toEqual([]);
  });

  it("an address that the product makes has a credential in its fragment only, which is sent to nobody", () => {
    const inQuery = /[?&](?:access_)?(?:token|secret|grant|key|auth|jwt|password|session)=/i;
    expect(SOURCES.filter((file) => inQuery.test(read(file)))).toEqual([]);
  });

  it("a line that the manager logs has no header and no address of a request", () => {
    const lines = SOURCES.filter(
      (file) => !/^src\/(agent|cli|client|launcher|demo-renderer|dashboard)\//.test(file),
    ).flatMap((file) => [...read(file).matchAll(/console\.\w+\([^;]*;/g)].map(([line]) => ({ file, line })));
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.filter(({ line }) => /headers|\burl\b|secret|grant|authorization|cookie/i.test(line))).toEqual([]);
  });

  it("the deployment keeps the manager's lines and not the platform's line for each request", () => {
    const [, logs = ""] = /^\[observability\.logs\]\n((?:[^[\n].*\n?)*)/m.exec(read("wrangler.toml")) ?? [];
    expect(logs.trim().split("\n")).toEqual(["enabled = true", "invocation_logs = false", "head_sampling_rate = 1"]);
  });
});
