/** P10: no worker can make the list of workers unreadable, also not one that an earlier release took. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { MAX_PROGRAMS } from "../../src/protocol/worker.ts";
import { newWorker as newHttpWorker, okJson, problem, send } from "./http-client.ts";
import { newRegistry, newWorker } from "./registry-client.ts";

const MEGABYTE = 1_000_000;

describe("the list of workers", () => {
  it("refuses a registration or report with more programs than a worker can have, by name", async () => {
    const { id, secret } = await newHttpWorker("many-programs");
    const programs = Object.fromEntries(Array.from({ length: MAX_PROGRAMS + 1 }, (_, i) => [`program${i}`, "1"]));
    const { errors } = await problem(
      await send("PATCH", `/workers/${id}`, { token: secret, json: { programs } }),
      422,
      "invalid",
    );
    expect(errors).toEqual([{ field: "programs", message: `must have at most ${MAX_PROGRAMS} entries` }]);
    delete programs["program0"];
    await okJson(await send("PATCH", `/workers/${id}`, { token: secret, json: { programs } }), 200);
  });

  it("is answered with 21 rows of 1.9 MB that an earlier release has stored, and the programs that tasks need", async () => {
    const registry = newRegistry();
    for (let i = 0; i < 21; i++) await newWorker(registry, `large-${i}`);
    await runInDurableObject(registry, (_, { storage }) => {
      const junk = Object.fromEntries(Array.from({ length: 9_000 }, (_junk, i) => [`p${i}`, "x".repeat(198)]));
      const offer = JSON.stringify({
        programs: { ...junk, blender: "4.2.1" },
        tags: [],
        slots: 1,
        allow_exec: false,
        allow_autoexec: false,
      });
      expect(offer.length).toBeGreaterThan(1.8 * MEGABYTE);
      storage.sql.exec("UPDATE workers SET offer = ?", offer);
    });
    await evictDurableObject(registry);
    const listed = Object.values(await registry.listWorkers());
    expect(listed).toHaveLength(21);
    for (const { programs } of listed) {
      expect(Object.keys(programs)).toHaveLength(MAX_PROGRAMS);
      expect(programs["blender"]).toBe("4.2.1");
    }
  });

  it("cuts long texts of workers, and ends before an answer can have no more", async () => {
    const registry = newRegistry();
    const { id } = await newWorker(registry, "chatty");
    const log = `${"x".repeat(60_000)}the end`;
    await registry.patchWorker(id, { log, activity: "renders" }, { role: "worker", id, name: "" }, "192.0.2.1");
    const { chatty } = await registry.listWorkers();
    expect(chatty?.log?.length).toBe(1_000);
    expect(chatty).toMatchObject({ log: expect.stringMatching(/the end$/), activity: "renders" });
    expect(await registry.getWorker(id)).toMatchObject({ value: { log } });
    // As many workers as a stolen join token can make, each with all that the door lets in.
    await runInDurableObject(registry, (_, { storage }) => {
      const programs = Object.fromEntries(
        Array.from({ length: MAX_PROGRAMS }, (_junk, i) => [`p${i}`, "ü".repeat(200)]),
      );
      storage.sql.exec(
        `INSERT INTO workers (id, secret_sha256, hostname, offer, info, granted_tags, registered_ms, contact_ms)
         SELECT value, 'hash ' || value, 'flood-' || value, ?,  info, granted_tags, 0, 0
         FROM json_each(?), (SELECT info, granted_tags FROM workers LIMIT 1)`,
        JSON.stringify({ programs, tags: [], slots: 1, allow_exec: false, allow_autoexec: false }),
        JSON.stringify(Array.from({ length: 3_000 }, (_junk, i) => 1_000 + i)),
      );
    });
    await evictDurableObject(registry);
    const keys = Object.keys(await registry.listWorkers());
    expect(keys[0]).toBe("chatty");
    expect(keys.length).toBeGreaterThan(1_000);
    expect(keys.length).toBeLessThan(3_000);
  });
});
