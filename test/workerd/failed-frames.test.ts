/** A failed frame is kept for a worker that has not tried it, for as long as there is one. */
import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { claimedSchema } from "../../src/protocol/lease.ts";
import { taskStub } from "../../src/rpc/stubs.ts";
import { newWorker, okJson, send } from "./http-client.ts";

interface OneWorker {
  id: number;
  secret: string;
}

let keys = 0;

async function claim(task: number, { secret }: OneWorker) {
  const json = { key: `failed-${keys++}`.padEnd(16, "x"), platform: "linux", epoch: 0 };
  const answer = await send("POST", `/tasks/${task}/leases`, { token: secret, json });
  return claimedSchema.parse(await okJson(answer, 200));
}

it("P6: a failed frame goes to the worker that failed it when the other one has gone", async () => {
  const [first, second] = [await newWorker("first"), await newWorker("second")];
  for (const { id, secret } of [first, second])
    await send("PATCH", `/workers/${id}`, { token: secret, json: { status: "available" } });
  const json = { type: "print_string", settings: { text: "x", frames: "1" } };
  const submitted = await okJson(await send("POST", "/tasks", { json }), 202);
  const task = Number(submitted["id"]);

  const { lease } = await claim(task, first);
  const failed = { attempt: lease!.attempt, frames: "1", error: "it broke" };
  await send("POST", `/tasks/${task}/leases/${lease!.lease_id}/fail`, { token: first.secret, json: failed });
  // The second one has not tried it.
  expect(await claim(task, first)).toMatchObject({ lease: null, reason: "nothing_pending" });
  await send("DELETE", `/workers/${second.id}`);
  // As after the time in which the workers are not counted again.
  await evictDurableObject(taskStub(env, task));
  expect((await claim(task, first)).lease).toMatchObject({ frames: "1" });
});
