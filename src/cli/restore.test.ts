/** `tablao restore` of a backup that somebody else may have made (L3), and of what was revoked since. */
import { Command } from "commander";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeManager, sha256 } from "../../test/support/fake-manager.ts";
import { testFolder } from "../../test/support/folders.ts";
import { taskOf } from "../../test/support/task.ts";
import type { BackupRow } from "../protocol/backup.ts";
import { addBackup } from "./commands/backup.ts";
import { addRestore } from "./commands/restore.ts";

const SECRET = "the admin's own file";
const FRAME = "a picture";

let manager: FakeManager;
let said: string[] = [];

beforeEach(async () => {
  manager = await FakeManager.start();
  manager
    .on("POST", /^\/restore/, () => ({ status: 204 }))
    .on("DELETE", /^\/restore$/, () => ({ status: 200, json: { tasks: 3 } }))
    .on("POST", /^\/assets\/missing$/, ({ json }) => ({ status: 200, json: { missing: json?.["sha256"] } }))
    .on("POST", /^\/assets$/, ({ body }) => ({
      status: 200,
      json: { assets: [{ sha256: sha256(body), size: body.length, status: 201 }] },
    }))
    .on("PUT", /^\/(restore|assets)\//, ({ body }) => ({
      status: 201,
      json: { sha256: sha256(body), size: body.length },
    }));
  said = [];
  const hear = (text: unknown): boolean => said.push(String(text)) > 0;
  vi.spyOn(process.stdout, "write").mockImplementation(hear);
  vi.spyOn(process.stderr, "write").mockImplementation(hear);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await manager.stop();
});

interface Crafted {
  file?: Record<string, unknown>;
  attempt?: unknown;
  assets?: BackupRow[];
  content?: (file: string) => void;
}

/** A backup with one task of one frame; `crafted` is what is wrong with it. */
function backupWith({ file = {}, attempt = 1, assets = [], content }: Crafted = {}): string {
  const dir = path.join(testFolder("restore"), "saved");
  mkdirSync(path.join(dir, "files"), { recursive: true });
  mkdirSync(path.join(dir, "tasks"));
  writeFileSync(path.join(dir, "..", "adminsecret"), SECRET);
  const stored = { name: "f_0001.png", size: FRAME.length, sha256: sha256(FRAME), ...file };
  const frame = { state: "done", attempt, worker: 1, seconds: 1, files: [stored] };
  const rows = (values: BackupRow[]): string => values.map((row) => `${JSON.stringify(row)}\n`).join("");
  const token = { id: 2, secret_sha256: "0".repeat(64), role: "artist", name: "ana", revoked: 0, expires_ms: null };
  writeFileSync(
    path.join(dir, "tasks", "7.ndjson"),
    rows([
      ["pages", { page: 0, failed: 0, json: JSON.stringify({ 1: frame }) }],
      ["record", { id: 1, json: JSON.stringify({ ledger: { event_seq: 1 }, tail: [], shares: 2 }) }],
      ["definition", { id: 1, json: '{"id":7}' }],
    ]),
  );
  writeFileSync(path.join(dir, "assets.ndjson"), rows(assets));
  writeFileSync(path.join(dir, "totals.ndjson"), "");
  writeFileSync(path.join(dir, "history.ndjson"), "");
  writeFileSync(path.join(dir, "registry.ndjson"), rows([["tokens", token]]));
  const place = path.join(dir, "files", sha256(FRAME));
  writeFileSync(place, FRAME);
  if (content) {
    rmSync(place);
    content(place);
  }
  const manifest = {
    format: 3,
    backup: "0b6f2f6e-5f0e-4f4e-8a35-0c5a3b1d2e4f",
    version: "0.2.0",
    url: "http://127.0.0.1:1",
    made_ms: Date.UTC(2026, 10, 24),
    tasks: [7],
    files: 1,
    bytes: FRAME.length,
  };
  writeFileSync(path.join(dir, "backup.json"), JSON.stringify(manifest));
  return dir;
}

async function run(...args: string[]): Promise<void> {
  const program = new Command("tablao")
    .option("--manager <url>")
    .option("--token <token>")
    .option("--json")
    .exitOverride();
  addRestore(program);
  addBackup(program);
  await program.parseAsync(["--manager", manager.url, "--token", "s", ...args], { from: "user" });
}

