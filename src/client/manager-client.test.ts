import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { Stopwatch } from "../../test/support/real-time.ts";
import { FakeManager, problem } from "../../test/support/fake-manager.ts";
import { MAX_ANSWER_BYTES, parseRetryAfter } from "./manager-answer.ts";
import { ManagerClient, ManagerError } from "./manager-client.ts";

const SECRET = "tablao_worker_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const thing = z.object({ n: z.int() });
let manager: FakeManager;
let client: ManagerClient;

beforeEach(async () => {
  manager = await FakeManager.start();
  client = new ManagerClient({ url: `${manager.url}/`, secret: SECRET });
});
afterEach(() => manager.stop());

async function errorOf(call: Promise<unknown>): Promise<ManagerError> {
  const error: unknown = await call.then(() => undefined).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ManagerError);
  return error as ManagerError;
}

describe("access tokens", () => {
  test("one exchange serves many calls, and calls that start together", async () => {
    manager.on("GET", /^\/thing$/, () => ({ status: 200, json: { n: 1 } }));
    await Promise.all([client.call(thing, "GET", "/thing"), client.call(thing, "GET", "/thing")]);
    await client.call(thing, "GET", "/thing");
    expect(manager.to(/^\/auth\/access$/).map((call) => call.headers.authorization)).toEqual([`Bearer ${SECRET}`]);
    expect(manager.to(/^\/thing$/).map((call) => call.headers.authorization)).toEqual(Array(3).fill("Bearer access-1"));
  });

  test("a 401 causes one exchange for a fresh token; a second 401 is the answer", async () => {
    manager.on("GET", /^\/thing$/, ({ headers }) =>
      headers.authorization === "Bearer access-2" ? { status: 200, json: { n: 2 } } : problem(401, "unauthorized"),
    );
    expect(await client.call(thing, "GET", "/thing")).toEqual({ n: 2 });
    manager.on("GET", /^\/shut$/, () => problem(401, "unauthorized"));
    expect((await errorOf(client.call(thing, "GET", "/shut"))).status).toBe(401);
    expect(manager.to(/^\/shut$/)).toHaveLength(2);
  });

  test("P9: no error carries a token", async () => {
    const { url } = manager;
    await manager.stop();
    const gone = new ManagerClient({ url, secret: SECRET, retryForMs: 0 });
    const error = await errorOf(gone.call(thing, "GET", "/thing"));
    expect(error).toMatchObject({ status: 0, code: "unreachable" });
    expect(error.message).toContain("ECONNREFUSED");
    expect(JSON.stringify(error) + error.message + error.stack).not.toContain(SECRET);
  });

  test.each(["a\nb", "a b", "a\u00e9", ""])(
    "P9: a secret that no header can hold is refused and not shown: %j",
    (bad) => {
      expect(() => new ManagerClient({ url: manager.url, secret: bad && SECRET + bad })).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining(SECRET) as string }),
      );
    },
  );

  test("P9: what a manager names for a header, and no header can hold, is not shown, and no network fault", async () => {
    manager.on("POST", /^\/auth\/access$/, () => ({
      status: 200,
      json: { access_token: "of the\nmanager", expires_ms: Date.now() + 60_000, expires_in_ms: 60_000 },
    }));
    const options = { url: manager.url, secret: SECRET, retryForMs: 0 };
    const error = await errorOf(new ManagerClient(options).call(thing, "GET", "/thing"));
    expect(error).toMatchObject({ code: "bad_answer", message: expect.not.stringContaining("of the") as string });
    const bare = new ManagerClient({ url: manager.url });
    await expect(bare.call(thing, "GET", "/thing", { headers: { "tablao-grant": "of\nit" } })).rejects.toThrow(
      /^the header tablao-grant cannot be sent: (?!.*of it)/,
    );
  });
});

