/** Self-updates of workers: who may fetch the program that the manager serves, and what lists tell. */
import { expect, it } from "vitest";
import { programReportedSchema } from "../../src/protocol/program.ts";
import { workerInfoSchema } from "../../src/protocol/worker.ts";
import { ask, newWorker, okJson, problem, send } from "./http-client.ts";

const OLD = "a".repeat(64);
const SERVED = { version: "1.2.3", sha256: "b".repeat(64), bytes: 900_000 };
const ASSETS = {
  fetch: async () => Response.json(SERVED),
} as unknown as Fetcher;

async function report(worker: { id: number; secret: string }, body: object, assets = ASSETS) {
  const init = {
    method: "PUT",
    headers: { Authorization: `Bearer ${worker.secret}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await ask(`/workers/${worker.id}/program`, { ASSETS: assets }, init);
  return programReportedSchema.parse(await okJson(answer, 200));
}

it("a tenth of the workers fetch a new program first, the others when it has finished a lease", async () => {
  const [first, second] = [await newWorker("first"), await newWorker("second")];
  expect(
    await report(first, { sha256: OLD }, {
      fetch: async () => new Response(null, { status: 404 }),
    } as unknown as Fetcher),
  ).toEqual({ update: null, why: null, retry_after_ms: 3_600_000 });
  expect(await report(second, { sha256: OLD })).toMatchObject({ update: SERVED });
  const waits = { update: null, why: "a tenth of the workers go first (1 of 2)", retry_after_ms: 20_000 };
  expect(await report(first, { sha256: OLD })).toEqual(waits);
  expect(await report(second, { sha256: SERVED.sha256 })).toMatchObject({ update: null, why: null });
  expect(await report(first, { sha256: OLD })).toEqual(waits);
  expect(await report(second, { sha256: SERVED.sha256, proven: true })).toMatchObject({ update: null });
  expect(await report(first, { sha256: OLD })).toMatchObject({ update: SERVED });

  await send("PATCH", "/settings/agent_updates", { json: { value: "off" } });
  expect(await report(first, { sha256: OLD })).toMatchObject({ update: null, why: "the setting agent_updates is off" });
  await problem(await send("PATCH", "/settings/agent_updates", { json: { value: "on" } }), 422, "invalid");
  await send("PATCH", "/settings/agent_updates", { json: { value: null } });
});

it("a program from which a worker went back is told in lists, and nobody else fetches it", async () => {
  const [first, second] = [await newWorker("third"), await newWorker("fourth")];
  const served = { ...SERVED, sha256: "c".repeat(64) };
  const assets = { fetch: async () => Response.json(served) } as unknown as Fetcher;
  expect(await report(first, { sha256: OLD }, assets)).toMatchObject({ update: served });
  expect(await report(first, { sha256: OLD, failed_sha256: served.sha256 }, assets)).toEqual({
    update: null,
    why: "it went back from this program",
    retry_after_ms: 3_600_000,
  });
  const info = workerInfoSchema.parse(await okJson(await send("GET", `/workers/${first.id}`), 200));
  expect(info.update_failed).toBe(served.sha256);
  expect((await report(second, { sha256: OLD }, assets)).why).toBe(
    `stopped: worker ${first.id} went back from this program`,
  );
  // Removed, the worker stops nobody.
  await send("DELETE", `/workers/${first.id}`);
  expect(await report(second, { sha256: OLD }, assets)).toMatchObject({ update: served });
});

it("P9: a worker tells of itself only", async () => {
  const [first, second] = [await newWorker("fifth"), await newWorker("sixth")];
  const sent = { token: first.secret, json: { sha256: OLD } };
  await problem(await send("PUT", `/workers/${second.id}/program`, sent), 403, "forbidden");
  await problem(await send("PUT", `/workers/${first.id}/program`, { ...sent, json: { sha256: "x" } }), 422, "invalid");
});
