/**
 * P6, P12: real agents with several versions of Blender (stand-in programs): a file of 5.0 is rendered by 5.0
 * alone, and no worker that cannot read it fails the task.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { framesPageSchema } from "../../src/protocol/task.ts";
import { standInBlender } from "../support/fake-blender.ts";
import {
  endFarm,
  startAgent,
  startManager,
  submit,
  tablao,
  taskOf,
  untilStatus,
  type Manager,
} from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { testScene } from "../support/test-scene.ts";
import { until } from "../support/wait.ts";

let manager: Manager;
const kept = temporaryFolder("blenders");
const folder = kept.path;
beforeAll(async () => {
  manager = await startManager();
});
afterAll(async () => {
  await endFarm();
  kept.remove();
});

/** An agent with these Blenders. */
async function agent(name: string, versions: string[], more: { crash?: boolean } = {}): Promise<number> {
  const args = versions.flatMap((version) => [
    "--blender",
    standInBlender(path.join(folder, name, version), version, more),
  ]);
  return (await startAgent(manager, { name, args })).id;
}

function blend(version: string): string {
  const file = path.join(folder, `scene-${version}.blend`);
  writeFileSync(file, testScene({ version }));
  return file;
}

async function blendersOf(task: number): Promise<Set<string | undefined>> {
  const { frames } = await manager.client.call(framesPageSchema, "GET", `/tasks/${task}/frames`);
  return new Set(frames.map(({ blender }) => blender));
}

test("P6: idle workers that cannot read the file use up no try, and the one that can renders it all", async () => {
  const old = await agent("render-07", ["3.4.1"]);
  const crashes = await agent("render-08", ["4.2.0"], { crash: true });
  // As an old client sends it: with no need of a version.
  const task = await submit(manager, blend("5.0"), "--frames", "1-6", "--blender", "any");
  const other = await submit(manager, blend("4.5"), "--frames", "1-3", "--blender", "any");
  await until(async () => (await taskOf(manager, task)).kept_off.length === 2, { what: "both give the task back" });
  await until(async () => (await taskOf(manager, other)).kept_off.length > 0, {
    what: "one gives the other task back",
  });
  const held = await taskOf(manager, task);
  expect(held).toMatchObject({ status: "queued", errors: 0, frames: { pending: 6, failed: 0 }, error: null });
  expect(held.kept_off.map(({ worker_id, reason }) => [worker_id, reason])).toEqual(
    expect.arrayContaining([
      [old, "saved by Blender 5.0, this worker has 3.4.1"],
      [crashes, "saved by Blender 5.0, this worker has 4.2.0"],
    ]),
  );
  const why = await tablao(manager, "why", String(task));
  expect(why.stdout).toContain("saved by Blender 5.0, this worker has 3.4.1");

  await agent("render-09", ["5.0.1"]);
  expect(await untilStatus(manager, task, ["completed", "failed"], 120_000)).toMatchObject({
    status: "completed",
    errors: 0,
    error: null,
  });
  expect(await blendersOf(task)).toEqual(new Set(["5.0.1"]));
  const shown = await tablao(manager, "task", String(task));
  expect(shown.stdout).toContain("saved by Blender 5.0, this worker has 3.4.1");
  expect(shown.stdout).toMatch(/^ {2}blender +5\.0\.1$/m);
  expect((await untilStatus(manager, other, ["completed", "failed"], 120_000)).errors).toBe(0);
});

test("P12: a task that needs 5.0 is given to no other worker, and one of 4.2+ to one minor version", async () => {
  await agent("render-10", ["4.5.15", "4.2.3"]);
  const exact = await submit(manager, blend("5.0"), "--frames", "1-4", "--blender", "5.0");
  const plus = await submit(manager, blend("4.2"), "--frames", "1-12", "--blender", "4.2+");
  expect(await untilStatus(manager, exact, ["completed", "failed"], 120_000)).toMatchObject({
    status: "completed",
    errors: 0,
    lost: 0,
    kept_off: [],
  });
  expect(await blendersOf(exact)).toEqual(new Set(["5.0.1"]));
  expect((await untilStatus(manager, plus, ["completed", "failed"], 120_000)).status).toBe("completed");
  const minors = new Set([...(await blendersOf(plus))].map((version) => version?.split(".").slice(0, 2).join(".")));
  expect(minors.size).toBe(1);
});

test("P12: submit says at once that no worker has the Blender, what there is, and which flag would take it", async () => {
  const sent = await tablao(manager, "submit", blend("3.6"), "--frames", "1", "--blender", "3.6");
  expect(sent.code).toBe(0);
  expect(sent.stderr).toMatch(
    /no worker has Blender 3\.6, so task \d+ waits: the farm has Blender 5\.0 \(1 worker\), 4\.5/,
  );
  expect(sent.stderr).toContain("--blender 3.6+");
  const id = /task (\d+)/.exec(sent.stdout)![1]!;
  expect((await taskOf(manager, Number(id))).status).toBe("queued");
  const listed = await tablao(manager, "workers");
  expect(listed.stdout).toContain("blender 4.5.15 and 4.2.3");
  const wrong = await tablao(manager, "submit", blend("3.6"), "--frames", "1", "--blender", "3.6.2");
  expect(wrong.code).not.toBe(0);
  expect(wrong.stderr).toContain("give 3.6, 3.6+ or any");
});
