/**
 * The seed's document, endpoint by endpoint: method, path, request fields, status, every response
 * field and its type, in JSON and as a form. Where HTTP itself forbids what the document says (a
 * 204 with a body), design.md §5 says what the manager does instead.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { newTask, newWorker, okJson, problem, send, type Sent } from "./http-client.ts";

/** Both ways to send a body; the clients of 2015 sent forms, in which every value is text. */
const WAYS: [string, (fields: Record<string, unknown>) => Sent][] = [
  ["JSON", (fields) => ({ json: fields })],
  [
    "a form",
    (fields) => ({ form: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, String(value)])) }),
  ],
];

const integer = expect.toSatisfy((value: unknown) => Number.isInteger(value), "an integer");
const string = expect.any(String);
const number = expect.any(Number);

function nullOr(kind: "string" | "number" | "integer") {
  return expect.toSatisfy(
    (value: unknown) => value === null || (kind === "integer" ? Number.isInteger(value) : typeof value === kind),
    `null or ${kind}`,
  );
}

function oneOf(...words: string[]) {
  return expect.toSatisfy((value: unknown) => words.includes(value as string), words.join(" or "));
}

/** The response of POST /tasks, as the document lists it. */
const TASK_FIELDS = {
  id: integer,
  worker_id: integer,
  priority: integer,
  frame_start: integer,
  frame_end: integer,
  frame_current: integer,
  status: oneOf("waiting", "queued", "rendering", "paused", "completed", "failed", "canceled"),
  format: string,
};

const TASK_STATUS = oneOf("waiting", "queued", "rendering", "paused", "completed", "failed", "canceled");

/** "Properties of a worker" as GET and POST /workers document them. */
const WORKER_FIELDS = {
  activity: nullOr("string"),
  connection: oneOf("online", "offline"),
  current_task: nullOr("integer"),
  hostname: string,
  id: integer,
  ip_address: string,
  log: nullOr("string"),
  port: integer,
  status: oneOf("enabled", "disabled", "rendering"),
  system: string,
  time_cost: nullOr("number"),
};

describe.each(WAYS)("the seed's tasks, as %s", (way, body) => {
  it("POST /tasks → 202 with the eight documented fields", async () => {
    const fields = {
      priority: 10,
      settings: '{"text":"hello","frames":"5-10"}',
      task_id: way === "JSON" ? 12 : 13,
      type: "print_string",
      parser: "plain",
    };
    const task = await okJson(await send("POST", "/tasks", body(fields)), 202);
    expect(task).toMatchObject({
      id: integer,
      worker_id: 0,
      priority: 10,
      frame_start: 5,
      frame_end: 10,
      frame_current: 5,
      status: "queued",
      format: "",
    });
    // `task_id` is the submitter's own: posting it again answers the same task.
    expect(await okJson(await send("POST", "/tasks", body(fields)), 202)).toMatchObject({ id: task["id"] });
  });

  it("PATCH /tasks/N → 204, partially", async () => {
    const id = await newTask();
    const response = await send("PATCH", `/tasks/${id}`, body({ priority: 77 }));
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({ priority: 77, status: "queued" });
    for (const [verb, status] of [
      ["pause", "paused"],
      ["resume", "queued"],
      ["cancel", "canceled"],
      ["requeue", "queued"],
    ]) {
      expect((await send("PATCH", `/tasks/${id}`, body({ status: verb }))).status).toBe(204);
      expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({
        ...TASK_FIELDS,
        priority: 77,
        status,
      });
    }
  });

  it("PATCH /tasks/N: settings can change before the first lease", async () => {
    const id = await newTask();
    const settings = JSON.stringify({ text: "other", frames: "7-9" });
    expect((await send("PATCH", `/tasks/${id}`, body({ settings }))).status).toBe(204);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({ frame_start: 7, frame_end: 9 });
  });

  it("what the compiler cannot take is a 422 that names the field, and creates no task", async () => {
    const good = { type: "print_string", settings: '{"text":"hello","frames":"1"}', task_id: way === "JSON" ? 21 : 22 };
    for (const [fields, field] of [
      [{ ...good, type: "simple_blender" }, "type"],
      [{ ...good, parser: "simple" }, "parser"],
      [{ ...good, settings: '{"frames":"1"}' }, "settings.text"],
      [{ ...good, settings: "hello" }, "settings"],
      [{ ...good, priority: "high" }, "priority"],
      [{ ...good, task_id: 1.5 }, "task_id"],
    ] as const) {
      const { errors } = await problem(await send("POST", "/tasks", body(fields)), 422, "invalid");
      expect(errors?.[0]?.field).toBe(field);
    }
    // The same `task_id` is still free.
    expect(await okJson(await send("POST", "/tasks", body(good)), 202)).toMatchObject({ task_id: good.task_id });
  });

  it.each(["blender_render", "simple_blender_render", "blender_simple_render"])("type %s is Blender", async (type) => {
    const settings = JSON.stringify({ filepath: "/farm/shot.blend", frame_start: 3, frame_end: 4, format: "PNG" });
    const task = await okJson(await send("POST", "/tasks", body({ type, settings, paused: true })), 202);
    expect(task).toMatchObject({ ...TASK_FIELDS, type: "blender_render", frame_start: 3, frame_end: 4, format: "PNG" });
  });
});

