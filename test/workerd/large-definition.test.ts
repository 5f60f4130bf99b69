/**
 * A task whose definition is too long for one row, because of ten thousand inputs with long paths:
 * stored in several rows, read back, changed, backed up and restored.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, expect, test } from "vitest";
import { MAX_INPUTS } from "../../src/protocol/constants.ts";
import type { BackupRow } from "../../src/protocol/backup.ts";
import type { Input } from "../../src/protocol/plan.ts";
import { inRestoreOrder } from "../../src/protocol/task-snapshot.ts";
import type { CompiledDefinition, TaskDefinition, TaskRpc } from "../../src/rpc/task.ts";
import type { TaskStub } from "../../src/rpc/stubs.ts";
import { definitionOf } from "../support/definition.ts";
import { admin, claimBody, object, stubOf } from "./chaos-tasks.ts";

/** The most that Cloudflare stores in a row, and sends over RPC. */
const ROW_BYTES = 2_000_000;
const RPC_BYTES = 32 * 1024 * 1024;

/** Inputs whose paths have so many folders of 115 characters. */
function inputs(count: number, folders: number): Input[] {
  return Array.from({ length: count }, (_, i) => ({
    path: [String(i), "😀".repeat(20), ...Array<string>(folders).fill("x".repeat(115))].join("/"),
    sha256: i.toString(16).padStart(64, "0"),
    size: i,
  }));
}

function definition(id: number, assets: readonly Input[]): TaskDefinition {
  return definitionOf("exec", { program: "cat", frames: "1-4", assets }, { id });
}

async function storedRows(id: number, table: string): Promise<{ json: string; bytes: number }[]> {
  const query = `SELECT json, length(CAST(json AS BLOB)) AS bytes FROM ${table}`;
  return await runInDurableObject(stubOf(id), (_, { storage: { sql } }) =>
    sql.exec<{ json: string; bytes: number }>(query).toArray(),
  );
}

async function settingsOf(task: TaskRpc): Promise<unknown> {
  const view = await task.view();
  return view.ok ? view.value.settings : view.error;
}

async function backedUp(task: TaskRpc): Promise<BackupRow[]> {
  const rows: BackupRow[] = [];
  for (let cursor: string | null = null; ;) {
    const page = await task.backupPage(cursor);
    if (!page.ok) throw new Error(page.error.detail);
    rows.push(...page.value.rows);
    cursor = page.value.cursor;
    if (cursor === null) return rows;
  }
}

const LARGE = 8_101;
const large = definition(LARGE, inputs(MAX_INPUTS, 3));

beforeAll(async () => {
  expect(JSON.stringify(large).length).toBeGreaterThan(4_500_000);
  expect(await object(LARGE).create(large, admin)).toMatchObject({ ok: true });
});

test("P4: is in rows that Cloudflare stores, with its inputs once, and the same after an eviction", async () => {
  const parts = await storedRows(LARGE, "definition_parts");
  const [row] = await storedRows(LARGE, "definition");
  expect(Math.max(...parts.map(({ bytes }) => bytes), row!.bytes)).toBeLessThanOrEqual(ROW_BYTES);
  const stored = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(stored).toBe(new TextEncoder().encode(JSON.stringify(large.settings)).length);
  await evictDurableObject(stubOf(LARGE));
  expect(await settingsOf(object(LARGE))).toEqual(large.settings);
});

test("gives out leases with all of its inputs, in answers that RPC takes", async () => {
  const claimed = await object(LARGE).claim({ id: 1 }, claimBody());
  if (!claimed.ok || !claimed.value.lease) throw new Error("no lease");
  expect(claimed.value.lease.plan.inputs).toEqual(large.settings["assets"]);
  expect(JSON.stringify(claimed.value).length).toBeLessThan(RPC_BYTES / 4);
});

test("P4: is restored from a backup of rows of the same size, whose definition comes last", async () => {
  const rows = inRestoreOrder(await backedUp(object(LARGE)));
  expect(Math.max(...rows.map(([, row]) => String(row["json"] ?? "").length))).toBeLessThanOrEqual(ROW_BYTES / 4);
  expect(rows.at(-1)![0]).toBe("definition");
  const fresh = env.TASK.getByName(`restored ${LARGE}`) as TaskStub;
  // In two requests, as the command line sends what is too large for one.
  expect(await fresh.restoreRows(rows.slice(0, 5), false)).toMatchObject({ ok: true });
  expect(await fresh.restoreRows(rows.slice(5), true)).toMatchObject({ ok: true });
  await evictDurableObject(fresh);
  expect(await settingsOf(fresh)).toEqual(large.settings);
});

test("P10: is refused by a restore that lacks some of its rows, and leaves nothing", async () => {
  const rows = inRestoreOrder(await backedUp(object(LARGE)));
  const lost = rows.findIndex(([table]) => table === "definition_parts");
  const fresh = env.TASK.getByName(`restored in part ${LARGE}`) as TaskStub;
  const partial = await fresh.restoreRows(rows.toSpliced(lost, 1), true);
  expect(partial).toMatchObject({ ok: false, error: { code: "invalid" } });
  expect(await fresh.view()).toMatchObject({ ok: false, error: { code: "not_found" } });
});

test("keeps its settings when it gets another priority, and is one row when they become short", async () => {
  const id = LARGE + 1;
  const task = object(id);
  await task.create({ ...large, id }, admin);
  expect(await task.patch({ priority: 70 }, admin, null)).toMatchObject({ ok: true });
  await evictDurableObject(stubOf(id));
  expect(await settingsOf(task)).toEqual(large.settings);

  const short = definition(id, inputs(2, 0));
  const { settings, frame_list, format, needs, input_task, files_per_frame } = short;
  const compiled: CompiledDefinition = { settings, frame_list, format, needs, input_task, files_per_frame };
  expect(await task.patch({ settings }, admin, compiled)).toMatchObject({ ok: true });
  expect(await storedRows(id, "definition_parts")).toEqual([]);
  await evictDurableObject(stubOf(id));
  expect(await settingsOf(task)).toEqual(settings);
  expect(await task.view()).toMatchObject({ value: { priority: 70 } });
});

test("P4: of an earlier release, in one row that has the inputs twice, is read, and then stored once", async () => {
  const id = LARGE + 2;
  const assets = inputs(3_000, 0);
  const before = definition(id, assets);
  await object(id).create(before, admin);
  await runInDurableObject(stubOf(id), (_, { storage: { sql } }) => {
    sql.exec("DROP TABLE IF EXISTS definition_parts");
    sql.exec("UPDATE definition SET json = ?", JSON.stringify({ ...before, inputs: assets }));
  });
  await evictDurableObject(stubOf(id));
  expect(await settingsOf(object(id))).toEqual(before.settings);
  expect(await object(id).patch({ name: "renamed" }, admin, null)).toMatchObject({ ok: true });
  const [row] = await storedRows(id, "definition");
  expect(JSON.parse(row!.json)).not.toHaveProperty("inputs");
  await evictDurableObject(stubOf(id));
  expect(await object(id).view()).toMatchObject({ value: { name: "renamed", settings: before.settings } });
});

test("a short definition is one row without a table of parts, as earlier releases read it", async () => {
  const id = LARGE + 3;
  const short = definition(id, inputs(3, 0));
  await object(id).create(short, admin);
  const [row] = await storedRows(id, "definition");
  expect(JSON.parse(row!.json)).toEqual(short);
  await expect(storedRows(id, "definition_parts")).rejects.toThrow("no such table");
});
