/** `tablao workers drain`, `tag`, `remove` …: which workers are meant, what is sent, asked and said. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeManager, problem } from "../../test/support/fake-manager.ts";
import { cleanEnvironment } from "../../test/support/child.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { WORKER_VIEW } from "../../test/support/worker-view.ts";
import { ManagerClient } from "../client/manager-client.ts";
import type { Worker } from "../protocol/worker.ts";
import { changeWorkers, removeWorkers, stateText, tagsAfter } from "./commands/change-workers.ts";
import { removalLines } from "./commands/workers.ts";
import { CliError, EXIT } from "./failure.ts";
import { chooseWorkers, findWorker } from "./worker-selection.ts";

const worker = (id: number, hostname: string, more: Partial<Worker> = {}): Worker =>
  ({ ...WORKER_VIEW, id, hostname, name: "", connection: "offline", ...more }) as Worker;

const FARM = [
  worker(1, "render-01", { connection: "online", status: "rendering" }),
  worker(2, "pod", { name: "2026" }),
  worker(3, "pod"),
  worker(4, "5"),
];

const TOKEN = "tablao_admin_0123456789abcdefghijklmnopqrstuvwxyz0123456";

let manager: FakeManager;
beforeEach(async () => {
  manager = await FakeManager.start();
  manager
    .on("GET", /^\/workers$/, () => ({
      status: 200,
      json: Object.fromEntries(FARM.map((one) => [`${one.hostname}#${one.id}`, one])),
    }))
    .on("DELETE", /^\/workers\/\d+$/, () => ({ status: 204 }));
});
afterEach(async () => await manager.stop());

const remove = async (wanted: string[], confirms: (question: string) => Promise<boolean> = async () => true) =>
  await removeWorkers(new ManagerClient({ url: manager.url, secret: "s" }), { wanted }, confirms);
const deleted = (): string[] => manager.calls.filter(({ method }) => method === "DELETE").map(({ path }) => path);

test("a farm without workers says how to start one, from wherever the command is run", async () => {
  const script = path.join(import.meta.dirname, "tablao.js");
  manager.handlers.unshift(({ path: where }) => (where === "/workers" ? { status: 200, json: {} } : undefined));
  const folder = temporaryFolder("elsewhere");
  const run = promisify(execFile)(process.execPath, [script, "--manager", manager.url, "workers"], {
    cwd: folder.path,
    env: cleanEnvironment({ HOME: folder.path, TABLAO_TOKEN: TOKEN }),
  }).finally(() => folder.remove());
  const { stdout, stderr } = await run;
  expect(stdout + stderr).toBe(`no workers; start one with: node ${script} worker\n`);
});

test("P14: it asks with the workers' names and states, and a no removes none", async () => {
  const asked = vi.fn(async () => false);
  expect(await remove(["render-01"], asked)).toBeNull();
  expect(asked).toHaveBeenCalledWith("Remove worker 1 (render-01, rendering)?");
  expect(deleted()).toEqual([]);
});

test("names and ids of several workers; one that is named twice is removed once", async () => {
  const asked = vi.fn(async () => true);
  expect(await remove(["2026", "3", "2"], asked)).toEqual([
    { id: 2, name: "2026", worker: null },
    { id: 3, name: "pod", worker: null },
  ]);
  expect(asked).toHaveBeenCalledWith("Remove 2 workers: 2 (2026, offline), 3 (pod, offline)?");
  expect(deleted()).toEqual(["/workers/2", "/workers/3"]);
});

test.each([
  ["nobody", EXIT.notFound, "there is no worker 'nobody'"],
  ["pod", EXIT.usage, "2 workers have the name 'pod'"],
])("%s: an error that says so, and nothing is removed", async (text, exitCode, message) => {
  await expect(remove(["1", text])).rejects.toMatchObject({ exitCode, message } satisfies Partial<CliError>);
  expect(deleted()).toEqual([]);
});

test("a number is an id; where there is no such id, it is a name", () => {
  expect(findWorker(FARM, "4").id).toBe(4);
  expect(findWorker(FARM, "5").id).toBe(4);
});

test("P14: workers that are removed within a week are named, the first of them first", () => {
  const day = 86_400_000;
  const at = Date.UTC(2026, 10, 1);
  const listed = [
    worker(1, "late", { expires_ms: at + 8 * day }),
    worker(2, "second", { expires_ms: at + 2 * day }),
    worker(3, "first", { expires_ms: at + day }),
    worker(4, "online", { expires_ms: null }),
    worker(5, "of 0.1"),
  ];
  const lines = removalLines(listed, at);
  expect(lines.map((line) => line.slice(0, 18))).toEqual(["worker 3 (first) i", "worker 2 (second) "]);
  expect(lines[0]).toContain("after 2026-11-02 00:00:00 UTC unless it calls again");
  expect(
    removalLines(
      Array.from({ length: 600 }, (_, n) => worker(n + 1, "pod", { expires_ms: at })),
      at,
    ).at(-1),
  ).toBe("and 595 more workers");
});

test.each([
  [{ wanted: [] }, EXIT.usage, "which workers?"],
  [{ wanted: ["1"], all: true }, EXIT.usage, "workers are named by ids, or by --all, or by --tags: say one of these"],
  [{ wanted: [], all: true, tags: ["gpu"] }, EXIT.usage, /say one of these/],
  [{ wanted: [], tags: ["gpu", "none-has-it"] }, EXIT.notFound, "no worker has the tags gpu, none-has-it"],
])("P10: a choice of workers that says nothing, two things or nobody: %o", (choice, exitCode, message) => {
  const listed = [worker(1, "a", { tags: ["gpu"] }), worker(2, "b")];
  let thrown: unknown;
  try {
    chooseWorkers(listed, choice);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({
    exitCode,
    message: typeof message === "string" ? message : expect.stringMatching(message),
  });
});

test("--tags chooses the workers that have all of them, and --all chooses all", () => {
  const listed = [worker(1, "a", { tags: ["gpu", "big"] }), worker(2, "b", { tags: ["gpu"] }), worker(3, "c")];
  const ids = (choice: Parameters<typeof chooseWorkers>[1]) => chooseWorkers(listed, choice).map(({ id }) => id);
  expect(ids({ wanted: [], tags: ["gpu"] })).toEqual([1, 2]);
  expect(ids({ wanted: [], tags: ["gpu", "big"] })).toEqual([1]);
  expect(ids({ wanted: [], all: true })).toEqual([1, 2, 3]);
});

test.each([
  [["a", "b"], { add: ["c", "a"] }, ["a", "b", "c"]],
  [["a", "b"], { remove: ["b", "x"] }, ["a"]],
  [["a", "b"], { add: ["c"], remove: ["a"] }, ["b", "c"]],
  [["a"], { set: [] }, []],
  [["a"], { set: ["x", "x"] }, ["x"]],
  [["a"], { reset: true }, null],
])("tags %o with %o are %o", (before, flags, after) => {
  expect(tagsAfter(before, flags)).toEqual(after);
});

test("a refusal of one worker does not keep the others from being changed, and is told", async () => {
  manager
    .on("PATCH", /^\/workers\/2$/, () => problem(404, "not_found", "there is no such worker"))
    .on("PATCH", /^\/workers\/\d+$/, () => ({ status: 200, json: { task_id: null, epoch: 1, status: "enabled" } }));
  const changes = await changeWorkers(new ManagerClient({ url: manager.url, secret: "s" }), FARM.slice(0, 3), () => ({
    status: "drain",
  }));
  expect(changes.map(({ id, error }) => [id, error?.code])).toEqual([
    [1, undefined],
    [2, "not_found"],
    [3, undefined],
  ]);
  expect(manager.to(/^\/workers\/\d+$/).map(({ json }) => json)).toEqual([1, 2, 3].map(() => ({ status: "drain" })));
});

test.each([
  [{ connection: "online" }, "enabled"],
  [{ connection: "online", status: "rendering", current_task: 7 }, "rendering task 7"],
  [{ connection: "online", status: "rendering", current_task: 7, draining: true }, "draining: it finishes task 7"],
  [{ connection: "online", draining: true }, "drained"],
  [{ connection: "online", status: "disabled", current_task: 7 }, "disabled: it finishes task 7"],
  [{ connection: "online", local_state: "paused" }, "paused on the machine: it is resumed there"],
  [
    { connection: "online", local_state: "paused", status: "rendering", current_task: 7 },
    "paused on the machine: it finishes task 7",
  ],
  [{ connection: "offline", draining: true }, "offline, and drained"],
  [{ connection: "offline" }, "offline"],
] satisfies [Partial<Worker>, string][])("a worker that is %o is told as %s", (fields, text) => {
  expect(stateText(worker(1, "a", fields))).toBe(text);
});