describe("the seed's tasks", () => {
  it("worker_id, status and frame_current are those of the work: newest live lease, last committed frame", async () => {
    const id = await newTask();
    const worker = await newWorker("at-work");
    const asWorker = async (path: string, json: unknown) =>
      await okJson(await send("POST", `/tasks/${id}/leases${path}`, { token: worker.secret, json }), 200);
    const show = async () => await okJson(await send("GET", `/tasks/${id}`), 200);
    const claimed = await asWorker("", { key: "contract-1", platform: "linux" });
    const lease = claimed["lease"] as { lease_id: string; attempt: number };
    const idle = { ...TASK_FIELDS, worker_id: 0, frame_start: 1, frame_end: 3 };
    expect(await show()).toMatchObject({ ...idle, worker_id: worker.id, frame_current: 1, status: "rendering" });
    for (const report of [{ log: "a line", activity: "sample 3 of 4" }, { time_cost: 1.5 }]) {
      expect((await send("PATCH", `/tasks/${id}`, { token: worker.secret, json: report })).status).toBe(204);
    }
    await asWorker(`/${lease.lease_id}/complete`, { attempt: lease.attempt, done: [{ frame: 1, seconds: 1 }] });
    expect(await show()).toMatchObject({ ...idle, frame_current: 1, status: "queued" });
    const next = (await asWorker("", { key: "contract-2", platform: "linux" }))["lease"] as typeof lease;
    await asWorker(`/${next.lease_id}/complete`, { attempt: next.attempt, done: [{ frame: 2, seconds: 1 }] });
    expect(await show()).toMatchObject({ ...idle, frame_current: 2 });
  });

  it("DELETE /tasks/N → 202, and the task is gone", async () => {
    const id = await newTask();
    expect(await okJson(await send("DELETE", `/tasks/${id}`), 202)).toMatchObject({ id, status: TASK_STATUS });
    expect((await send("GET", `/tasks/${id}`)).status).toBe(404);
  });
});

