/**
 * Submitting over HTTP: what a task refers to, what it inherits, and that a refusal leaves nothing
 * behind.
 */
import { describe, expect, it } from "vitest";
import { sha256Hex } from "../../src/platform/secrets.ts";
import { newTask, okJson, problem, send } from "./http-client.ts";

describe("submitting", () => {
  const submit = async (json: object, headers: Record<string, string> = {}) =>
    await send("POST", "/tasks", { json, headers });
  const good = { type: "print_string", settings: { text: "x", frames: "1" } };

  it.each([
    [{ ...good, type: "print_strin" }, ["type"]],
    [{ ...good, parser: "nothing" }, ["parser"]],
    [{ ...good, settings: { text: "x", frames: "1-" } }, ["settings.frames"]],
    [{ ...good, settings: "[]" }, ["settings"]],
    [{ ...good, depends_on: [999_999] }, ["depends_on.0"]],
    [{ type: "ffmpeg_video", settings: { task: 999_999 } }, ["settings.task"]],
    [{ ...good, colour: "red", priority: "high" }, ["priority", "colour"]],
  ])("P10: %j → 422 that names the field, and not even an id is used up", async (json, fields) => {
    const before = await newTask();
    const { errors } = await problem(await submit(json), 422, "invalid");
    expect(errors?.map((error) => error.field)).toEqual(fields);
    expect(await newTask()).toBe(before + 1);
  });

  it("P10: names assets that are not stored, and those of another size", async () => {
    const bytes = new TextEncoder().encode("a scene");
    const sha256 = await sha256Hex("a scene");
    expect((await send("PUT", `/assets/${sha256}`, { body: bytes })).status).toBe(201);
    const there = { path: "shot.blend", sha256, size: bytes.length };
    const settings = (assets: object[]) => ({
      type: "blender_render",
      settings: { file: "shot.blend", frames: "1", assets },
    });
    expect((await submit(settings([there]))).status).toBe(202);
    const absent = { path: "a.png", sha256: "0".repeat(64), size: 1 };
    const { errors } = await problem(await submit(settings([{ ...there, size: 8 }, absent])), 422, "invalid");
    expect(errors?.map((error) => error.field)).toEqual(["settings.assets.0", "settings.assets.1"]);
  });

  it("an Idempotency-Key makes one task of many tries, and belongs to one body", async () => {
    const key = { "Idempotency-Key": "7f3a-once" };
    const ids = await Promise.all([1, 2, 3].map(async () => (await okJson(await submit(good, key), 202))["id"]));
    expect(new Set(ids).size).toBe(1);
    await problem(await submit({ ...good, priority: 1 }, key), 422, "invalid");
    await problem(await submit(good, { "Idempotency-Key": "x".repeat(256) }), 400, "invalid_request");
    await problem(await submit(good, { "Idempotency-Key": "two words" }), 400, "invalid_request");
  });

  it("a submitter's id and key are free again once their task has been deleted", async () => {
    const again = async () =>
      (await okJson(await submit({ ...good, task_id: 4711 }, { "Idempotency-Key": "again" }), 202))["id"];
    const id = await again();
    expect(await again()).toBe(id);
    expect((await send("DELETE", `/tasks/${id as number}`)).status).toBe(202);
    expect(await again()).not.toBe(id);
  });

  it("takes the lease time of the settings unless the task has its own", async () => {
    expect((await send("PATCH", "/settings/lease_s", { json: { value: 33 } })).status).toBe(200);
    expect(await okJson(await submit(good), 202)).toMatchObject({ lease_ms: 33_000 });
    expect(await okJson(await submit({ ...good, lease_s: 7 }), 202)).toMatchObject({ lease_ms: 7_000 });
    await problem(await send("PATCH", "/settings/lease_s", { json: { value: "33" } }), 422, "invalid");
    expect(await okJson(await send("PATCH", "/settings/lease_s", { json: { value: null } }), 200)).toEqual({
      name: "lease_s",
      value: 60,
    });
  });

  it("recompiles settings that are changed before the first lease, and refuses them by their field", async () => {
    const id = await newTask();
    expect((await send("PATCH", `/tasks/${id}`, { json: { settings: { text: "y", frames: "1-9" } } })).status).toBe(
      204,
    );
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({
      frame_list: "1-9",
      frames: { total: 9 },
    });
    const { errors } = await problem(
      await send("PATCH", `/tasks/${id}`, { json: { settings: { frames: "1" } } }),
      422,
      "invalid",
    );
    expect(errors).toMatchObject([{ field: "settings.text" }]);
  });

  it("waits once for each task it depends on: for all of it where that is asked, or where its frames are the input", async () => {
    const first = await newTask();
    for (const frames of [
      ["all", "same"],
      ["same", "all"],
    ]) {
      const twice = { ...good, depends_on: frames.map((mode) => ({ task: first, frames: mode })) };
      expect(await okJson(await submit(twice), 202)).toMatchObject({ depends_on: [{ task: first, frames: "all" }] });
    }
    const video = { type: "ffmpeg_video", settings: { task: first }, depends_on: [{ task: first, frames: "same" }] };
    expect(await okJson(await submit(video), 202)).toMatchObject({
      status: "waiting",
      depends_on: [{ task: first, frames: "all" }],
    });
  });
});
