/** The command line against a real manager with a real agent. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { fileListSchema } from "../../src/protocol/file.ts";
import { storageSchema } from "../../src/protocol/storage.ts";
import { taskSchema } from "../../src/protocol/task.ts";
import { testScene } from "../support/test-scene.ts";
import { cleanEnvironment, startChild } from "../support/child.ts";
import {
  CHECKOUT,
  endFarm,
  startAgent,
  startManager,
  startTablao,
  submit,
  tablao,
  taskOf,
  untilStatus,
  type Manager,
} from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { until } from "../support/wait.ts";

let manager: Manager;

beforeAll(async () => {
  manager = await startManager();
  await startAgent(manager, { name: "one", args: ["--tags", "quick"] });
});
afterAll(endFarm);

const demo = (frames: string, extra: Record<string, unknown> = {}): string[] => {
  const settings = JSON.stringify({ width: 32, height: 18, samples: 1, ...extra });
  return ["--type", "demo_render", "--frames", frames, "--settings", settings];
};
const print = (text: string, frames = "1"): string[] => [
  "--type",
  "print_string",
  "--settings",
  JSON.stringify({ text }),
  "--frames",
  frames,
];

const countsSchema = z.object({
  total: z.int(),
  pending: z.int(),
  leased: z.int(),
  done: z.int(),
  failed: z.int(),
  skipped: z.int(),
});
/** The contract for scripts, field by field. */
const contract = z.object({ id: z.int(), status: z.string(), frames: countsSchema, error: z.string().nullable() });

test("scripts: submit --json is one object with id and status; task, tasks and workers --json keep their shapes", async () => {
  const submitted = await tablao(manager, "submit", ...print("hello", "1-3"), "--json");
  expect(submitted).toMatchObject({ code: 0, stderr: "" });
  const { id } = z.object({ id: z.int(), status: z.string() }).parse(submitted.json());
  await untilStatus(manager, id, ["completed"]);

  const task = contract.parse((await tablao(manager, "task", String(id), "--json")).json());
  expect(task).toEqual({
    id,
    status: "completed",
    error: null,
    frames: { total: 3, pending: 0, leased: 0, done: 3, failed: 0, skipped: 0 },
  });
  const tasks = z.array(contract).parse((await tablao(manager, "--json", "tasks")).json());
  expect(tasks.map((each) => each.id)).toContain(id);
  const workers = z
    .array(z.looseObject({ id: z.int(), name: z.string(), connection: z.string() }))
    .parse((await tablao(manager, "workers", "--json")).json());
  expect(workers).toEqual([expect.objectContaining({ name: "one", connection: "online", tags: ["quick"] })]);
});

test("submit --wait ends with the task: 0 when completed, 1 and the reason when not", async () => {
  const good = await tablao(manager, "submit", ...print("hello", "1-4"), "--wait");
  expect(good.code).toBe(0);
  expect(good.stdout).toMatch(/task \d+ completed: 4 frames/);

  const waiting = startTablao({ manager }, "submit", ...demo("1-50", { delay_ms: 2_000 }), "--wait");
  const id = Number(await until(() => /task (\d+) /.exec(waiting.stdout())?.[1], { what: "it is queued" }));
  await tablao(manager, "cancel", String(id));
  expect((await waiting.ended).code).toBe(1);
  expect(waiting.stderr()).toMatch(new RegExp(`tablao: task ${id} canceled with \\d+ of 50 frames done`));
});

test("Ctrl-C ends the waiting and not the task, and prints that", async () => {
  const waiting = startTablao({ manager }, "submit", ...demo("1-3", { delay_ms: 1_000 }), "--wait");
  const id = Number(await until(() => /task (\d+) /.exec(waiting.stdout())?.[1], { what: "it is queued" }));
  await until(() => waiting.stderr().includes(`task ${id}:`), { what: "it waits" });
  expect((await waiting.end("SIGINT")).code).toBe(130);
  expect(waiting.stderr()).toContain(`stopped waiting; task ${id} goes on`);
  await untilStatus(manager, id, ["completed"]);
});

