/**
 * R2 or D1 fails while a request needs it. The failure may pass, so the answer is 503 with
 * Retry-After, which clients take as "try again", and never 500. Where the head of the answer is
 * already sent, the connection breaks off.
 */
import { createExecutionContext } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import worker from "../../src/index.ts";
import type { Env } from "../../src/rpc/env.ts";
import { PART_BYTES } from "../../src/protocol/file.ts";
import { ADMIN_TOKEN, HOST, problem } from "./http-client.ts";

const env = bindings as unknown as Env;
const LOST = "Network connection lost.";
const SHA = "0a".repeat(32);
const LARGE = "0b".repeat(32);
const NAMES = ["head", "get", "put", "list", "delete"];

type Method = (...args: unknown[]) => unknown;

function replacing<T extends object>(target: T, replace: (name: string, method: Method) => Method | undefined): T {
  return new Proxy(target, {
    get(object, name) {
      const member: unknown = Reflect.get(object, name, object);
      if (typeof member !== "function" || typeof name !== "string") return member;
      const method = (member as Method).bind(object);
      return replace(name, method) ?? method;
    },
  });
}

const lost = async (): Promise<never> => {
  throw new Error(LOST);
};

/** A bucket whose calls fail, those of these methods. */
const bucketWithout = (names: readonly string[]): R2Bucket =>
  replacing(env.FILES, (name) => (names.includes(name) ? lost : undefined));

/** A bucket whose objects come, and whose bytes do not, or only the first half of them. */
function bucketOfCutStreams(): R2Bucket {
  const cut = (stream: ReadableStream<Uint8Array>): ReadableStream =>
    stream.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          controller.enqueue(chunk.subarray(0, chunk.length >> 1));
        },
        flush(controller) {
          controller.error(new Error(LOST));
        },
      }),
    );
  return replacing(env.FILES, (name, method) =>
    name !== "get"
      ? undefined
      : async (...args) => {
          const object = (await method(...args)) as Awaited<ReturnType<R2Bucket["get"]>>;
          return (
            object &&
            new Proxy(object, {
              get(target, name) {
                if (name === "body") return cut(target.body);
                if (name === "text") return lost;
                const member: unknown = Reflect.get(target, name, target);
                return typeof member === "function" ? (member as Method).bind(target) : member;
              },
            })
          );
        },
  );
}

/** A database that cannot be reached. */
function lostDatabase(): D1Database {
  const statement = (sql: string): D1PreparedStatement =>
    replacing(env.HISTORY.prepare(sql), (name) =>
      name === "bind" ? () => statement(sql) : ["all", "first", "run", "raw"].includes(name) ? lost : undefined,
    );
  return replacing(env.HISTORY, (name) =>
    name === "prepare" ? (sql) => statement(String(sql)) : name === "batch" ? lost : undefined,
  );
}

/** A task with one committed frame, and the preview of it. */
const file = { frame: 1, task: 20, name: "f_0001.png", attempt: 1, size: 4, sha256: SHA, crc32: "00c0ffee" };
const task = {
  files: async () => ({ ok: true, value: { files: [{ ...file, committed_ms: 1 }], cursor: null } }),
  file: async () => ({ ok: true, value: file }),
  preview: async () => ({ ok: true, value: file }),
};
const TASK = { getByName: () => task } as unknown as DurableObjectNamespace;
const restoring = { isRestoring: async () => ({ ok: true, value: null }) };
const REGISTRY = { getByName: () => restoring } as unknown as DurableObjectNamespace;

/** Bytes that somebody else wrote: the test's fixture writes to `env.FILES` itself. */
async function store(key: string, text: string, metadata: Record<string, string>): Promise<void> {
  await env.FILES.put(key, text, { customMetadata: metadata });
}

