/**
 * Backup and restore as requests. An empty manager takes rows, each checked, and then works like
 * any other.
 */
import { env, runInDurableObject } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { taskStub, type RegistryStub, type TaskStub } from "../../src/rpc/stubs.ts";
import { backupRowsSchema, type BackupRow } from "../../src/protocol/backup.ts";
import { crc32, crc32Text } from "../../src/lib/crc32.ts";
import { inRestoreOrder } from "../../src/protocol/task-snapshot.ts";
import { verifiedReceipts } from "../../src/http/receipts.ts";
import { RESTORE_GAP } from "../../src/task/rules/restore.ts";
import { ring } from "./alarms.ts";
import { claim, finish, newRender, upload, uploadOf } from "./api-farm.ts";
import { newToken, newWorker, okJson, problem, send } from "./http-client.ts";

const BACKUP = "0b6f2f6e-5f0e-4f4e-8a35-0c5a3b1d2e4f";
const OTHER = "5b1f1a0e-7a5e-4c55-9d6f-2f2e6a1c9b10";

const DAY_MS = 86_400_000;

/** A row of totals: one worker, in two tasks, on the second day of 1970. */
function totalsOf(over: Record<string, string | number>): BackupRow {
  const entries = JSON.stringify([[7, 3, 1, 0, 2.5, DAY_MS, [1, 2]]]);
  return [
    "history_days",
    { day: 1, frames: 3, errors: 1, lost: 0, seconds: 2.5, workers: 1, tasks: 2, entries, ...over },
  ];
}

async function begin(backup: string, format = 1): Promise<Response> {
  return await send("POST", "/restore", { json: { backup, format } });
}

async function put(query: string, rows: readonly unknown[] | string, backup: string = BACKUP): Promise<Response> {
  const body = typeof rows === "string" ? rows : rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  return await send("POST", `/restore/rows?${query}`, { body, headers: { "Tablao-Backup": backup } });
}

async function rowsOf(query: string): Promise<BackupRow[]> {
  const rows: BackupRow[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const more: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = backupRowsSchema.parse(await okJson(await send("GET", `/backup/rows?${query}${more}`), 200));
    rows.push(...page.rows);
    cursor = page.cursor;
  }
  return rows;
}

describe("restore", () => {
  it("P10: takes nothing before it has begun, one backup at a time, and no row that does not fit", async () => {
    const setting: BackupRow = ["settings", { name: "lease_s", value: "30" }];
    await problem(await put("of=registry", [setting]), 409, "conflict");
    for (const format of [0, 4]) await problem(await begin(BACKUP, format), 422, "invalid");
    expect((await begin(BACKUP)).status).toBe(204);
    expect((await begin(BACKUP)).status).toBe(204);
    await problem(await begin(OTHER), 409, "conflict");
    await problem(await put("of=registry", [setting], OTHER), 409, "conflict");
    await problem(await send("POST", "/restore/rows?of=registry", { body: "" }), 422, "invalid");

    const refused: [string, readonly unknown[] | string][] = [
      ["of=registry", "{"],
      ["of=registry", "[]"],
      ["of=registry", [setting, ["nowhere", { a: 1 }]]],
      ["of=registry", [setting, ["tasks", { id: 1 }]]],
      ["of=registry", [setting, ["migrations", { id: 9, applied_ms: 1 }]]],
      ["of=registry", [setting, ["sqlite_master", { name: "x" }]]],
      ["of=registry", [setting, ["settings", { name: "x", nothing: 1 }]]],
      ["of=registry", [setting, ["settings", { "name, value) VALUES (1,2)--": 1 }]]],
      ["of=registry", [setting, ["settings", { name: "x", value: null }]]],
      ["of=registry", [setting, ["settings", {}]]],
      ["of=history", [["history", { task_id: 1 }]]],
      ["of=totals", [["history_kept", { from_ms: -1 }]]],
      ["of=totals", [["history_kept", { from_ms: 1, day: 1 }]]],
      ["of=totals", [["history_days", { day: 1 }]]],
      ["of=totals", [totalsOf({ entries: "nonsense" })]],
      ["of=totals", [totalsOf({ entries: "[[1,2,3]]" })]],
      ["of=totals", [totalsOf({ day: -1 })]],
      ["of=task&id=7", [["definition", { id: 1, json: '{"id":7}' }]]],
      ["of=task&id=7&last=true", [["definition", { id: 1, json: '{"id":8}' }]]],
      ["of=task&id=7&last=true", [["definition", { id: 1, json: "nonsense" }]]],
      [
        "of=task&id=7&last=true",
        [
          ["record", { id: 1, json: "{}" }],
          ["definition", { id: 1, json: '{"id":7}' }],
        ],
      ],
      ["of=task&id=7&last=true", []],
    ];
    for (const [query, rows] of refused) await problem(await put(query, rows), 422, "invalid");
    expect(await okJson(await send("GET", "/settings/lease_s"), 200)).toMatchObject({ value: 60 });
    await problem(await send("GET", "/tasks/7"), 404, "not_found");

    expect(await okJson(await send("GET", "/history"), 200)).toMatchObject({
      events: [],
      cursor: null,
      kept_from_ms: null,
    });
    const kept: BackupRow = ["history_kept", { from_ms: 2 * DAY_MS }];
    expect((await put("of=totals", [kept, totalsOf({})])).status).toBe(204);
    expect(await okJson(await send("GET", "/history"), 200)).toMatchObject({ kept_from_ms: 2 * DAY_MS });
    expect(await okJson(await send("GET", `/history/days?since=0&until=${5 * DAY_MS}`), 200)).toEqual({
      days: [{ day: "1970-01-02", frames: 3, errors: 1, lost: 0, seconds: 2.5, workers: 1, tasks: 2 }],
    });
    expect(await rowsOf("of=totals")).toEqual([kept, totalsOf({})]);

    expect((await put("of=registry", [setting])).status).toBe(204);
    expect((await put("of=registry&last=true", [])).status).toBe(204);
    expect(await okJson(await send("GET", "/settings/lease_s"), 200)).toMatchObject({ value: 30 });
    await problem(await put("of=registry", [setting]), 409, "conflict");
    const used = await problem(await begin(OTHER), 409, "conflict");
    expect(used.detail).toContain("1 setting");
  });
});