describe.each(WAYS)("the seed's workers, as %s", (way, body) => {
  const hostname = way === "JSON" ? "fsiddi-macpro.local" : "12345";
  const fields = { hostname, system: "Darwin 14.1.0" };

  it("POST /workers → the documented body, keyed by hostname: 201, for a 204 cannot have one", async () => {
    const workers = await okJson(await send("POST", "/workers", body(fields)), 201);
    expect(Object.keys(workers)).toEqual([hostname]);
    expect(workers[hostname]).toMatchObject({ ...WORKER_FIELDS, ...fields });
    // A worker that registers again is known: 200 and the same id.
    const { id, secret } = workers[hostname] as { id: number; secret: string };
    const again = await okJson(await send("POST", "/workers", { ...body(fields), token: secret }), 200);
    expect(again[hostname]).toMatchObject({ ...WORKER_FIELDS, id });
    expect(again[hostname]).not.toHaveProperty("secret");
  });

  it("POST /workers with Prefer: return=minimal → the 204 of the document", async () => {
    const response = await send("POST", "/workers", {
      ...body({ ...fields, hostname: `minimal-${way.length}` }),
      headers: { Prefer: "return=minimal" },
    });
    expect([response.status, await response.text()]).toEqual([204, ""]);
    const location = response.headers.get("Location") ?? "";
    expect(location).toMatch(/^\/workers\/\d+$/);
    const secret = response.headers.get("Tablao-Secret");
    expect(await okJson(await send("GET", location, { token: secret }), 200)).toMatchObject({
      system: "Darwin 14.1.0",
    });
  });

  it("PATCH /workers/N → 200 with the id of the task now assigned, or null", async () => {
    const worker = await newWorker(`patch-${way}`);
    const patch = async (status: string) =>
      await okJson(await send("PATCH", `/workers/${worker.id}`, { ...body({ status }), token: worker.secret }), 200);
    const task = await newTask(undefined, { priority: 1_000 });
    expect(await patch("available")).toMatchObject({ task_id: task });
    expect(await patch("rendering")).toMatchObject({ task_id: nullOr("integer"), status: "rendering" });
    expect((await send("DELETE", `/tasks/${task}`)).status).toBe(202);
    expect(await patch("disabled")).toMatchObject({ task_id: null, status: "disabled" });
    const unknown = await send("PATCH", `/workers/${worker.id}`, {
      ...body({ status: "tired" }),
      token: worker.secret,
    });
    expect((await problem(unknown, 422, "invalid")).errors?.[0]?.field).toBe("status");
    expect(await patch("enabled")).toMatchObject({ task_id: null });
    expect(await patch("available")).toMatchObject({ task_id: nullOr("integer"), status: "enabled" });
  });

  it("POST /workers without a hostname or a system → 422 that names it", async () => {
    for (const field of ["hostname", "system"] as const) {
      const { [field]: _, ...rest } = fields;
      const { errors } = await problem(await send("POST", "/workers", body(rest)), 422, "invalid");
      expect(errors?.map((error) => error.field)).toEqual([field]);
    }
  });
});

describe("the seed's workers", () => {
  let worker: { id: number; secret: string };
  beforeAll(async () => {
    worker = await newWorker("render-01");
  });

  it("GET /workers → 200, every worker under its hostname with the documented fields", async () => {
    const workers = await okJson(await send("GET", "/workers"), 200);
    expect(workers["render-01"]).toMatchObject({ ...WORKER_FIELDS, id: worker.id, hostname: "render-01" });
    for (const listed of Object.values(workers)) expect(listed).toMatchObject(WORKER_FIELDS);
  });

  it("GET /workers: a second worker of the same name gets a key of its own", async () => {
    const twin = await newWorker("render-01");
    const workers = await okJson(await send("GET", "/workers"), 200);
    expect(workers["render-01"]).toMatchObject({ id: worker.id });
    expect(workers[`render-01#${twin.id}`]).toMatchObject({ id: twin.id, hostname: "render-01" });
  });

  it("GET /workers/N → 200 with every documented field, also before the first report", async () => {
    const { id } = await newWorker("silent");
    expect(await okJson(await send("GET", `/workers/${id}`), 200)).toMatchObject({
      hostname: "silent",
      mac_address: integer,
      system: string,
      update_frequent: {
        load_average: { "1min": number, "5min": number, "15min": number },
        worker_cpu_percent: number,
      },
      update_less_frequent: {
        worker_architecture: string,
        worker_disk_percent: number,
        worker_mem_percent: number,
        worker_num_cpus: integer,
      },
    });
  });

  it("GET /workers/N → 200 with the documented body, from the latest report", async () => {
    const report = {
      mac_address: 158929712651,
      update_frequent: { load_average: { "15min": 2.18, "1min": 2.18, "5min": 2.11 }, worker_cpu_percent: 7.0 },
      update_less_frequent: {
        worker_architecture: "x86_64",
        worker_disk_percent: 90.7,
        worker_mem_percent: 56.7,
        worker_num_cpus: 16,
      },
    };
    expect((await send("PATCH", `/workers/${worker.id}`, { token: worker.secret, json: report })).status).toBe(200);
    const info = await okJson(await send("GET", `/workers/${worker.id}`), 200);
    expect(info).toMatchObject({ hostname: "render-01", system: string, ...report });
    expect(info).toMatchObject({
      update_frequent: { worker_cpu_percent: number },
      update_less_frequent: { worker_num_cpus: integer },
    });
  });
});

