import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { jsonValueSchema } from "../../protocol/bounded.ts";
import { MAX_BODY_BYTES } from "../../protocol/constants.ts";
import { taskSubmitSchema } from "../../protocol/task.ts";
import { workerPatchSchema, workerRegisterSchema } from "../../protocol/worker.ts";
import { MAX_BODY_MS } from "./body.ts";
import { readBody, readQuery } from "./input.ts";

const FORM = "application/x-www-form-urlencoded";

function post(
  body: string | Uint8Array<ArrayBuffer> | ReadableStream | null,
  type: string | null = "application/json",
  headers: Record<string, string> = {},
): Request {
  const init = { method: "POST", body, headers, duplex: "half" };
  const request = new Request("http://manager/x", init as RequestInit);
  request.headers.delete("Content-Type");
  if (type !== null) request.headers.set("Content-Type", type);
  return request;
}

async function refusal(request: Request, schema: z.ZodType = z.strictObject({ a: z.int() })) {
  const result = await readBody(request, schema);
  return result.ok ? "accepted" : result.error;
}

describe("readBody", () => {
  it.each([
    "application/json",
    "application/json; charset=UTF-8",
    'application/json;charset="utf-8"',
    "application/merge-patch+json",
    "APPLICATION/JSON",
  ])("reads JSON sent as %s", async (type) => {
    expect(await readBody(post('{"a":1}', type), z.strictObject({ a: z.int() }))).toEqual({
      ok: true,
      value: { a: 1 },
    });
  });

  it.each([
    ["multipart/form-data; boundary=x", "unsupported_media_type"],
    ["text/plain", "unsupported_media_type"],
    ["application/jsonx", "unsupported_media_type"],
    ["application/json; charset=iso-8859-1", "unsupported_media_type"],
    [null, "unsupported_media_type"],
  ])("refuses content type %s", async (type, code) => {
    expect(await refusal(post('{"a":1}', type))).toMatchObject({ code });
  });

  it("refuses a compressed body, which it would misread", async () => {
    expect(await refusal(post('{"a":1}', "application/json", { "Content-Encoding": "gzip" }))).toMatchObject({
      code: "unsupported_media_type",
    });
  });

  it.each(["", "  \n"])("says what to send when the body is %j", async (body) => {
    expect(await refusal(post(body))).toMatchObject({
      code: "invalid_request",
      detail: expect.stringContaining("application/json"),
    });
    expect(await refusal(post(null))).toMatchObject({ code: "invalid_request" });
  });

  it.each(['{"a":', "nul", "{'a':1}"])("P10: %j is a 400, not a 500", async (body) => {
    expect(await refusal(post(body))).toMatchObject({ code: "invalid_request" });
  });

  it("P10: refuses a value that is nested deeper than 64 levels where any value may stand, in JSON and in a form", async () => {
    const deep = `${"[".repeat(500_000)}${"]".repeat(500_000)}`;
    const schema = z.strictObject({ a: jsonValueSchema });
    const tooDeep = { code: "invalid", errors: [{ field: "a", message: "must not be nested deeper than 64 levels" }] };
    const levels = (count: number) => post(`{"a":${"[".repeat(count)}${"]".repeat(count)}}`);
    expect(await refusal(post(`{"a":${deep}}`), schema)).toMatchObject(tooDeep);
    expect(await refusal(post(`{"b":${deep}}`), schema)).toMatchObject({ code: "invalid" });
    expect(await refusal(post(JSON.stringify({ a: '\\"[{'.repeat(1_000) })), schema)).toBe("accepted");
    expect(await refusal(levels(64), schema)).toBe("accepted");
    expect(await refusal(levels(65), schema)).toMatchObject(tooDeep);
  });

  it("names a record's key that breaks its rule", async () => {
    const schema = z.record(z.string().regex(/^[a-z]+$/, "must be lower-case"), z.json());
    expect(await refusal(post('{"BAD":1}'), schema)).toMatchObject({
      errors: [{ field: "BAD", message: "must be lower-case" }],
    });
  });

  it("P10: bytes that are not UTF-8 are a 400", async () => {
    expect(await refusal(post(new Uint8Array([0x22, 0xff, 0xfe, 0x22])))).toMatchObject({ code: "invalid_request" });
  });

  it("stops reading at the limit, whatever the length that was claimed", async () => {
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(256 * 1024).fill(32));
      },
    });
    expect(await refusal(post(endless))).toMatchObject({ code: "too_large" });
    expect(pulled).toBeLessThan(MAX_BODY_BYTES / (256 * 1024) + 4);
  });

  it("P10: ends a body that comes slowly, and tells its sender to stop", async () => {
    vi.useFakeTimers();
    try {
      let canceled = false;
      const trickle = new ReadableStream({
        pull: async (controller) => {
          await new Promise((resolve) => setTimeout(resolve, 5_000));
          if (!canceled) controller.enqueue(new TextEncoder().encode(" "));
        },
        cancel: () => void (canceled = true),
      });
      const answer = refusal(post(trickle));
      await vi.advanceTimersByTimeAsync(MAX_BODY_MS - 1);
      expect(canceled).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(await answer).toMatchObject({ code: "invalid_request", detail: "The body took longer than 60 s." });
      expect(canceled).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  describe("of a few bytes, by its length", () => {
    const small = (body: string | Uint8Array<ArrayBuffer> | ReadableStream, more: Record<string, string> = {}) =>
      post(body, "application/json", { "Content-Length": "7", ...more });

    it("is read at once, with or without a byte order mark", async () => {
      expect(await refusal(small('{"a":1}'))).toBe("accepted");
      expect(await refusal(small('\uFEFF{"a":1}'))).toBe("accepted");
      expect(await refusal(small(""))).toMatchObject({ detail: expect.stringContaining("The body is empty.") });
    });

    it("P10: bytes that are not UTF-8 are a 400, and do not affect the next body", async () => {
      for (const bytes of [
        [0x22, 0xff, 0x22],
        [0x22, 0xe2, 0x82],
      ]) {
        expect(await refusal(small(new Uint8Array(bytes)))).toMatchObject({
          code: "invalid_request",
          detail: "The body is not UTF-8, or broke off.",
        });
        expect(await refusal(small('{"a":1}'))).toBe("accepted");
      }
    });

    it("P10: that breaks off is a 400", async () => {
      const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) });
      expect(await refusal(small(broken))).toMatchObject({ code: "invalid_request", detail: "The body broke off." });
    });

    it("P10: that comes slowly is ended", async () => {
      vi.useFakeTimers();
      try {
        const never = new ReadableStream({ pull: () => new Promise(() => undefined) });
        const answer = refusal(small(never));
        const meanwhile = vi.fn();
        setTimeout(meanwhile, MAX_BODY_MS - 1);
        await Promise.race([answer, vi.advanceTimersByTimeAsync(MAX_BODY_MS - 1)]);
        expect(meanwhile).toHaveBeenCalled();
        await vi.advanceTimersByTimeAsync(1);
        expect(await answer).toMatchObject({ code: "invalid_request", detail: "The body took longer than 60 s." });
      } finally {
        vi.useRealTimers();
      }
    });

    it("P10: that comes in chunks is stopped at the limit, too", async () => {
      const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(256 * 1024)) });
      expect(await refusal(small(endless, { "Transfer-Encoding": "chunked" }))).toMatchObject({ code: "too_large" });
    });
  });

  it("takes a body of exactly the limit and refuses one byte more", async () => {
    const body = (bytes: number) => `"${"x".repeat(bytes - 2)}"`;
    expect(await refusal(post(body(MAX_BODY_BYTES)), z.string())).toBe("accepted");
    expect(await refusal(post(body(MAX_BODY_BYTES + 1)), z.string())).toMatchObject({ code: "too_large" });
  });

  it("names unknown, missing and nested fields by their dotted path", async () => {
    const body = { priority: "high", depends_on: [1, { task: 0 }], colour: 1, settings: {} };
    expect(await refusal(post(JSON.stringify(body)), taskSubmitSchema)).toMatchObject({
      code: "invalid",
      errors: expect.arrayContaining([
        { field: "type", message: "is required" },
        { field: "priority", message: expect.stringContaining("number") },
        { field: "depends_on.1.task", message: expect.any(String) },
        { field: "colour", message: "is not a field of this request" },
      ]),
    });
  });

  it.each(['{"a":1,"__proto__":{"admin":true}}', '{"a":1,"constructor":1}'])(
    "refuses %s like any unknown field",
    async (body) => {
      expect(await refusal(post(body))).toMatchObject({ code: "invalid" });
      expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
    },
  );
});

