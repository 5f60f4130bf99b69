/** `tablao backup` while the farm deletes inputs that nothing uses (P14). */
import { Command } from "commander";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeManager, sha256 } from "../../test/support/fake-manager.ts";
import { testFolder } from "../../test/support/folders.ts";
import { taskOf } from "../../test/support/task.ts";
import type { BackupRow } from "../protocol/backup.ts";
import { pieceListText } from "../protocol/piece-list.ts";
import { addBackup } from "./commands/backup.ts";

const [KEPT, GONE] = ["a texture", "deleted after it was listed"];
const list = pieceListText([
  { sha256: sha256(KEPT), size: KEPT.length },
  { sha256: sha256(GONE), size: GONE.length },
]);

let manager: FakeManager;
beforeEach(async () => void (manager = await FakeManager.start()));
afterEach(async () => {
  vi.restoreAllMocks();
  await manager.stop();
});

/** A manager with a task whose definition has these rows, and with inputs of which GONE is listed only. */
function serve(definition: readonly BackupRow[], lists: readonly string[] = []): void {
  const frames = { total: 1, done: 0, failed: 0, leased: 0, pending: 1, skipped: 0 };
  const summary = taskOf({ status: "queued", frames });
  const record = JSON.stringify({ ledger: { event_seq: 1 }, tail: [] });
  const asset = (content: string): BackupRow => ["assets", { sha256: sha256(content), size: content.length }];
  const rows: Record<string, BackupRow[]> = {
    task: [...definition, ["record", { json: record }]],
    assets: [KEPT, GONE].map(asset),
  };
  for (const text of lists) rows["assets"]!.push(["assets", { ...asset(text)[1], whole: KEPT.length + GONE.length }]);
  manager.on("GET", /^\/tasks\?/, () => ({ status: 200, json: { tasks: [summary], cursor: null } }));
  manager.on("GET", /^\/backup\/rows/, ({ path: from }) => {
    const of = new URL(from, manager.url).searchParams.get("of")!;
    return { status: 200, json: { rows: rows[of] ?? [], version: 1, cursor: null } };
  });
  for (const content of [KEPT, ...lists])
    manager.on("GET", new RegExp(`^/assets/${sha256(content)}$`), () => ({ status: 200, bytes: Buffer.from(content) }));
}

const said: string[] = [];

/** Answers with the folder. What it says is in `said`. */
async function backup(json = true): Promise<string> {
  const dir = path.join(testFolder("backup"), "saved");
  said.length = 0;
  const hear = (text: unknown): boolean => said.push(String(text)) > 0;
  vi.spyOn(process.stdout, "write").mockImplementation(hear);
  vi.spyOn(process.stderr, "write").mockImplementation(hear);
  const program = new Command("tablao")
    .option("--manager <url>")
    .option("--token <token>")
    .option("--json")
    .exitOverride();
  addBackup(program);
  const flags = json ? ["--json"] : [];
  await program.parseAsync(["--manager", manager.url, "--token", "s", ...flags, "backup", dir], { from: "user" });
  return dir;
}

const definition = (settings: unknown): BackupRow => [
  "definition",
  { id: 1, json: JSON.stringify({ type: "blender_render", settings }) },
];
const input = (content: string, more: object = {}) => ({
  path: "a.png",
  sha256: sha256(content),
  size: content.length,
  ...more,
});

describe("P14: an input that is gone when it is fetched", () => {
  test("is left out when no task names it, and the backup is whole", async () => {
    serve([definition({ assets: [input(KEPT)] })]);
    const dir = await backup();
    const rows = readFileSync(path.join(dir, "assets.ndjson"), "utf8");
    expect(rows).toContain(sha256(KEPT));
    expect(rows).not.toContain(sha256(GONE));
    expect(JSON.parse(readFileSync(path.join(dir, "backup.json"), "utf8"))).toMatchObject({ tasks: [7], files: 1 });
  });

  test.each<[string, BackupRow[], string[]]>([
    ["names it", [definition({ assets: [input(KEPT), input(GONE)] })], []],
    [
      "with a definition in several rows names it",
      (() => {
        const text = JSON.stringify({ assets: [input(KEPT), input(GONE)] });
        const at = text.indexOf(sha256(GONE)) + 20;
        return [
          definition(null),
          // In no order.
          ["definition_parts", { part: 1, json: text.slice(at) }],
          ["definition_parts", { part: 0, json: text.slice(0, at) }],
        ];
      })(),
      [],
    ],
    ["names a file of which it is a piece", [definition({ assets: [input(list, { pieces: true })] })], [list]],
  ])("is an error when a task in the backup %s: no backup is called made", async (_, rows, lists) => {
    serve(rows, lists);
    await expect(backup()).rejects.toThrow(`task 7 is in the backup, and its input ${sha256(GONE)} is gone`);
  });

  test("is left out when only a list that no task names has it as a piece", async () => {
    serve([definition({ assets: [input(KEPT)] })], [list]);
    const rows = readFileSync(path.join(await backup(), "assets.ndjson"), "utf8");
    expect(rows).toContain(sha256(list));
    expect(rows).not.toContain(sha256(GONE));
  });
});

test("P14: an input that a task names and the manager does not list is named, and the backup is made", async () => {
  const never = sha256("deleted before the inputs were listed");
  serve([definition({ assets: [input(KEPT), { path: "b.png", sha256: never, size: 3 }] })]);
  const dir = await backup();
  expect(JSON.parse(readFileSync(path.join(dir, "backup.json"), "utf8"))).toMatchObject({ tasks: [7], files: 1 });
  expect(JSON.parse(said.join(""))).toMatchObject({ lacking_inputs: [never] });
  await backup(false);
  expect(said.join("")).toContain(`task 7 names the input ${never}, which the manager does not have`);
});