interface Ask {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

async function ask(path: string, other: Partial<Env>, { method = "GET", headers, body }: Ask = {}): Promise<Response> {
  const request = new Request(HOST + path, {
    method,
    headers: {
      Authorization: `Bearer ${ADMIN_TOKEN}`,
      ...(body !== undefined && { "Content-Length": String(body.length) }),
      ...headers,
    },
    ...(body !== undefined && { body }),
  });
  return await worker.fetch(request, { ...env, ...other }, createExecutionContext());
}

const json = { "Content-Type": "application/json" };
const backup = { "Tablao-Backup": "b" };
const bytes = "four";
/** The SHA-256 of `bytes`. */
const FOUR = "04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00";

/** Requests that need R2 before they can be answered. */
const R2_REQUESTS: [string, Ask?][] = [
  [`/assets/${SHA}`],
  [`/assets/${SHA}`, { method: "HEAD" }],
  [`/assets/${SHA}`, { headers: { Range: "bytes=1-2" } }],
  [`/assets/${SHA}`, { headers: { "If-None-Match": `"${SHA}"` } }],
  [`/assets/${LARGE}`],
  [`/assets/${LARGE}`, { headers: { Range: "bytes=1-2" } }],
  [`/assets/${SHA}/parts`],
  [`/assets/${FOUR}`, { method: "PUT", body: bytes }],
  [`/assets/${FOUR}/parts/1`, { method: "PUT", body: bytes, headers: { "Tablao-SHA256": FOUR } }],
  [
    `/assets/${SHA}/assemble`,
    { method: "POST", headers: json, body: JSON.stringify({ size: PART_BYTES + 1, sha256: SHA }) },
  ],
  ["/assets/missing", { method: "POST", headers: json, body: JSON.stringify({ sha256: [FOUR] }) }],
  ["/tasks/20/frames/1/file"],
  ["/tasks/20/frames/1/preview"],
  ["/tasks/20/frames/1/file", { headers: { Range: "bytes=1-2" } }],
  ["/backup/rows?of=assets"],
  ["/backup/outputs/20/1/f_0001.png"],
  ["/backup/outputs/20/1/f_0001.png", { headers: { Range: "bytes=1-2" } }],
  ["/restore/outputs/20/1/new.png", { method: "PUT", body: bytes, headers: { "Tablao-SHA256": FOUR, ...backup } }],
  ["/restore/outputs/20/1/new.png/parts", { headers: backup }],
  [
    "/restore/outputs/20/1/new.png/assemble",
    { method: "POST", headers: { ...json, ...backup }, body: JSON.stringify({ size: PART_BYTES + 1, sha256: SHA }) },
  ],
];

/** Requests that need D1 before they can be answered. */
const D1_REQUESTS: [string, Ask?][] = [
  ["/history"],
  ["/history/days"],
  ["/history/workers"],
  ["/history/days?format=csv"],
  ["/backup/rows?of=history"],
  ["/backup/rows?of=totals"],
  ["/restore/rows?of=history", { method: "POST", headers: backup, body: historyLine() }],
  ["/restore/rows?of=totals", { method: "POST", headers: backup, body: '["history_kept",{"from_ms":1}]' }],
];

function historyLine(): string {
  const none = { worker_id: null, attempt: null, frames: null, frame_count: 0, seconds: null, detail: null };
  const submitted = { task_id: 1, seq: 1, at_ms: 1, kind: "submitted", type: "demo_render" };
  const events = JSON.stringify([{ ...submitted, ...none }]);
  const row = { task_id: 1, seq: 1, through_seq: 1, from_ms: 1, worker_id: null, type: "demo_render" };
  const counts = { frames_done: 0, frames_error: 0, frames_lost: 0, seconds: 0, events };
  return JSON.stringify(["history", { ...row, ...counts }]);
}

beforeEach(async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  await store(`assets/${SHA}`, bytes, { sha256: SHA });
  await store("tasks/20/1/f_0001.png", bytes, { sha256: SHA });
  const size = String(PART_BYTES + 4);
  await store(`assets/${LARGE}`, `${SHA}\n${FOUR}`, { sha256: LARGE, size, upload: "u" });
  await store(`parts/assets/${LARGE}/u/0001-${SHA}`, bytes, {});
});

afterEach(() => {
  vi.restoreAllMocks();
});

