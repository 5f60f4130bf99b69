/** P14: `tablao requeue` asks before it takes finished frames, and takes none that nobody has seen. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeManager, problem } from "../../test/support/fake-manager.ts";
import { newTask, terms } from "../../test/support/rules-farm.ts";
import { ManagerClient } from "../client/manager-client.ts";
import { definitionOf } from "../../test/support/definition.ts";
import { newRecord } from "../task/rules/record.ts";
import { taskView } from "../task/views/task.ts";
import { requeueNamed } from "./commands/requeue.ts";
import { EXIT } from "./failure.ts";

let manager: FakeManager;
/** The finished frames that the manager has, with the attempt that made each. */
let finished: Record<number, number>;
/** How often a frame that nobody names is finished before the request comes. */
let others: number;

beforeEach(async () => {
  manager = await FakeManager.start();
  finished = { 1: 1, 2: 1 };
  others = 0;
  let commits = 2;
  const version = (): string => `${commits}.2`;
  manager
    .on("GET", /^\/tasks\/7$/, () => ({ status: 200, json: shown(version()) }))
    .on("GET", /^\/tasks\/7\/frames/, ({ path }) => {
      expect(new URL(path, "http://x").searchParams.get("state")).toBe("done");
      const frames = Object.entries(finished).map(([frame, attempt]) => frameOf(Number(frame), attempt));
      return { status: 200, json: { frames, cursor: null } };
    })
    .on("PATCH", /^\/tasks\/7$/, ({ json }) => {
      if (others-- > 0) commits++;
      if (json?.["files_version"] === version()) return { status: 204 };
      const errors = [{ field: "files_version", message: "frames have been finished since" }];
      return problem(409, "conflict", "frames have been finished since", errors);
    });
});
afterEach(async () => await manager.stop());

function shown(files_version: string): object {
  const definition = definitionOf("demo_render", { frames: "1-9" }, { id: 7 });
  const task = newTask(terms("1-9"));
  const view = taskView({ definition, terms: task.terms, record: newRecord(definition, 0) }, 0, new Map());
  return { ...view, files_version, frames: { ...view.frames, done: 2, pending: 7 } };
}

function frameOf(frame: number, attempt: number): object {
  const rest = { worker_id: 1, seconds: 1, committed_ms: 0, failures: 0, error: null, files: [] };
  return { frame, attempt, state: "done", ...rest };
}

const run = async (frames: string, confirms: (question: string) => Promise<boolean> = async () => true) =>
  await requeueNamed(new ManagerClient({ url: manager.url, secret: "s" }), 7, frames, confirms);
const sent = (): unknown[] => manager.calls.filter(({ method }) => method === "PATCH").map(({ json }) => json);

test.each([
  ["1-5", "Render 2 finished frames of task 7 again? Their files are deleted. [y/N] "],
  ["all", "Render 2 finished frames of task 7 again? Their files are deleted. [y/N] "],
])("%s: asks, names the version that it saw, and changes nothing after a no", async (frames, question) => {
  const asked = vi.fn(async () => false);
  expect(await run(frames, asked)).toBe(false);
  expect(asked.mock.calls).toEqual([[question]]);
  expect(sent()).toEqual([]);
  expect(manager.to(/^\/tasks\/7$/), "the task is read once").toHaveLength(1);
  expect(await run(frames)).toBe(true);
  expect(sent()).toEqual([{ status: "requeue", frames, files_version: "2.2" }]);
});

test("asks nothing when no finished frame is among them", async () => {
  finished = {};
  const asked = vi.fn(async () => false);
  expect(await run("3", asked)).toBe(true);
  expect(asked).not.toHaveBeenCalled();
});

test("other frames of a busy task do not stop it, and it asks once", async () => {
  others = 3;
  const asked = vi.fn(async () => true);
  expect(await run("1-5", asked)).toBe(true);
  expect(asked).toHaveBeenCalledTimes(1);
  expect(sent()).toHaveLength(4);
});

test.each([
  ["one more is finished", { 1: 1, 2: 1, 3: 2 }],
  ["one is rendered again by somebody else", { 1: 1, 2: 9 }],
])("takes nothing when %s while it asks", async (_, after) => {
  others = 1;
  const refused = await run("1-5", async () => {
    finished = after;
    return true;
  }).catch((thrown: unknown) => thrown);
  expect(refused).toMatchObject({ exitCode: EXIT.refused, message: expect.stringContaining("finished meanwhile") });
  expect(sent()).toHaveLength(1);
});

test("all frames of a task that went on while it asked are not taken", async () => {
  others = 1;
  await expect(run("all")).rejects.toMatchObject({ exitCode: EXIT.refused });
  expect(sent()).toHaveLength(1);
});