test("P11: download writes frames under their names, verified; a second run fetches only what is missing or damaged", async () => {
  const dir = path.join(testFolder("frames"), "out", "deep");
  const id = await submit(manager, ...demo("1-6"));
  await untilStatus(manager, id, ["completed"]);
  const fileSchema = z.object({
    frame: z.int(),
    name: z.string(),
    sha256: z.string(),
    state: z.enum(["downloaded", "present"]),
  });
  const download = async (): Promise<z.infer<typeof fileSchema>[]> => {
    const result = await tablao(manager, "download", String(id), dir, "--json");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    return z.object({ files: z.array(fileSchema) }).parse(result.json()).files;
  };
  const first = await download();
  expect(first.map((file) => file.frame)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(readdirSync(dir).toSorted()).toEqual(first.map((file) => file.name));
  const hashes = (): string[] =>
    first.map((file) =>
      createHash("sha256")
        .update(readFileSync(path.join(dir, file.name)))
        .digest("hex"),
    );
  expect(hashes()).toEqual(first.map((file) => file.sha256));

  const [a, b, c] = first.map((file) => path.join(dir, file.name));
  writeFileSync(a!, "damaged");
  rmSync(b!);
  // Half of this file was downloaded last time.
  writeFileSync(`${c!}.part`, readFileSync(c!).subarray(0, 100));
  rmSync(c!);
  const second = await download();
  expect(second.filter((file) => file.state === "downloaded").map((file) => file.frame)).toEqual([1, 2, 3]);
  expect(hashes()).toEqual(first.map((file) => file.sha256));
  expect(readdirSync(dir).filter((name) => name.endsWith(".part"))).toEqual([]);

  const some = await tablao(manager, "download", String(id), path.join(dir, "some"), "--frames", "2,5");
  expect(some.code).toBe(0);
  expect(readdirSync(path.join(dir, "some"))).toHaveLength(2);
});

test("exit codes: 2 usage, 3 not found, 4 auth, 5 unreachable, 6 refused; one line on stderr, never a stack or a token", async () => {
  const cases: [number, RegExp, Awaited<ReturnType<typeof tablao>>][] = [
    [2, /unknown option/, await tablao(manager, "tasks", "--nonsense")],
    [2, /submit needs a \.blend, or --type/, await tablao(manager, "submit")],
    [2, /--dry-run goes with a \.blend/, await tablao(manager, "submit", ...print("no"), "--dry-run")],
    [2, /step of 0/, await tablao(manager, "submit", "shot.blend", "--frames", "1-5:0")],
    [2, /there is no file .*no\.blend/, await tablao(manager, "submit", "no.blend", "--frames", "1")],
    [
      2,
      /README\.md: .*not a \.blend file/,
      await tablao(manager, "submit", path.join(CHECKOUT, "README.md"), "-f", "1"),
    ],
    [2, /--video needs a task that makes pictures/, await tablao(manager, "submit", ...print("no"), "--video")],
    [2, /whole number/, await tablao(manager, "task", "abc")],
    [3, /no such|no task|999999/i, await tablao(manager, "task", "999999")],
    [3, /no such|no task|999999/i, await tablao(manager, "download", "999999")],
    [4, /does not know this token/, await tablao({ manager: { url: manager.url, token: "wrong" } }, "tasks")],
    [4, /there is no token/, await tablao({}, "tasks", "--manager", manager.url.replace("127.0.0.1", "localhost"))],
    [5, /cannot be reached/, await tablao({ manager: { url: "http://127.0.0.1:9", token: "secret-token" } }, "tasks")],
    [6, /settings\.samples/, await tablao(manager, "submit", ...demo("1", { samples: 0 }))],
    [6, /type/, await tablao(manager, "submit", "--type", "no_such_type")],
  ];
  for (const [code, message, result] of cases) {
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^tablao: .+\n$/);
    expect(result.stderr.trim().split("\n")).toHaveLength(1);
    expect(result.stderr).not.toMatch(/ {4}at |secret-token/);
    expect(result.stderr).not.toContain(manager.token);
  }
});

test("a submission uploads its files: once, with paths relative to the .blend, and nothing the second time", async () => {
  const folder = testFolder("shot");
  const blend = path.join(folder, "shot.blend");
  writeFileSync(blend, testScene());
  const textures = path.join(folder, "textures");
  mkdirSync(textures);
  writeFileSync(path.join(textures, "wood.png"), "wood");
  symlinkSync("wood.png", path.join(textures, "same.png"));

  const args = [
    "submit",
    blend,
    "--frames",
    "1-2",
    "--include",
    textures,
    "--paused",
    "--samples",
    "3",
    "--after",
    "1",
    "--priority",
    "7",
  ];
  const first = await tablao(manager, ...args);
  expect(first.code).toBe(0);
  expect(first.stderr).toMatch(/sent 3 files/);
  const second = await tablao(manager, ...args);
  expect(second.stderr).toMatch(/3 files on the manager already, nothing to send/);

  const id = Number(/task (\d+)/.exec(second.stdout)![1]);
  const task = await taskOf(manager, id);
  expect(task).toMatchObject({
    name: "shot",
    type: "blender_render",
    priority: 7,
    status: "paused",
    depends_on: [{ task: 1, frames: "all" }],
  });
  expect(task.settings).toMatchObject({ file: "shot.blend", samples: 3, frames: "1-2" });
  const assets = z.array(z.object({ path: z.string() })).parse(task.settings["assets"]);
  expect(assets.map((asset) => asset.path)).toEqual(["shot.blend", "textures/same.png", "textures/wood.png"]);

  symlinkSync("/etc/hostname", path.join(textures, "escape.png"));
  const escape = await tablao(manager, ...args);
  expect(escape.code).toBe(0);
  expect(escape.stderr).toMatch(/left out: .*escape\.png is a link to .*outside[^]*1 file of the included folders/);
});

