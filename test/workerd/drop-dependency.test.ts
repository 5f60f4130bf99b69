/**
 * A task whose dependency was deleted is no dead end (P13): it says so, and a person can drop the
 * dependency.
 */
import { describe, expect, test } from "vitest";
import type { Task } from "../../src/protocol/task.ts";
import { admin, claim, complete, history, lease, object, ring, submit, view } from "./chaos-tasks.ts";
import { okJson, problem, send } from "./http-client.ts";
import { until } from "./wait.ts";

const patch = async (id: number, json: Record<string, unknown>): Promise<Response> =>
  await send("PATCH", `/tasks/${id}`, { json });

const drop = async (id: number, other: number): Promise<void> =>
  expect((await patch(id, { drop_dependency: other })).status).toBe(204);

const whyText = async (id: number): Promise<unknown> => (await okJson(await send("GET", `/tasks/${id}/why`), 200)).text;

/** Delete a task, and wait until those that depend on it know. */
async function deleted(id: number, ...dependents: number[]): Promise<void> {
  expect((await object(id).remove(admin)).ok).toBe(true);
  const knows = ({ status }: Task): boolean => status === "failed" || status === "canceled";
  for (const dependent of dependents)
    await until(
      async () => {
        await ring(id);
        return knows(await view(dependent));
      },
      () => `news of task ${id}`,
    );
}

describe("P13: a task whose dependency was deleted", () => {
  test("says so and how it is dropped, and goes on without it", async () => {
    const other = await submit("1-2");
    const id = await submit("1-2", { depends_on: [{ task: other, frames: "all" }] });
    await deleted(other, id);
    expect(await view(id)).toMatchObject({ status: "failed", deleted_dependencies: [other] });
    const hint = `tablao drop-dependency ${id} ${other}`;
    expect(await whyText(id)).toContain(hint);
    expect((await problem(await patch(id, { status: "requeue" }), 409, "conflict")).detail).toContain(hint);
    await drop(id, other);
    expect(await view(id)).toMatchObject({ status: "queued", error: null, depends_on: [], waits_for: [] });
    expect((await view(id)).deleted_dependencies).toBeUndefined();
    for (let left = 2; left > 0; left--) expect((await complete(await lease(id, 1), 1)).ok).toBe(true);
    expect((await view(id)).status).toBe("completed");
    await ring(id);
    const changes = (await history(id)).filter(({ kind }) => kind === "changed").map(({ detail }) => detail);
    expect(changes.at(-1)).toBe(`dependency on task ${other} dropped by admin`);
  });

  test("goes on when all that were deleted are dropped, one after the other", async () => {
    const [one, two] = [await submit("1"), await submit("1")];
    const depends_on = [one, two].map((task) => ({ task, frames: "all" as const }));
    const id = await submit("1", { depends_on });
    await deleted(one, id);
    await deleted(two, id);
    await until(
      async () => {
        await ring(two);
        return (await view(id)).deleted_dependencies?.length === 2;
      },
      () => "news of both",
    );
    await drop(id, one);
    expect(await view(id)).toMatchObject({
      status: "failed",
      error: `task ${two}, which this task waits for, was deleted`,
      deleted_dependencies: [two],
    });
    await drop(id, two);
    expect((await view(id)).status).toBe("queued");
  });

  test("renders the frames that the other one had not done", async () => {
    const other = await submit("1-3");
    const id = await submit("1-3", { depends_on: [{ task: other, frames: "same" }] });
    expect((await complete(await lease(other, 1), 1)).ok).toBe(true);
    await until(
      async () => {
        await ring(other);
        return (await view(id)).status === "queued";
      },
      () => "news of frame 1",
    );
    expect((await complete(await lease(id, 2), 2)).ok).toBe(true);
    expect(await claim(id, 2)).toMatchObject({ lease: null, reason: "waiting" });
    await deleted(other, id);
    await drop(id, other);
    for (let left = 2; left > 0; left--) expect((await complete(await lease(id, 2), 2)).ok).toBe(true);
    expect(await view(id)).toMatchObject({ status: "completed", frames: { done: 3 } });
  });

  test("waits no longer for one that is there, and does not keep it from being deleted", async () => {
    const other = await submit("1");
    const id = await submit("1", { depends_on: [{ task: other, frames: "all" }] });
    expect((await patch(other, { status: "cancel" })).status).toBe(204);
    await drop(id, other);
    expect((await view(id)).status).toBe("queued");
    expect(await object(id).hasEnded(other)).toBe(true);
    expect(await object(id).hasEnded()).toBe(false);
  });

  test("P10: what cannot be dropped is refused by its field, and changes nothing", async () => {
    const frames = await submit("1");
    const other = await submit("1");
    const depends_on = [frames, other].map((task) => ({ task, frames: "all" as const }));
    const video = await submit("1", { depends_on, input_task: frames });
    const before = await view(video);
    const stranger = await problem(await patch(video, { drop_dependency: 999_999 }), 409, "conflict");
    expect(stranger.detail).toContain("does not depend on task 999999");
    const input = await problem(await patch(video, { drop_dependency: frames }), 409, "conflict");
    expect(input.detail).toContain("cannot be made without them");
    await problem(await patch(video, { drop_dependency: other, status: "requeue" }), 409, "conflict");
    await problem(await patch(video, { drop_dependency: "x" }), 422, "invalid");
    expect(await view(video)).toEqual(before);
  });

  test("a canceled task stays canceled", async () => {
    const other = await submit("1");
    const id = await submit("1", { depends_on: [{ task: other, frames: "all" }] });
    expect((await patch(id, { status: "cancel" })).status).toBe(204);
    await deleted(other, id);
    await drop(id, other);
    expect((await view(id)).status).toBe("canceled");
    expect((await patch(id, { status: "requeue" })).status).toBe(204);
    expect((await view(id)).status).toBe("queued");
  });
});