describe.each(WAYS)("the seed's commented-out settings, as %s", (_way, body) => {
  it("POST /settings → 204, and GET /settings → 200 with the list", async () => {
    const response = await send("POST", "/settings", body({ lease_s: 90, blender_path_linux: "/opt/blender/blender" }));
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(await okJson(await send("GET", "/settings"), 200)).toMatchObject({
      lease_s: 90,
      blender_path_linux: "/opt/blender/blender",
    });
  });

  it("PATCH /settings/{name} → 200 and the setting; GET /settings/{name} → 200 and the same", async () => {
    const setting = { name: "lease_s", value: 75 };
    expect(await okJson(await send("PATCH", "/settings/lease_s", body({ value: 75 })), 200)).toEqual(setting);
    expect(await okJson(await send("GET", "/settings/lease_s"), 200)).toEqual(setting);
  });
});

describe("the seed's commented-out settings", () => {
  it("GET /settings?group=render → the render presets; a preset's name answers its content", async () => {
    const preset = { samples: 64, resolution_percentage: 50 };
    expect((await send("POST", "/settings", { json: { "render.final": preset } })).status).toBe(204);
    expect((await send("POST", "/settings", { form: { "render.quick": '{"samples":4}' } })).status).toBe(204);
    const files = await okJson(await send("GET", "/settings?group=render"), 200);
    expect(files).toEqual({ settings_files: ["final", "quick"] });
    expect(await okJson(await send("GET", "/settings/final"), 200)).toMatchObject({ value: preset });
  });
});

describe("around the seed's endpoints", () => {
  it.each([
    ["PUT", "/tasks", "GET, HEAD, POST"],
    ["POST", "/tasks/1", "GET, HEAD, PATCH, DELETE"],
    ["PATCH", "/workers", "GET, HEAD, POST"],
    ["POST", "/workers/1", "GET, HEAD, PATCH, DELETE"],
    ["DELETE", "/settings", "GET, HEAD, POST"],
    ["POST", "/settings/lease_s", "GET, HEAD, PATCH"],
  ])("%s %s → 405, with Allow: %s", async (method, path, allow) => {
    const response = await send(method, path, { json: {} });
    expect(response.headers.get("Allow")).toBe(allow);
    await problem(response, 405, "method_not_allowed");
  });

  it.each([
    ["PATCH", "/tasks/999999", { priority: 1 }],
    ["DELETE", "/tasks/999999", undefined],
    ["GET", "/workers/999999", undefined],
    ["PATCH", "/workers/999999", { status: "enabled" }],
    ["GET", "/settings/no_such", undefined],
    ["GET", "/task", undefined],
  ])("%s %s → 404", async (method, path, json) => {
    await problem(await send(method, path, { json }), 404, "not_found");
  });

  it.each([
    ["POST", "/tasks"],
    ["PATCH", "/tasks/1"],
    ["POST", "/workers"],
    ["PATCH", "/workers/1"],
    ["POST", "/settings"],
    ["PATCH", "/settings/lease_s"],
  ])("%s %s takes JSON and forms only: 415, and 413 for what is too large", async (method, path) => {
    const xml = { body: "<task/>", headers: { "Content-Type": "text/xml" } };
    await problem(await send(method, path, xml), 415, "unsupported_media_type");
    await problem(await send(method, path, { json: { a: "x".repeat(2 * 1024 * 1024) } }), 413, "too_large");
  });

  it("none of it answers without a token", async () => {
    for (const path of ["/tasks/1", "/workers", "/workers/1", "/settings", "/settings/lease_s"])
      await problem(await send("GET", path, { token: null }), 401, "unauthorized");
  });
});