describe("forms", () => {
  const form = (text: string) => post(text, FORM);

  it("keeps text where the field is text, and makes numbers where it is a number", async () => {
    expect(await readBody(form("hostname=123&system=true&port=5000"), workerRegisterSchema)).toEqual({
      ok: true,
      value: { hostname: "123", system: "true", port: 5000 },
    });
    expect(await readBody(form("status=available&log=42&time_cost=1.5&leaving=true"), workerPatchSchema)).toEqual({
      ok: true,
      value: { status: "available", log: "42", time_cost: 1.5, leaving: true },
    });
  });

  it("reads what the clients of 2015 sent: settings as a JSON string", async () => {
    const settings = encodeURIComponent('{"text":"x","frames":"1-3"}');
    const result = await readBody(
      form(`priority=10&settings=${settings}&task_id=7&type=print_string&parser=plain&depends_on=[3]`),
      taskSubmitSchema,
    );
    expect(result).toMatchObject({
      ok: true,
      value: {
        priority: 10,
        task_id: 7,
        settings: { text: "x", frames: "1-3" },
        depends_on: [{ task: 3, frames: "all" }],
      },
    });
  });

  it.each([
    ["priority=", "priority"],
    ["priority=abc", "priority"],
    ["priority=1e999", "priority"],
    ["priority=1.5", "priority"],
    ["priority=99999999", "priority"],
    ["__proto__=1", "__proto__"],
  ])("names the field in %s", async (text, field) => {
    expect(await refusal(form(`type=x&${text}`), taskSubmitSchema)).toMatchObject({
      code: "invalid",
      errors: [{ field }],
    });
  });

  it("names the bound, not the type, when a number is out of bounds", async () => {
    expect(await refusal(form("type=x&priority=99999999"), taskSubmitSchema)).toMatchObject({
      detail: expect.stringContaining("1000000"),
    });
  });

  it("refuses a field given twice, and JSON under the form's name", async () => {
    expect(await refusal(form("type=a&type=b"), taskSubmitSchema)).toMatchObject({
      code: "invalid_request",
      detail: expect.stringContaining("type"),
    });
    expect(await refusal(form('{"type":"a"}'), taskSubmitSchema)).toMatchObject({
      code: "invalid_request",
      detail: expect.stringContaining("application/json"),
    });
  });
});

describe("readQuery", () => {
  const schema = z.strictObject({ limit: z.int().min(1).max(500).default(50), owner: z.string().optional() });
  const read = (search: string) => readQuery(new URL(`http://manager/x${search}`), schema);

  it("fills in defaults and reads integers", () => {
    expect(read("")).toEqual({ ok: true, value: { limit: 50 } });
    expect(read("?limit=7&owner=9")).toEqual({ ok: true, value: { limit: 7, owner: "9" } });
  });

  it.each([
    ["?limit=", "limit"],
    ["?limit=0", "limit"],
    ["?limit=1.5", "limit"],
    ["?limit=0x10", "limit"],
    ["?limit=+5", "limit"],
    ["?limit=501", "limit"],
    ["?limit=1&limit=2", "limit"],
    ["?page=2", "page"],
  ])("names the parameter in %s", (search, field) => {
    expect(read(search)).toMatchObject({ ok: false, error: { code: "invalid", errors: [{ field }] } });
  });
});