const named = (requests: [string, Ask?][]): [string, string, Ask | undefined][] =>
  requests.map(([path, init]) => [
    `${init?.method ?? "GET"} ${path}${init?.headers?.["Range"] ? " of a range" : ""}${init?.headers?.["If-None-Match"] ? " again" : ""}`,
    path,
    init,
  ]);

async function expectTryAgain(response: Response, method = "GET"): Promise<void> {
  expect(response.headers.get("Retry-After")).toBe("2");
  if (method === "HEAD") expect(response.status).toBe(503);
  else await problem(response, 503, "overloaded");
}

describe("P13: while R2 cannot be reached, the answer is 503 and when to try again", () => {
  test.each(named(R2_REQUESTS))("%s", async (_, path, init) => {
    const other = { FILES: bucketWithout(NAMES), TASK, REGISTRY };
    await expectTryAgain(await ask(path, other, init), init?.method);
  });

  test.each(["get", "head"])("where only %s fails, too", async (name) => {
    const other = { FILES: bucketWithout([name]), TASK, REGISTRY };
    const statuses: number[] = [];
    for (const [path, init] of R2_REQUESTS) statuses.push((await ask(path, other, init)).status);
    expect(statuses).toContain(503);
    expect(statuses).not.toContain(500);
  });
});

describe("P13: while D1 cannot be reached, the answer is 503 and when to try again", () => {
  test.each(named(D1_REQUESTS))("%s", async (_, path, init) => {
    await expectTryAgain(await ask(path, { HISTORY: lostDatabase(), TASK, REGISTRY }, init));
  });
});

test("P13: while the list of the parts of a large file cannot be read, the answer is 503", async () => {
  const other = { FILES: bucketOfCutStreams(), TASK };
  await expectTryAgain(await ask(`/assets/${LARGE}`, other));
  await expectTryAgain(await ask(`/assets/${LARGE}`, other, { headers: { Range: "bytes=1-2" } }));
});

test("P3: an answer whose stream breaks off in the middle fails, and does not end short", async () => {
  const other = { FILES: bucketOfCutStreams(), TASK };
  for (const path of [
    `/assets/${SHA}`,
    "/tasks/20/frames/1/file",
    "/backup/outputs/20/1/f_0001.png",
    "/tasks/20/zip",
  ]) {
    const response = await ask(path, other);
    expect([path, response.status]).toEqual([path, 200]);
    expect(Number(response.headers.get("Content-Length"))).toBeGreaterThanOrEqual(4);
    await expect(response.arrayBuffer(), path).rejects.toThrow();
  }
  const csv = await ask("/history?format=csv", { HISTORY: lostDatabase() });
  expect(csv.status).toBe(200);
  await expect(csv.text()).rejects.toThrow();
});

test("a part that breaks off while it becomes a file is no fault of the client: 503, and the parts stay", async () => {
  const sha256 = "9caa1a017da4f2a1b836d0b4826549f651f3318bca4569af1d12549a92a3e0b0";
  const sent = { method: "PUT", body: "five5", headers: { "Tablao-SHA256": sha256 } };
  expect((await ask(`/assets/${sha256}/parts/1`, {}, sent)).status).toBe(204);
  const whole = { method: "POST", headers: json, body: JSON.stringify({ size: 5, sha256 }) };
  await expectTryAgain(await ask(`/assets/${sha256}/assemble`, { FILES: bucketOfCutStreams() }, whole));
  expect((await ask(`/assets/${sha256}/assemble`, {}, whole)).status).toBe(201);
});

test("P10: a statement that is wrong, and too many calls, are faults of the manager: 500", async () => {
  for (const text of [
    "D1_ERROR: no such column: x: SQLITE_ERROR",
    "Too many API requests by single Worker invocation.",
  ]) {
    const HISTORY = replacing(env.HISTORY, (name) =>
      name === "batch" ? () => Promise.reject(new Error(text)) : undefined,
    );
    await problem(await ask("/history/days", { HISTORY }), 500, "internal");
  }
});
