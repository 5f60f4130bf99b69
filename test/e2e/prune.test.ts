/**
 * Deleting tasks that have ended, by the command line against a real manager with a real agent (P14).
 * That days pass is tested inside workerd (`test/workerd/retention.test.ts`).
 */
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { tokenCreatedSchema } from "../../src/protocol/token.ts";
import { taskSchema, type Task } from "../../src/protocol/task.ts";
import { cleanEnvironment, startChild } from "../support/child.ts";
import {
  CHECKOUT,
  endFarm,
  startAgent,
  startManager,
  submit,
  tablao,
  untilStatus,
  type Manager,
} from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { testWith } from "../support/programs.ts";
import { until } from "../support/wait.ts";

let manager: Manager;

beforeAll(async () => {
  manager = await startManager();
  await startAgent(manager, { name: "one" });
});
afterAll(endFarm);

async function rendered(...more: string[]): Promise<number> {
  const settings = JSON.stringify({ width: 16, height: 9, samples: 1 });
  const id = await submit(manager, "--type", "demo_render", "--frames", "1-3", "--settings", settings, ...more);
  await untilStatus(manager, id, ["completed"]);
  return id;
}

const show = async (id: number): Promise<Task> => await manager.client.call(taskSchema, "GET", `/tasks/${id}`);
const isThere = async (id: number): Promise<boolean> =>
  await show(id).then(
    () => true,
    () => false,
  );
const dryRun = z.object({
  dry_run: z.literal(true),
  tasks: z.array(z.object({ id: z.int() })),
  bytes: z.int(),
  unknown: z.int(),
});
const done = z.object({
  dry_run: z.literal(false),
  deleted: z.array(z.int()),
  left: z.array(z.object({ id: z.int(), reason: z.string() })),
});

test("P14: a whole download is told to the manager, a part of it is not; prune --downloaded deletes that and nothing else", async () => {
  const folder = testFolder("prune");
  const [whole, part, none] = [await rendered("--name", "whole"), await rendered("--name", "part"), await rendered()];
  const download = await tablao(manager, "download", String(whole), path.join(folder, "whole"), "--json");
  expect(download.json()).toMatchObject({ counts_as_downloaded: true });
  const some = await tablao(manager, "download", String(part), path.join(folder, "part"), "--frames", "1-2", "--json");
  expect(some.json()).toMatchObject({ counts_as_downloaded: false });
  expect((await show(whole)).downloaded_ms).toBeGreaterThan(0);
  expect((await show(part)).downloaded_ms).toBeUndefined();
  expect((await tablao(manager, "task", String(whole))).stdout).toMatch(/downloaded +20\d\d-/);

  const dry = await tablao(manager, "prune", "--downloaded", "--dry-run", "--json");
  expect(dryRun.parse(dry.json()).tasks.map(({ id }) => id)).toEqual([whole]);
  const text = await tablao(manager, "prune", "--downloaded", "--dry-run");
  expect(text).toMatchObject({ code: 0 });
  expect(text.stdout).toMatch(new RegExp(`^${whole} +completed +\\d+ s ago +yes .* admin +whole$`, "m"));
  expect(text.stdout).toMatch(/1 task \(.*\) would be deleted; nothing was/);
  expect(await isThere(whole)).toBe(true);

  // The frames that were downloaded are not those that count any more.
  await tablao(manager, "requeue", String(whole), "--frames", "2", "--yes");
  await until(async () => (await show(whole)).status === "completed", { what: "the frame is there again" });
  expect(dryRun.parse((await tablao(manager, "prune", "--downloaded", "--dry-run", "--json")).json()).tasks).toEqual(
    [],
  );
  await tablao(manager, "download", String(whole), path.join(folder, "whole"));
  const deleted = await tablao(manager, "prune", "--downloaded", "--yes", "--json");
  expect(done.parse(deleted.json())).toMatchObject({ deleted: [whole], left: [] });
  expect([await isThere(whole), await isThere(part), await isThere(none)]).toEqual([false, true, true]);
});

test("P14: prune names and leaves a task that another one needs, and what is younger; without a choice it is refused", async () => {
  const first = await rendered();
  const second = await submit(
    manager,
    "--type",
    "print_string",
    "--settings",
    '{"text":"x"}',
    "--frames",
    "1",
    "--paused",
    "--after",
    String(first),
  );
  const old = await tablao(manager, "prune", "--older-than", "1d", "--yes", "--json");
  expect(done.parse(old.json())).toMatchObject({ deleted: [], left: [] });
  const mine = await tablao(manager, "prune", "--status", "completed", "--yes", "--json");
  const result = done.parse(mine.json());
  expect(mine.code).toBe(0);
  expect(result.left).toEqual([{ id: first, reason: `task ${first} is used by task ${second}` }]);
  expect(result.deleted).not.toContain(second);
  expect([await isThere(first), await isThere(second)]).toEqual([true, true]);

  for (const [args, says] of [
    [[], "prune needs --older-than, --downloaded, --owner, --status or --inputs"],
    [["--status", "failed"], "prune asks before it deletes, and this is no terminal"],
    [["--status", "queued", "--yes"], "It must be one of completed, failed, canceled"],
    [["--older-than", "soon", "--yes"], "It looks like 90s"],
  ] as const) {
    const refused = await tablao(manager, "prune", ...args);
    expect({ args, code: refused.code }).toEqual({ args, code: 2 });
    expect(refused.stderr).toContain(says);
  }
});