test("pause, resume, requeue, skip, priority, cancel and delete do what they say", async () => {
  const id = String(await submit(manager, ...print("steps", "1-4"), "--paused"));
  const act = async (...args: string[]): Promise<z.infer<typeof contract>> =>
    contract.parse((await tablao(manager, ...args, "--json")).json());
  expect((await act("skip", id, "--frames", "4")).frames).toMatchObject({ skipped: 1, pending: 3 });
  expect(await act("priority", id, "-5")).toMatchObject({ status: "paused" });
  expect((await taskOf(manager, Number(id))).priority).toBe(-5);
  await act("resume", id);
  await untilStatus(manager, Number(id), ["completed"]);
  // Finished frames are rendered again only when they are named, and somebody has said yes (P14).
  const whole = await tablao(manager, "requeue", id);
  expect(whole).toMatchObject({ code: 6 });
  expect(whole.stderr).toMatch(/no frame of this task failed or was canceled.*`--frames 1-5`, or all with `--all`/);
  const unasked = await tablao(manager, "requeue", id, "--all");
  expect(unasked).toMatchObject({ code: 2 });
  expect(unasked.stderr).toContain("requeue asks before it renders finished frames again, and this is no terminal");
  expect((await taskOf(manager, Number(id))).frames).toMatchObject({ done: 3, skipped: 1 });
  expect((await tablao(manager, "requeue", id, "--all", "--frames", "2")).code).toBe(2);
  await act("requeue", id, "--frames", "2", "--yes");
  expect((await untilStatus(manager, Number(id), ["completed"])).frames).toMatchObject({ done: 3, skipped: 1 });
  const other = String(await submit(manager, ...print("never"), "--paused"));
  expect(await act("cancel", other)).toMatchObject({ status: "canceled" });
  const gone = await tablao(manager, "delete", other, id);
  expect(gone).toMatchObject({ code: 0, stdout: `task ${other} deleted\ntask ${id} deleted\n` });
  expect((await tablao(manager, "task", other)).code).toBe(3);
});

test("logs prints what the task printed, and --follow ends with the task", async () => {
  const id = String(await submit(manager, ...print("olé", "1-3")));
  const followed = await tablao(manager, "logs", id, "--follow");
  expect(followed.code).toBe(0);
  expect(followed.stdout.match(/olé/g)).toHaveLength(3);
  const all = z
    .array(z.object({ text: z.string(), worker_id: z.int().nullable() }))
    .parse((await tablao(manager, "logs", id, "--json")).json());
  expect(all.map((line) => line.text).join("\n")).toContain("olé");
});

test("settings and tokens: set, get, list; create shows the secret once, revoke ends it", async () => {
  expect((await tablao(manager, "settings", "set", "render.quick", '{"samples": 4}')).code).toBe(0);
  expect((await tablao(manager, "settings", "get", "render.quick", "--json")).json()).toEqual({
    name: "render.quick",
    value: { samples: 4 },
  });
  expect((await tablao(manager, "settings", "list", "--json")).json()).toMatchObject({
    "render.quick": { samples: 4 },
  });

  const created = z
    .object({ id: z.int(), token: z.string() })
    .parse((await tablao(manager, "token", "create", "viewer", "--expires", "1h", "--json")).json());
  const viewer = { url: manager.url, token: created.token };
  expect((await tablao({ manager: viewer }, "tasks", "--json")).code).toBe(0);
  const forbidden = await tablao({ manager: viewer }, "submit", ...print("no"));
  expect(forbidden.code).toBe(4);
  const list = await tablao(manager, "token", "list", "--json");
  expect(list.stdout).not.toContain(created.token);
  expect((await tablao(manager, "token", "revoke", String(created.id))).code).toBe(0);
  expect((await tablao({ manager: viewer }, "tasks")).code).toBe(4);
});

test("history tells what happened to a task", async () => {
  const id = await submit(manager, ...print("story", "1-2"));
  await untilStatus(manager, id, ["completed"]);
  const kinds = await until(
    async () => {
      const events = z
        .array(z.object({ kind: z.string(), task_id: z.int() }))
        .parse((await tablao(manager, "history", "--task", String(id), "--json")).json());
      return events.some((event) => event.kind === "completed") && events.map((event) => event.kind);
    },
    { what: "history has the end", everyMs: 500 },
  );
  expect(kinds[0]).toBe("completed");
  expect(kinds.at(-1)).toBe("submitted");
  const days = z
    .array(z.object({ frames: z.int() }))
    .parse((await tablao(manager, "history", "--days", "--json")).json());
  expect(days[0]!.frames).toBeGreaterThanOrEqual(2);
});