describe("retries", () => {
  test("a first answer that took longer than the time of the retries is tried once more, and no other", async () => {
    const late = async () => {
      await new Promise((resolve) => setTimeout(resolve, 600));
      return problem(503, "overloaded");
    };
    manager.on("GET", /^\/thing$/, late);
    const started = new ManagerClient({ url: manager.url, secret: SECRET });
    await errorOf(started.call(thing, "GET", "/thing", { retryForMs: 500 }));
    expect(manager.to(/^\/thing$/)).toHaveLength(2);
    await errorOf(started.call(thing, "GET", "/thing", { retryForMs: 0 }));
    expect(manager.to(/^\/thing$/)).toHaveLength(3);
  });

  test("a call that broke off, or met a busy manager, is repeated with the same body", async () => {
    let tries = 0;
    manager.on("POST", /^\/thing$/, () => {
      tries++;
      if (tries === 1) return "hang up";
      return tries === 2 ? problem(503, "overloaded") : { status: 200, json: { n: tries } };
    });
    expect(await client.call(thing, "POST", "/thing", { json: { key: "k" } })).toEqual({ n: 3 });
    expect(manager.to(/^\/thing$/).map((call) => call.json)).toEqual(Array.from({ length: 3 }, () => ({ key: "k" })));
  });

  test("a refusal is not tried again, and names the fields", async () => {
    manager.on("POST", /^\/thing$/, () => problem(422, "invalid", "no", [{ field: "n", message: "must be one" }]));
    expect(await errorOf(client.call(thing, "POST", "/thing", { json: {} }))).toMatchObject({
      status: 422,
      code: "invalid",
      message: "no (n: must be one)",
    });
    expect(manager.to(/^\/thing$/)).toHaveLength(1);
  });

  test("JSON of another shape is not taken, and the call is repeated until the time is up", async () => {
    manager.on("GET", /^\/thing$/, () => ({ status: 200, json: { n: "one" } }));
    const error = await errorOf(client.call(thing, "GET", "/thing", { retryForMs: 800 }));
    expect(error).toMatchObject({ status: 0, code: "bad_answer" });
    expect(error.message).toContain("does not understand");
    expect(manager.to(/^\/thing$/).length).toBeGreaterThan(1);
  });

  test("P10: an answer that has no end, or is small only as long as it is compressed, does not fill the memory", async () => {
    const endless = gzipSync(Buffer.alloc(MAX_ANSWER_BYTES + 1, " "));
    expect(endless.byteLength).toBeLessThan(MAX_ANSWER_BYTES / 100);
    manager.on("GET", /^\/thing$/, () => ({ status: 200, bytes: endless, headers: { "content-encoding": "gzip" } }));
    const error = await errorOf(client.call(thing, "GET", "/thing", { retryForMs: 0 }));
    expect(error.code).toBe("bad_answer");
    expect(error.message).toBe(`${manager.url} answered with more than ${MAX_ANSWER_BYTES} bytes`);
  });

  test("a signal ends the waiting at once, with its own reason", async () => {
    manager.on("GET", /^\/thing$/, () => ({ status: 503, json: {}, headers: { "retry-after": "50" } }));
    const stop = new AbortController();
    const call = client.call(thing, "GET", "/thing", { signal: stop.signal, retryForMs: Infinity });
    setTimeout(() => stop.abort(new Error("enough")), 100);
    const watch = new Stopwatch();
    await expect(call).rejects.toThrow(/enough|aborted/);
    expect(watch.elapsedMs).toBeLessThan(2_000);
  });

  test("a manager that does not answer is given up after the time limit", async () => {
    manager.on("GET", /^\/thing$/, () => new Promise(() => {}));
    const error = await errorOf(client.call(thing, "GET", "/thing", { timeoutMs: 150.5, retryForMs: 0 }));
    expect(error).toMatchObject({ code: "unreachable" });
    expect(error.message).toContain("no answer in time");
  });

  test("Retry-After is seconds or a date, and is limited", () => {
    const now = Date.UTC(2026, 0, 1);
    expect(parseRetryAfter("3", now)).toBe(3_000);
    expect(parseRetryAfter(new Date(now + 5_000).toUTCString(), now)).toBe(5_000);
    expect(parseRetryAfter("86400", now)).toBe(60_000);
    expect(parseRetryAfter("soon", now)).toBeUndefined();
    expect(parseRetryAfter(null, now)).toBeUndefined();
  });
});

test("an invalid address is refused with a sentence", () => {
  for (const url of ["", "farm.example.com", "ftp://farm", "https://user:pw@farm"])
    expect(() => new ManagerClient({ url })).toThrow(TypeError);
});
