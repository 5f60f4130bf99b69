/**
 * The seed's document, endpoint by endpoint: method, path, request fields, status, every response field and its type, in JSON
 * and as a form. Where HTTP itself forbids what the document says (a 204 with a body), design.md §5 says what is done instead.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { newTask, newWorker, okJson, send, type Sent } from "./http-client.ts";

/** Both ways to send a body; the clients of 2015 sent forms, in which everything is text. */
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
    // `task_id` is the submitter's own: posting it again answers with the same task.
    expect(await okJson(await send("POST", "/tasks", body(fields)), 202)).toMatchObject({ id: task["id"] });
  });

  it("PATCH /tasks/N → 204, partially", async () => {
    const id = await newTask();
    const response = await send("PATCH", `/tasks/${id}`, body({ priority: 77 }));
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({ priority: 77, status: "queued" });
    expect((await send("PATCH", `/tasks/${id}`, body({ status: "pause" }))).status).toBe(204);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({ priority: 77, status: "paused" });
  });
});

describe("the seed's tasks", () => {
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
    expect(await patch("rendering")).toMatchObject({ task_id: nullOr("integer") });
    expect((await send("DELETE", `/tasks/${task}`)).status).toBe(202);
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
