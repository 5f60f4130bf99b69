/**
 * A task with thousands of workers: no row may exceed what Cloudflare stores, and an object that
 * wakes finds all leases again.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { taskStub } from "../../src/rpc/stubs.ts";
import type { TaskRpc } from "../../src/rpc/task.ts";
import { admin, claim, claimBody, complete, lease, object, submit, view } from "./chaos-tasks.ts";

const WORKERS = 9_000;
/** Cloudflare's limit for a row is 2 MB. */
const MAX_ROW_BYTES = 2_000_000;

async function largestRow(id: number): Promise<number> {
  return await runInDurableObject(taskStub(env, id), (_, { storage }) =>
    Math.max(
      ...["record", "leases", "journal", "pages", "outbox"].map((table) =>
        Number(storage.sql.exec(`SELECT coalesce(max(length(json)), 0) AS bytes FROM ${table}`).one()["bytes"]),
      ),
    ),
  );
}

test("P4: nine thousand live leases are kept in rows below the limit, and are all there after an eviction", async () => {
  const id = await submit(`1-${WORKERS + 500}`, { chunk: 1, lease_ms: 3_600_000 });
  const first = await lease(id, 1);
  // Called inside the object: nine thousand calls over RPC would take longer than the work they do.
  await runInDurableObject(taskStub(env, id), async (instance) => {
    for (let worker = 2; worker <= WORKERS; worker++)
      await (instance as unknown as TaskRpc).claim({ id: worker }, claimBody());
  });
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).frames).toMatchObject({ leased: WORKERS, pending: 500 });
  expect(await largestRow(id)).toBeLessThan(MAX_ROW_BYTES);
  expect((await complete(first, 1)).ok).toBe(true);
  expect((await claim(id, WORKERS + 1)).lease).not.toBeNull();

  expect(new Set((await view(id)).leases.map(({ attempt }) => attempt)).size).toBe(WORKERS);
  expect((await object(id).patch({ status: "cancel" }, admin, null)).ok).toBe(true);
  await evictDurableObject(taskStub(env, id));
  expect((await view(id)).leases).toEqual([]);
  expect(await largestRow(id)).toBeLessThan(MAX_ROW_BYTES);
});