test("P9: an artist prunes its own tasks only, and a viewer none", async () => {
  const tokenOf = async (role: string): Promise<string> =>
    (await manager.client.call(tokenCreatedSchema, "POST", "/tokens", { json: { role, name: role } })).token;
  const [artist, viewer] = [await tokenOf("artist"), await tokenOf("viewer")];
  const other = await rendered();
  const dry = await tablao({ ...manager, token: artist }, "prune", "--status", "completed", "--dry-run", "--json");
  expect(dryRun.parse(dry.json()).tasks).toEqual([]);
  const asOther = await tablao({ ...manager, token: artist }, "prune", "--owner", "admin", "--yes");
  expect(asOther).toMatchObject({ code: 4 });
  const asViewer = await tablao({ ...manager, token: viewer }, "prune", "--status", "completed", "--yes");
  expect(asViewer).toMatchObject({ code: 4 });
  expect(await isThere(other)).toBe(true);
});

test("P14: the farm's rule and a task's own are set, shown and refused by the command line", async () => {
  const id = await rendered("--retention-days", "40");
  expect((await tablao(manager, "settings", "set", "retention_days", "30")).code).toBe(0);
  const own = await tablao(manager, "task", String(id));
  expect(own.stdout).toMatch(/retention +deleted 40 days after its end/);
  expect(own.stdout).toMatch(/deleted +after 20\d\d-\S+ \S+ UTC, by its own rule/);
  const farm = await tablao(manager, "retention", String(id), "--days", "farm");
  expect(farm.stdout).toMatch(
    new RegExp(`^task ${id}: deleted after 20\\d\\d-\\S+ \\S+ UTC, by the farm's rule$`, "m"),
  );
  const listed = (await tablao(manager, "tasks", "--json")).json() as Task[];
  const { ended_ms: ended } = await show(id);
  expect(listed.find((task) => task.id === id)).toMatchObject({ expires_ms: ended! + 30 * 86_400_000 });
  const kept = await tablao(manager, "retention", String(id), "--days", "forever");
  expect(kept.stdout).toContain(`task ${id}: retention not deleted for its age`);
  expect((await show(id)).expires_ms).toBeNull();

  const refused = await tablao(manager, "settings", "set", "retention_days", "0");
  expect(refused).toMatchObject({ code: 6 });
  expect(refused.stderr).toContain('must be a whole number of days from 1 to 36500, or "forever"');
  for (const args of [
    ["submit", "--type", "print_string", "--retention-days", "0"],
    ["retention", String(id), "--days", "x"],
    ["retention", String(id)],
  ])
    expect(await tablao(manager, ...args)).toMatchObject({ code: 2 });
  expect((await tablao(manager, "settings", "set", "retention_days", "forever")).code).toBe(0);
});

/** Python: runs a command in a terminal of its own, and types an answer when it is asked. */
const TERMINAL = `
import os, pty, sys
answer, command = sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen, typed = b"", False
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    if not typed and b"[y/N] " in seen:
        typed = True
        os.write(fd, answer.encode() + b"\\n")
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

testWith("python3")("P14: in a terminal, prune asks, and only yes deletes", async () => {
  const name = "asked for";
  const id = await rendered("--name", name);
  const env = cleanEnvironment({ TABLAO_URL: manager.url, TABLAO_TOKEN: manager.token, COLUMNS: "100" });
  const command = [process.execPath, path.join(CHECKOUT, "src/cli/tablao.js"), "prune", "--older-than", "1s"];
  await until(async () => Date.now() - (await show(id)).ended_ms! > 1_500, { what: "a second has passed" });
  const answered = async (answer: string): Promise<string> => {
    const child = startChild("python3", ["-c", TERMINAL, answer, ...command], { env });
    expect(await child.ended, child.stderr()).toMatchObject({ code: 0 });
    return child.stdout();
  };
  for (const no of ["", "n", "nope"]) expect(await answered(no)).toContain("nothing was deleted");
  expect(await isThere(id)).toBe(true);
  const yes = await answered("y");
  expect(yes).toMatch(/Delete \d+ tasks? \(.*\)\? \[y\/N\] /);
  expect(yes).toContain(`task ${id} deleted`);
  expect(await isThere(id)).toBe(false);
});
