/**
 * A task that waits frame by frame renders what its source has, and nothing else (P12): a frame that the
 * source takes back is held again, and what was made of it is told as out of date.
 */
import { evictDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import type { Task } from "../../src/protocol/task.ts";
import { admin, claim, complete, history, lease, object, requeue, ring, stubOf, submit, view } from "./chaos-tasks.ts";
import { until } from "./wait.ts";

/** A source with all of its frames done, and a task that waits for it frame by frame. */
async function pair(frames = "1-3"): Promise<{ source: number; task: number }> {
  const source = await submit(frames, { chunk: 3 });
  expect((await complete(await lease(source, 1), 1)).ok).toBe(true);
  return { source, task: await submit(frames, { depends_on: [{ task: source, frames: "same" }] }) };
}

/** Wait until the dependent knows how its source stands. */
const told = async (source: number, task: number, is: (task: Task) => boolean): Promise<void> => {
  await until(
    async () => {
      await ring(source);
      return is(await view(task));
    },
    () => `news of task ${source}`,
  );
};

const isWaiting = ({ waits_for }: Task): boolean => waits_for.length > 0;

describe("P12: a task whose source takes frames back", () => {
  test("does not render them until they are done again", async () => {
    const { source, task } = await pair();
    expect((await requeue(source, "1-2")).ok).toBe(true);
    await told(source, task, isWaiting);
    await evictDurableObject(stubOf(task));
    expect((await lease(task, 2)).frames).toBe("3");
    expect(await claim(task, 3)).toMatchObject({ lease: null, reason: "waiting" });
    const again = await lease(source, 1);
    expect(again.frames).toBe("1-2");
    expect((await complete(again, 1)).ok).toBe(true);
    await told(source, task, (view) => !isWaiting(view));
    expect((await lease(task, 3)).frames).toBe("1");
    expect((await lease(task, 4)).frames).toBe("2");
  });

  test("waits and gives no work while all that is left of it is held", async () => {
    const { source, task } = await pair("1-2");
    expect((await complete(await lease(task, 2), 2)).ok).toBe(true);
    expect((await requeue(source, "2")).ok).toBe(true);
    await told(source, task, isWaiting);
    expect((await view(task)).status).toBe("waiting");
    expect(await claim(task, 2)).toMatchObject({ lease: null, reason: "waiting" });
  });

  test("loses the leases of them, and no try: their frames wait again", async () => {
    const { source, task } = await pair();
    const given = await lease(task, 2);
    const other = await lease(task, 3);
    expect([given.frames, other.frames]).toEqual(["1", "2"]);
    expect((await requeue(source, "1")).ok).toBe(true);
    await told(source, task, isWaiting);
    expect(await complete(given, 2)).toMatchObject({ ok: false, error: { code: "lease_lost" } });
    expect(await view(task)).toMatchObject({ errors: 0, lost: 1, frames: { pending: 2, leased: 1 } });
    expect((await complete(other, 3)).ok).toBe(true);
    expect((await lease(task, 2)).frames).toBe("3");
    expect((await object(task).patch({ status: "cancel" }, admin, null)).ok).toBe(true);
    await ring(task);
    const lost = (await history(task)).filter(({ kind }) => kind === "lost");
    expect(lost.map(({ detail }) => detail)).toEqual([`task ${source} has taken its frames back`, "canceled"]);
  });

  test("tells what it has done of them as out of date, until it is rendered again", async () => {
    const { source, task } = await pair();
    expect((await complete(await lease(task, 2), 2)).ok).toBe(true);
    expect((await requeue(source, "1-2")).ok).toBe(true);
    await told(source, task, isWaiting);
    expect(await view(task)).toMatchObject({ outdated_source: source, outdated_frames: "1" });
    expect((await complete(await lease(source, 1), 1)).ok).toBe(true);
    await told(source, task, (view) => !isWaiting(view));
    expect(await view(task)).toMatchObject({ outdated_source: source, outdated_frames: "1" });
    expect((await requeue(task, "1")).ok).toBe(true);
    expect((await view(task)).outdated_frames).toBeUndefined();
    for (let left = 3; left > 0; left--) expect((await complete(await lease(task, 2), 2)).ok).toBe(true);
    expect((await view(task)).status).toBe("completed");
    expect((await view(task)).outdated_source).toBeUndefined();
  });

  test("holds all of them when the source is requeued as a whole", async () => {
    const { source, task } = await pair();
    const { files_version } = await view(source);
    expect((await object(source).patch({ status: "requeue", frames: "all", files_version }, admin, null)).ok).toBe(
      true,
    );
    await told(source, task, isWaiting);
    expect(await claim(task, 2)).toMatchObject({ lease: null, reason: "waiting" });
    expect((await complete(await lease(source, 1), 1)).ok).toBe(true);
    await told(source, task, (view) => !isWaiting(view));
    expect((await lease(task, 2)).frames).toBe("1");
  });

  test("waits again for a frame that was skipped and is asked for again", async () => {
    const source = await submit("1-2");
    const task = await submit("1-2", { depends_on: [{ task: source, frames: "same" }] });
    expect((await object(source).patch({ status: "skip", frames: "1" }, admin, null)).ok).toBe(true);
    await told(source, task, ({ status }) => status === "queued");
    expect((await requeue(source, "1")).ok).toBe(true);
    await told(source, task, ({ status }) => status === "waiting");
  });
});