describe("a restore that is abandoned", () => {
  it("L4, P13: no longer locks the manager; whole tasks of it stay, and rows of two backups never mix", async () => {
    await problem(await send("DELETE", "/restore"), 409, "conflict");
    const worker = await newWorker("painter");
    const task = await newRender();
    await finish(worker.secret, await claim(worker.secret, task));
    const rows = inRestoreOrder(await rowsOf(`of=task&id=${task}`));
    // Restored under the same id in objects that have stored nothing, as on a new manager.
    const half = env.TASK.getByName(`half of ${task}`) as TaskStub;
    const stray: BackupRow = ["pages", { page: 777, failed: 0, json: "{}" }];
    expect(await half.restoreRows([stray], false, BACKUP)).toMatchObject({ ok: true });
    expect(await half.restoreRows([stray], false, BACKUP)).toMatchObject({ ok: true });
    expect(await half.restoreRows(rows.slice(0, 1), false, OTHER)).toMatchObject({ ok: true });
    expect(await half.restoreRows(rows.slice(1), true, OTHER)).toMatchObject({ ok: true });
    const pages = await runInDurableObject(half, (_, { storage: { sql } }) =>
      sql.exec<{ page: number }>("SELECT page FROM pages").toArray(),
    );
    expect(pages.map(({ page }) => page)).not.toContain(777);
    expect(pages.length).toBeGreaterThan(0);
  });

  it("L4: lets another restore begin, when nothing has arrived", async () => {
    const registry = env.REGISTRY.getByName("abandoned") as unknown as RegistryStub;
    expect(await registry.beginRestore(BACKUP)).toMatchObject({ ok: true });
    expect(await registry.beginRestore(OTHER)).toMatchObject({
      ok: false,
      error: { code: "conflict", detail: expect.stringContaining("tablao restore --abandon") as string },
    });
    expect(await registry.abandonRestore()).toMatchObject({ ok: true, value: { tasks: 0 } });
    expect(await registry.isRestoring(BACKUP)).toMatchObject({ ok: false, error: { code: "conflict" } });
    expect(await registry.beginRestore(OTHER)).toMatchObject({ ok: true });
    // Rows that have arrived stay: nothing is deleted that nobody named (P14).
    const setting: BackupRow = ["settings", { name: "lease_s", value: "30" }];
    expect(await registry.restoreRows([setting], false)).toMatchObject({ ok: true });
    expect(await registry.abandonRestore()).toMatchObject({ ok: true, value: { tasks: 0 } });
    expect(await registry.beginRestore(BACKUP)).toMatchObject({ ok: false, error: { code: "conflict" } });
  });
});

