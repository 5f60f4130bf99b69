/**
 * Deleting inputs that nothing uses, by the command line against a real manager (P14). That days pass
 * is written into the manager's own D1 and R2 while it is stopped; the rest is as on any farm.
 */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, expect, test } from "vitest";
import { assetSchema } from "../../src/protocol/file.ts";
import { taskSchema } from "../../src/protocol/task.ts";
import { unusedInputsSchema } from "../../src/protocol/unused-inputs.ts";
import { endFarm, startManager, tablao, type Manager } from "../support/farm.ts";

afterAll(endFarm);

async function putAsset(manager: Manager, content: string): Promise<string> {
  const hash = createHash("sha256").update(content).digest("hex");
  const headers = { "content-length": String(content.length) };
  await manager.client.call(assetSchema, "PUT", `/assets/${hash}`, { headers, body: () => content });
  return hash;
}

/** Stop the manager, run the statement on whichever of its databases has the table, and start it again. */
async function whileStopped(manager: Manager, table: string, sql: string): Promise<void> {
  await manager.stop();
  const files = readdirSync(manager.state, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".sqlite"),
  );
  let changed = 0;
  for (const name of files) {
    const db = new DatabaseSync(path.join(manager.state, name));
    if (db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table))
      changed += Number(db.prepare(sql).run().changes);
    db.close();
  }
  expect(changed).toBeGreaterThan(0);
  await manager.restart();
}

test("P14: prune --inputs says what it would delete, waits for the first week, and deletes what no task names", async () => {
  const manager = await startManager();
  const [used, unused] = [await putAsset(manager, "used"), await putAsset(manager, "unused")];
  const assets = [{ path: "shot.blend", sha256: used, size: "used".length }];
  const json = { type: "blender_render", settings: { file: "shot.blend", frames: "1", assets } };
  await manager.client.call(taskSchema, "POST", "/tasks", { json });
  const isThere = async (hash: string): Promise<boolean> =>
    await manager.client.send("GET", `/assets/${hash}`).then(
      async (answer) => (await answer.arrayBuffer()).byteLength > 0,
      () => false,
    );
  const prune = async (...more: string[]) => await tablao(manager, "prune", "--inputs", ...more);

  // It puts what is stored into the index.
  expect((await tablao(manager, "storage")).code).toBe(0);
  const none = await prune("--dry-run");
  expect(none).toMatchObject({ code: 0, stderr: "" });
  expect(none.stdout).toContain("would delete 0 inputs");
  const early = await prune("--yes");
  expect(early.code).not.toBe(0);
  expect(early.stderr).toMatch(/the first week of this farm or release ends at 20\d\d-/);

  await whileStopped(manager, "inputs", "UPDATE inputs SET used_ms = 0");
  const dry = await prune("--dry-run");
  expect(dry).toMatchObject({ code: 0 });
  expect(dry.stdout).toMatch(/would delete 1 input \(6 B\), unused for 30 days or longer; nothing was deleted/);
  expect([await isThere(used), await isThere(unused)]).toEqual([true, true]);

  await whileStopped(manager, "input_sweep", "UPDATE input_sweep SET deletes_after_ms = 0");
  // The first call puts the marker, and says how long it must have been there.
  const first = await manager.client.call(unusedInputsSchema, "POST", "/storage/unused-inputs", { json: {} });
  expect(first).toMatchObject({ done: false, held: null });
  expect(first.wait_ms).toBeGreaterThan(0);
  expect(await isThere(unused)).toBe(true);
  await whileStopped(
    manager,
    "_mf_objects",
    "UPDATE _mf_objects SET uploaded = uploaded - 120000 WHERE key = 'farm/sweeping'",
  );
  const done = await prune("--yes");
  expect(done).toMatchObject({ code: 0 });
  expect(done.stdout).toContain("deleted 1 input (6 B), unused for 30 days or longer");
  expect([await isThere(used), await isThere(unused)]).toEqual([true, false]);
  expect((await prune("--yes")).stdout).toContain("no input is unused for 30 days or longer");
});