describe("L3, P10: a backup whose rows lead out of its folder is refused by name, before anything is asked or sent", () => {
  test.each<[string, Crafted, RegExp]>([
    ["a hash that is a path", { file: { sha256: "../../adminsecret" } }, /pages\.1\.files\.0\.sha256: must be 64/],
    ["a list that is a path", { file: { pieces: "../../adminsecret" } }, /pages\.1\.files\.0\.pieces: must be 64/],
    ["a hash that is none", { file: { sha256: 7 } }, /pages\.1\.files\.0\.sha256/],
    ["a name that is a path", { file: { name: "../../../tokens" } }, /pages\.1\.files\.0\.name: must/],
    ["a name that goes up", { file: { name: ".." } }, /pages\.1\.files\.0\.name: must/],
    ["an attempt that is a path", { attempt: "../../../tokens" }, /pages\.1\.attempt/],
    [
      "an input that is a path",
      { assets: [["assets", { sha256: "../../adminsecret", size: 20 }]] },
      /sha256: must be 64/,
    ],
    [
      "a file that is a link",
      { content: (place) => symlinkSync(path.join(place, "../../../adminsecret"), place) },
      /is no regular file/,
    ],
    ["a file that is a pipe", { content: (place) => execFileSync("mkfifo", [place]) }, /is no regular file/],
    ["a file that is missing", { content: () => undefined }, /is missing/],
  ])("%s", async (_, crafted, why) => {
    const dir = backupWith(crafted);
    await expect(run("restore", dir)).rejects.toThrow(why);
    await expect(run("restore", dir)).rejects.toThrow(dir);
    expect(manager.calls).toEqual([]);
  });

  test("a file with other bytes of the same length is not sent, alone or with others", async () => {
    const other = "another p";
    const damaged = backupWith({ content: (place) => writeFileSync(place, other) });
    await expect(run("restore", damaged)).rejects.toThrow(/is not what was backed up/);
    const asset = (content: string): BackupRow => ["assets", { sha256: sha256(content), size: content.length }];
    const small = backupWith({
      assets: [asset(FRAME), asset(SECRET)],
      content: (place) => {
        writeFileSync(place, other);
        writeFileSync(path.join(path.dirname(place), sha256(SECRET)), SECRET);
      },
    });
    await expect(run("restore", small)).rejects.toThrow(/is not what was backed up/);
    for (const { body } of manager.calls) expect(body.toString()).not.toContain(other);
  });
});

test("L3: a manager whose rows lead out of the folder writes nothing there", async () => {
  const frame = { state: "done", attempt: 1, files: [{ name: "x", size: 1, sha256: "../../outside" }] };
  const rows: BackupRow[] = [
    ["pages", { page: 0, failed: 0, json: JSON.stringify({ 1: frame }) }],
    ["record", { id: 1, json: JSON.stringify({ ledger: { event_seq: 1 }, tail: [] }) }],
  ];
  manager
    .on("GET", /^\/tasks\?/, () => ({ status: 200, json: { tasks: [taskOf()], cursor: null } }))
    .on("GET", /^\/backup\/rows/, () => ({ status: 200, json: { rows, version: 1, cursor: null } }));
  await expect(run("backup", path.join(testFolder("backup"), "saved"))).rejects.toThrow(
    /task 7 cannot be backed up: pages\.1\.files\.0\.sha256: must be 64/,
  );
  expect(manager.to(/outputs/)).toEqual([]);
});

describe("L4, P9: what comes back", () => {
  const sentRow = (table: string): Record<string, unknown> => {
    const lines = manager.to(/^\/restore\/rows/).flatMap(({ body }) => body.toString().split("\n"));
    const row = lines.filter(Boolean).map((line) => JSON.parse(line) as BackupRow);
    return row.find(([of]) => of === table)![1];
  };

  test("is said, with what revokes it", async () => {
    await run("restore", backupWith());
    expect(said.join("")).toContain(
      "1 token, workers and share links work as when the backup was made (2026-11-24 00:00:00 UTC)",
    );
    expect(said.join("")).toContain("also those that were revoked or removed since");
    expect(sentRow("tokens")["revoked"]).toBe(0);
  });

  test("no token and no share link with --revoke-tokens", async () => {
    await run("--json", "restore", backupWith(), "--revoke-tokens");
    expect(sentRow("tokens")["revoked"]).toBe(1);
    const record = JSON.parse(String(sentRow("record")["json"])) as { shares: number; ledger: unknown };
    // Links of every generation that the old manager may have given out.
    expect(record).toMatchObject({ ledger: { event_seq: 1 }, shares: 1_000_002 });
    expect(JSON.parse(said.join(""))).toMatchObject({ tasks: [7], live_tokens: 0 });
  });

  test("an abandoned restore is ended by name; a folder and --abandon do not go together", async () => {
    await run("restore", "--abandon");
    expect(manager.to(/^\/restore$/).map(({ method }) => method)).toEqual(["DELETE"]);
    expect(said.join("")).toContain("abandoned; 3 tasks of it have arrived and stay");
    for (const args of [["restore"], ["restore", "x", "--abandon"], ["restore", "--abandon", "--revoke-tokens"]])
      await expect(run(...args)).rejects.toThrow("restore takes the folder of a backup, or --abandon alone");
  });
});