describe("backup", () => {
  it("P9: holds tokens as hashes, and nothing that gives access", async () => {
    const { token } = await newToken("artist", "ana");
    const { secret } = await newWorker("box");
    const text = JSON.stringify(await rowsOf("of=registry"));
    expect(text).toContain('"name":"ana"');
    expect(text).not.toContain(token);
    expect(text).not.toContain(secret);
    expect(text).not.toMatch(/tablao_[a-z]+_/);
  });

  it("names a task's files and inputs; each can be read by its key", async () => {
    const worker = await newWorker("painter");
    const task = await newRender();
    await finish(worker.secret, await claim(worker.secret, task));
    const rows = await rowsOf(`of=task&id=${task}`);
    expect(new Set(rows.map(([table]) => table))).toEqual(new Set(["definition", "record", "pages"]));
    const file = await send("GET", `/backup/outputs/${task}/1/frame_0001.png`);
    expect(await file.text()).toBe("pixels 1");
    for (const name of ["frame_0002.png", "..%2f..%2fx", "x"])
      await problem(await send("GET", `/backup/outputs/${task}/1/${name}`), 404, "not_found");
    const asset = await uploadOf({ grant: "" }, "an input");
    await send("PUT", `/assets/${asset.headers!["Tablao-SHA256"]}`, asset);
    expect(JSON.stringify(await rowsOf("of=assets"))).toContain(asset.headers!["Tablao-SHA256"]);
    await problem(await send("GET", "/backup/rows?of=task&id=999"), 404, "not_found");
  });

  it("holds what a restored task says of its files, their CRC-32s included", async () => {
    const worker = await newWorker("archivist");
    const task = await newRender();
    await finish(worker.secret, await claim(worker.secret, task), "kept");
    const fresh = env.TASK.getByName(`restored files of ${task}`) as TaskStub;
    expect(await fresh.restoreRows(inRestoreOrder(await rowsOf(`of=task&id=${task}`)), true)).toMatchObject({
      ok: true,
    });
    const files = await fresh.files({ limit: 10 });
    expect(files).toEqual(await taskStub(env, task).files({ limit: 10 }));
    const sum = crc32Text(crc32(new TextEncoder().encode("kept 1")));
    expect(files).toMatchObject({ value: { files: [{ name: "frame_0001.png", crc32: sum }] } });
  });

  it("P7: a page of rows shows by its version that history has gone to D1 since the page before", async () => {
    const worker = await newWorker("teller");
    const task = await newRender();
    await finish(worker.secret, await claim(worker.secret, task));
    const object = taskStub(env, task);
    const page = async (): Promise<{ version: number; waiting: number }> => {
      const read = await object.backupPage(null);
      if (!read.ok) throw new Error(read.error.detail);
      const record = (read.value.rows as BackupRow[]).find(([table]) => table === "record")?.[1];
      const { tail } = JSON.parse(String(record?.["json"])) as { tail: unknown[] };
      return { version: read.value.version, waiting: tail.length };
    };
    const before = await page();
    expect(before.waiting).toBeGreaterThan(0);
    expect(await page()).toEqual(before);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
    await ring(object as unknown as DurableObjectStub);
    vi.useRealTimers();
    const after = await page();
    expect(after.waiting).toBe(0);
    expect(after.version).toBeGreaterThan(before.version);
  });

  it.each([
    "x",
    "{}",
    '{"table":"nowhere","after":[]}',
    '{"table":"tokens","after":[[1]]}',
    '{"table":"tokens","after":[1,2]}',
  ])("P10: a cursor that it did not give is refused: %s", async (cursor) => {
    for (const of of ["registry", "history", "totals"])
      await problem(await send("GET", `/backup/rows?of=${of}&cursor=${encodeURIComponent(cursor)}`), 422, "invalid");
  });
});

describe("P2: a restored task", () => {
  it("refuses the leases, attempts and receipts of the manager it came from", async () => {
    const worker = await newWorker("old");
    const task = await newRender();
    const old = await claim(worker.secret, task);
    const receipt = await upload(worker.secret, old, old.plan.outputs[0]!.name, "old");
    const rows = await rowsOf(`of=task&id=${task}`);
    // The same id in an object that has stored nothing, as on a new manager.
    const fresh = env.TASK.getByName(`restored ${task}`) as TaskStub;
    const inOrder = [
      ...rows.filter(([table]) => table !== "definition"),
      ...rows.filter(([table]) => table === "definition"),
    ];
    expect(await fresh.restoreRows(inOrder, true)).toMatchObject({ ok: true });
    expect(await fresh.restoreRows(inOrder, true)).toMatchObject({ ok: true });
    // A backup writes the journal's changes into the record.
    expect(await fresh.backupPage(null)).toMatchObject({ ok: true });
    const stored = await runInDurableObject(fresh, (_, { storage: { sql } }) =>
      sql.exec<{ json: string }>("SELECT json FROM record").one(),
    );
    const { ledger } = JSON.parse(stored.json) as { ledger: { leases: unknown[]; attempt: number; counts: unknown } };
    expect(ledger).toMatchObject({ leases: [], attempt: old.attempt + RESTORE_GAP, counts: { leased: 0, done: 0 } });
    const done = [{ frame: 1, seconds: 1, receipts: [receipt] }];
    const complete = await verifiedReceipts(env, { attempt: old.attempt, done, next: null });
    if (!complete.ok) throw new Error(complete.error.detail);
    expect(await fresh.complete({ id: worker.id }, old.lease_id, complete.value)).toMatchObject({
      ok: false,
      error: { code: "lease_lost" },
    });
    const claimed = await fresh.claim({ id: worker.id }, { key: "a-new-key-1", platform: "linux", epoch: 0 });
    expect(claimed).toMatchObject({
      ok: true,
      value: { lease: { attempt: old.attempt + RESTORE_GAP + 1, frames: old.frames } },
    });
  });
});
