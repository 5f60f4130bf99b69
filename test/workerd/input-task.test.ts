/**
 * A video is made of all frames of another task as they are, or not at all (P12): a lease is bound to the
 * version of those files. All of it is decided by the manager, so agents of 0.1 are held to it, too.
 */
import { describe, expect, test } from "vitest";
import type { Task } from "../../src/protocol/task.ts";
import { admin, complete, history, lease, object, rendered, requeue, ring, submit, view } from "./chaos-tasks.ts";
import { until } from "./wait.ts";

/** A task with two finished frames, and a video of them that waits for a worker. */
async function pair(): Promise<{ frames: number; video: number }> {
  const frames = await submit("1-2", { chunk: 2 });
  expect((await complete(await lease(frames, 1), 1)).ok).toBe(true);
  const depends_on = [{ task: frames, frames: "all" as const }];
  return { frames, video: await submit("1", { depends_on, input_task: frames }) };
}

const renderAgain = async (frames: number): Promise<void> => {
  expect((await requeue(frames, "1")).ok).toBe(true);
  expect((await complete(await lease(frames, 1), 1)).ok).toBe(true);
};

/** Wait until the video knows how the task of its frames stands. */
const told = async (video: number, frames: number, is: (task: Task) => boolean): Promise<void> => {
  await until(
    async () => {
      await ring(frames);
      return is(await view(video));
    },
    () => `news of task ${frames}`,
  );
};

describe("P12: a video whose frames change", () => {
  test("is committed when they have not changed", async () => {
    const { video } = await pair();
    expect((await complete(await lease(video, 2), 2)).ok).toBe(true);
    expect(await view(video)).toMatchObject({ status: "completed" });
    expect((await view(video)).outdated_source).toBeUndefined();
  });

  test("is not committed while a frame is rendered again, and no try is lost", async () => {
    const { frames, video } = await pair();
    const given = await lease(video, 2);
    const done = await rendered(given);
    expect((await requeue(frames, "1")).ok).toBe(true);
    expect(await complete(given, 2, done)).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    expect(await view(video)).toMatchObject({ status: "waiting", errors: 0, lost: 1, frames: { pending: 1 } });
    expect((await complete(await lease(frames, 1), 1)).ok).toBe(true);
    await told(video, frames, ({ status }) => status === "queued");
    expect((await complete(await lease(video, 2), 2)).ok).toBe(true);
    expect((await view(video)).status).toBe("completed");
    await ring(video);
    const lost = (await history(video)).filter(({ kind }) => kind === "lost");
    expect(lost.map(({ detail }) => detail)).toEqual([`the frames of task ${frames} have changed`]);
  });

  test("is not committed when a frame was rendered again and is there, so that it was read twice or not at all", async () => {
    const { frames, video } = await pair();
    const given = await lease(video, 2);
    await renderAgain(frames);
    expect(await complete(given, 2)).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    expect((await complete(await lease(video, 2), 2)).ok).toBe(true);
  });

  test("loses no try when its worker fails for want of a frame", async () => {
    const { frames, video } = await pair();
    const given = await lease(video, 2);
    expect((await requeue(frames, "1")).ok).toBe(true);
    const error = { attempt: given.attempt, done: [], frames: "1", error: "404", next: null };
    const failed = await object(video).fail({ id: 2 }, given.lease_id, error);
    expect(failed).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    expect(await view(video)).toMatchObject({ errors: 0, lost: 1 });
  });

  test("ends at its next renewal, and at the news", async () => {
    const { frames, video } = await pair();
    const first = await lease(video, 2);
    await renderAgain(frames);
    const renewed = await object(video).renew({ id: 2 }, first.lease_id, {
      attempt: first.attempt,
      done: [],
      progress: null,
    });
    expect(renewed).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    await lease(video, 2);
    expect((await requeue(frames, "2")).ok).toBe(true);
    await told(video, frames, ({ frames: counts }) => counts.leased === 0);
  });

  test("P3: a completion whose answer was lost is answered as before, although they change then", async () => {
    const { frames, video } = await pair();
    const given = await lease(video, 2);
    const done = await rendered(given);
    expect((await complete(given, 2, done)).ok).toBe(true);
    await renderAgain(frames);
    expect(await complete(given, 2, done)).toMatchObject({ ok: true });
  });

  test("stops when they are deleted while it reads them, and says why", async () => {
    const { frames, video } = await pair();
    const given = await lease(video, 2);
    await object(frames).remove(admin);
    expect(await complete(given, 2)).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    const task = await view(video);
    expect(task).toMatchObject({ status: "failed", frames: { done: 0 } });
    expect(task.error).toContain(`task ${frames}, which this task waits for, was deleted`);
  });

  test("is told as out of date when they change later, until it is made again", async () => {
    const { frames, video } = await pair();
    expect((await complete(await lease(video, 2), 2)).ok).toBe(true);
    await renderAgain(frames);
    await told(video, frames, ({ outdated_source }) => outdated_source === frames);
    expect((await view(video)).status).toBe("completed");
    expect((await requeue(video, "1")).ok).toBe(true);
    await told(video, frames, ({ status }) => status === "queued");
    expect((await complete(await lease(video, 2), 2)).ok).toBe(true);
    expect((await view(video)).outdated_source).toBeUndefined();
  });
});