test("login stores address and token for the owner only, and then nothing else needs to be set; a bad token is not stored", async () => {
  const home = testFolder("home");
  const env = { XDG_CONFIG_HOME: home };
  const config = path.join(home, "tablao", "config.json");
  const bad = await tablao({ env, input: "wrong\n" }, "login", manager.url);
  expect(bad.code).toBe(4);
  expect(existsSync(config)).toBe(false);
  const good = await tablao({ env, input: `${manager.token}\n` }, "login", manager.url);
  expect(good.code).toBe(0);
  expect(good.stdout).not.toContain(manager.token);
  expect(statSync(config).mode & 0o777).toBe(0o600);
  expect((await tablao({ env }, "tasks", "--json")).code).toBe(0);
  expect((await tablao({ env }, "logout")).code).toBe(0);
  expect(existsSync(config)).toBe(false);
});

test("`npx tablao` works in a checkout, whichever Node runs npx", async () => {
  const env = cleanEnvironment({ TABLAO_URL: manager.url, TABLAO_TOKEN: manager.token });
  const child = startChild("npx", ["tablao", "tasks", "--json"], { cwd: CHECKOUT, env });
  expect((await child.ended).code).toBe(0);
  expect(z.array(contract).parse(JSON.parse(child.stdout())).length).toBeGreaterThan(0);
});

test("`npx tablao worker` stops when npx is told to stop: npx itself would leave it running", async () => {
  const created = await tablao(manager, "token", "create", "--role", "join", "--uses", "1", "--json");
  const { token } = z.object({ token: z.string() }).parse(JSON.parse(created.stdout));
  const env = cleanEnvironment({ TABLAO_URL: manager.url, TABLAO_JOIN: token });
  const args = ["tablao", "worker", "--name", "by-npx", "--state-dir", testFolder("by-npx")];
  const child = startChild("npx", args, { cwd: CHECKOUT, env });
  await until(() => (child.stdout() + child.stderr()).includes("waiting for work"), {
    what: "the worker waits for work",
  });
  await child.end("SIGTERM");
  const online = async (): Promise<boolean> =>
    z
      .array(z.object({ name: z.string(), connection: z.string() }))
      .parse(JSON.parse((await tablao(manager, "workers", "--json")).stdout))
      .some((worker) => worker.name === "by-npx" && worker.connection === "online");
  await until(async () => !(await online()), { what: "the worker has said goodbye" });
});

test("output in a pipe that closes early is no error", async () => {
  const shell = `"${process.execPath}" src/cli/tablao.js --help | head -1; echo "\${PIPESTATUS[0]}"`;
  const child = startChild("bash", ["-c", shell], { cwd: CHECKOUT, env: cleanEnvironment() });
  await child.ended;
  expect(child.stdout()).toBe("Usage: tablao [options] [command]\n0\n");
});

test("tablao storage tells what frames and inputs take, by owner and by task, and what a month costs; a wrong limit is refused", async () => {
  const [small, large] = [await submit(manager, ...demo("1-2")), await submit(manager, ...demo("1-4", { width: 200 }))];
  for (const id of [small, large]) await untilStatus(manager, id, ["completed"]);
  const sizes = new Map<number, number>();
  for (const id of [small, large]) {
    const { files } = await manager.client.call(fileListSchema, "GET", `/tasks/${id}/files`);
    sizes.set(
      id,
      files.reduce((sum, { size }) => sum + size, 0),
    );
  }
  const told = await tablao(manager, "storage", "--json", "--limit", "500");
  expect(told).toMatchObject({ code: 0, stderr: "" });
  const { largest, ...storage } = storageSchema.extend({ largest: z.array(taskSchema.partial()) }).parse(told.json());
  const listed = new Map(largest.map(({ id, stored_bytes }) => [id, stored_bytes]));
  // The list of files has no previews, so a task may store more.
  for (const [id, size] of sizes) expect(listed.get(id)).toBeGreaterThanOrEqual(size);
  expect(largest.map(({ stored_bytes }) => stored_bytes)).toEqual(
    largest.map(({ stored_bytes }) => stored_bytes).toSorted((a, b) => b! - a!),
  );
  expect(storage.outputs.bytes).toBe(largest.reduce((sum, { stored_bytes }) => sum + (stored_bytes ?? 0), 0));
  const { stdout, code } = await tablao(manager, "storage");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^frames +\S+ \S+ in \d+ tasks\ninputs +.*\na month +\$0\.00 on Cloudflare R2/);
  expect(stdout).toMatch(/\nOWNER +STORED +TASKS\nadmin +/);
  expect(await tablao(manager, "storage", "--limit", "0")).toMatchObject({ code: 2, stdout: "" });
});
