/**
 * Requeue never throws finished frames away unasked (P14): without a word of frames it takes what failed
 * or was canceled, and finished frames only when the request names them and the version that it saw.
 */
import { describe, expect, test } from "vitest";
import type { Task } from "../../src/protocol/task.ts";
import { admin, complete, lease, object, submit, view } from "./chaos-tasks.ts";
import { okJson, problem, send } from "./http-client.ts";

const requeue = async (id: number, json: Record<string, unknown> = {}): Promise<Response> =>
  await send("PATCH", `/tasks/${id}`, { json: { status: "requeue", ...json } });

/** A task of so many frames, all finished. */
async function rendered(frames = "1-5"): Promise<number> {
  const id = await submit(frames, { chunk: 100 });
  expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
  expect((await view(id)).status).toBe("completed");
  return id;
}

const files = async (id: number): Promise<{ frame: number; name: string }[]> => {
  const list = await object(id).files({ limit: 100 });
  return list.ok ? list.value.files : [];
};

const states = async (id: number): Promise<Partial<Task>> => {
  const { status, frames, stored_bytes } = await view(id);
  return { status, frames, stored_bytes };
};

describe("P14: requeue without frames", () => {
  test("takes nothing of a completed task, whoever asks, and says how finished frames are named", async () => {
    const id = await rendered();
    const before = [await states(id), await files(id)];
    const refused = await problem(await requeue(id), 409, "conflict");
    expect(refused.detail).toContain("--frames 1-5");
    expect(refused.detail).toContain("--all");
    expect([await states(id), await files(id)]).toEqual(before);
  });

  test("two people requeue the same failed task: the second, who comes after it has completed, loses nothing", async () => {
    const id = await submit("1-2", { chunk: 2, tries: 1 });
    const given = await lease(id, 1);
    const error = { attempt: given.attempt, done: [], frames: "1-2", error: "no texture", next: null };
    expect((await object(id).fail({ id: 1 }, given.lease_id, error)).ok).toBe(true);
    expect((await view(id)).status).toBe("failed");
    expect((await requeue(id)).status).toBe(204);
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    await problem(await requeue(id), 409, "conflict");
    expect(await view(id)).toMatchObject({ status: "completed", frames: { done: 2 } });
  });

  test("takes nothing of a task that renders without a failure", async () => {
    const id = await submit("1-2", { chunk: 1 });
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    await problem(await requeue(id), 409, "conflict");
    expect(await view(id)).toMatchObject({ frames: { done: 1, pending: 1 } });
  });

  test("takes what was canceled, and leaves what was finished", async () => {
    const id = await submit("1-3", { chunk: 1 });
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    const [first] = await files(id);
    await object(id).patch({ status: "cancel" }, admin, null);
    expect((await requeue(id)).status).toBe(204);
    expect(await view(id)).toMatchObject({ status: "queued", frames: { done: 1, pending: 2 } });
    expect(await files(id)).toEqual([first]);
  });
});

describe("P14: finished frames are rendered again only when named, with the version that was seen", () => {
  test("without `files_version` the request is refused and names the field; nothing is lost", async () => {
    const id = await rendered();
    for (const frames of ["2", "all"]) {
      const { errors } = await problem(await requeue(id, { frames }), 409, "conflict");
      expect(errors?.[0]?.field).toBe("files_version");
    }
    expect(await files(id)).toHaveLength(5);
  });

  test("with the version that was seen they are taken, and no others", async () => {
    const id = await rendered();
    const { files_version } = await view(id);
    expect((await requeue(id, { frames: "2-3", files_version })).status).toBe(204);
    expect(await view(id)).toMatchObject({ status: "queued", frames: { done: 3, pending: 2 } });
    // Nothing was committed since: the same person may go on with what the same page shows.
    expect((await requeue(id, { frames: "4", files_version })).status).toBe(204);
    expect((await files(id)).map(({ frame }) => frame)).toEqual([1, 5]);
  });

  test("`all` takes all frames, skipped ones included", async () => {
    const id = await submit("1-4", { chunk: 3 });
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    await object(id).patch({ status: "skip", frames: "4" }, admin, null);
    const { files_version, status } = await view(id);
    expect(status).toBe("completed");
    expect((await requeue(id, { frames: "all", files_version })).status).toBe(204);
    expect(await view(id)).toMatchObject({ status: "queued", frames: { done: 0, skipped: 0, pending: 4 } });
    expect(await files(id)).toEqual([]);
  });

  test("`all` of a task that renders leaves what is being rendered alone", async () => {
    const id = await submit("1-3", { chunk: 1 });
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    const given = await lease(id, 1);
    const { files_version } = await view(id);
    expect((await requeue(id, { frames: "all", files_version })).status).toBe(204);
    expect(await view(id)).toMatchObject({ status: "rendering", frames: { done: 0, leased: 1, pending: 2 } });
    expect((await complete(given, 1)).ok).toBe(true);
  });

  test("a stale page or script is refused when files were committed since it looked", async () => {
    const id = await rendered();
    const { files_version } = await view(id);
    expect((await requeue(id, { frames: "1", files_version })).status).toBe(204);
    expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    for (const frames of ["1", "2", "all"]) {
      const { errors } = await problem(await requeue(id, { frames, files_version }), 409, "conflict");
      expect(errors?.[0]?.field).toBe("files_version");
    }
    expect(await files(id)).toHaveLength(5);
  });

  test("frames that failed or were skipped need no version", async () => {
    const id = await submit("1-2", { chunk: 1 });
    await object(id).patch({ status: "skip", frames: "1" }, admin, null);
    expect((await requeue(id, { frames: "1" })).status).toBe(204);
    expect(await view(id)).toMatchObject({ frames: { skipped: 0, pending: 2 } });
  });

  test.each([
    [{ status: "pause", files_version: "1.1" }, "files_version"],
    [{ status: "requeue", files_version: "1.1" }, "files_version"],
    [{ status: "skip", frames: "all" }, "frames"],
    [{ status: "requeue", frames: "every" }, "frames"],
    [{ status: "requeue", frames: "1", files_version: "" }, "files_version"],
  ])("P10: %j is refused and names %s", async (json, field) => {
    const id = await submit("1-2");
    const { errors } = await problem(await send("PATCH", `/tasks/${id}`, { json }), 422, "invalid");
    expect(errors?.[0]?.field).toBe(field);
    expect(await okJson(await send("GET", `/tasks/${id}`), 200)).toMatchObject({ status: "queued" });
  });
});
