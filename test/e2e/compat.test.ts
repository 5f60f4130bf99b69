/**
 * Old agents and command lines with today's manager, and today's with old managers: the releases of
 * `test/compat/fixtures` (docs/operations.md, "Old agents and old managers").
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BLENDER_NEED_SINCE } from "../../src/protocol/blender-version.ts";
import type { Task } from "../../src/protocol/task.ts";
import { isAtLeast, VERSION } from "../../src/protocol/version.ts";
import { workersSchema } from "../../src/protocol/worker.ts";
import { startReleaseManager, type ReleaseManager } from "../compat/manager.ts";
import { supportedReleases, writeProgram } from "../compat/release.ts";
import { standInBlender } from "../support/fake-blender.ts";
import {
  CHECKOUT,
  endFarm,
  startAgent,
  startManager,
  submit,
  submitWith,
  tablao,
  taskOf,
  untilStatus,
  type Agent,
  type Manager,
} from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { eventsThrough, filesOf, framesIn, range } from "../support/history.ts";
import { testScene } from "../support/test-scene.ts";
import { until } from "../support/wait.ts";

type Farm = Pick<Manager, "url" | "token" | "client">;

const kept = temporaryFolder("compat");
afterAll(async () => {
  await endFarm();
  kept.remove();
});

/** What `npm start` built: the program that managers serve. */
const TODAY = path.join(CHECKOUT, "public/tablao.mjs");

const demo = (frames: string, delayMs = 0): string[] => {
  const settings = JSON.stringify({ width: 32, height: 18, samples: 1, delay_ms: delayMs });
  return ["--type", "demo_render", "--frames", frames, "--settings", settings];
};

/** A task of this shell script, in which $frame is the frame and $file the file to write. */
const shell = (frames: string, script: string): string[] => {
  const set = 'frame=$1; file=$(dirname "$0")/part_$(printf %04d "$1").txt; ';
  const args = ["-c", set + script, "{out:any}", "{frame}"];
  const settings = JSON.stringify({ program: "/bin/sh", args, outputs: "part_####.txt" });
  return ["--type", "exec", "--frames", frames, "--settings", settings];
};

/** A scene that a release of Blender saved; its path. */
function blend(version: string, name = "scene"): string {
  const file = path.join(kept.path, `${name}-${version}.blend`);
  if (!existsSync(file)) writeFileSync(file, testScene({ version }));
  return file;
}

async function completed(farm: Farm, id: number): Promise<Task> {
  const task = await untilStatus(farm, id, ["completed", "failed"]);
  expect(task, `task ${id}`).toMatchObject({ status: "completed", errors: 0, error: null });
  return task;
}

/** Every frame was done once, says the history, and is there once. Answers with the workers that did them. */
async function expectOnce(farm: Farm, id: number, frames: number): Promise<Set<number | null>> {
  await completed(farm, id);
  const done = framesIn(await eventsThrough(farm, id, "completed"), "done");
  expect(done.map(({ frame }) => frame).toSorted((a, b) => a - b)).toEqual(range(1, frames));
  expect((await filesOf(farm, id)).map(({ frame }) => frame)).toEqual(range(1, frames));
  return new Set(done.map(({ worker }) => worker));
}

/** A frame that was done is done a second time. */
async function expectOnceMore(farm: Farm, id: number, frame: number): Promise<void> {
  await completed(farm, id);
  const again = async (): Promise<boolean> =>
    framesIn(await eventsThrough(farm, id, "completed"), "done").filter((one) => one.frame === frame).length === 2;
  await until(again, { what: `frame ${frame} of task ${id} is done again`, everyMs: 300 });
}

async function untilHeldBy(farm: Farm, id: number, agent: Agent): Promise<void> {
  const held = async (): Promise<boolean> => (await taskOf(farm, id)).leases.some((one) => one.worker_id === agent.id);
  await until(held, { what: `${agent.name} has a lease of task ${id}`, everyMs: 50 });
}

/** Everything that an agent does in its life, but for its end. */
async function works(farm: Farm, agent: Agent): Promise<void> {
  await completed(farm, await submit(farm, ...demo("1-3")));
  const printing = await submit(farm, "--type", "print_string", "--settings", '{"text":"hi"}', "--frames", "1-3");
  await completed(farm, printing);

  const scene = await submit(farm, blend("3.4"), "--frames", "1-3", "--blender", "any");
  await completed(farm, scene);
  expect(await filesOf(farm, scene)).toHaveLength(3);

  // A frame that fails is tried as often as the task says, and the others are done.
  // The warning is for managers that keep warnings, and must not harm others.
  const script = 'echo "tablao: warning: dim"; test "$frame" != 2 && echo done > "$file"';
  const failing = await submit(farm, ...shell("1-3", script), "--tries", "2");
  const failed = await untilStatus(farm, failing, ["completed", "failed"]);
  expect(failed).toMatchObject({ status: "failed", errors: 2, frames: { done: 2, failed: 1 } });

  // Whose fault it is, too, is for managers that know.
  const dark = await submit(farm, blend("3.4", "no-camera"), "--frames", "1", "--tries", "2", "--blender", "any");
  const refused = await untilStatus(farm, dark, ["completed", "failed"]);
  expect(refused).toMatchObject({ status: "failed", frames: { failed: 1 } });
  expect(refused.error).toContain("no camera");

  const endless = await submit(farm, ...shell("1", "sleep 600"));
  await untilHeldBy(farm, endless, agent);
  expect((await tablao({ manager: farm }, "cancel", String(endless))).code).toBe(0);
  await completed(farm, await submit(farm, ...demo("1-2")));
}

describe.each(supportedReleases(VERSION))("release $version", (release) => {
  const folder = path.join(kept.path, release.version);
  const old = writeProgram(release, path.join(folder, "program"));
  const blender = standInBlender(path.join(folder, "3.4.1"), "3.4.1");
  const args = ["--allow-exec", "--blender", blender];

  describe("its agents and commands with today's manager", () => {
    let manager: Manager;
    beforeAll(async () => {
      manager = await startManager();
    });
    afterAll(async () => {
      await manager.stop();
    });

    test("an agent registers, renders, fails a frame, drops what is canceled, and gives back when it is stopped", async () => {
      const agent = await startAgent(manager, { name: "old", program: old, args });
      const workers = Object.values(await manager.client.call(workersSchema, "GET", "/workers"));
      expect(workers).toMatchObject([{ id: agent.id, version: release.version }]);
      await works(manager, agent);

      if (!isAtLeast(release.version, BLENDER_NEED_SINCE)) {
        const newer = await submit(manager, blend("3.4"), "--frames", "1", "--blender", "3.4");
        const why = await tablao(manager, "why", String(newer));
        expect(why.stdout).toContain(`needs an agent of version ${BLENDER_NEED_SINCE} or newer`);
        expect((await tablao(manager, "cancel", String(newer))).code).toBe(0);
      }

      const slow = await submit(manager, ...demo("1-4", 1_500), "--chunk", "4");
      await untilHeldBy(manager, slow, agent);
      await agent.stop();
      const back = await until(
        async () => {
          const task = await taskOf(manager, slow);
          return task.leases.length === 0 && task;
        },
        { what: "the agent gave its frames back" },
      );
      expect(back).toMatchObject({ errors: 0, kept_off: [] });
      // Another one goes on where it stopped.
      const next = await startAgent(manager, { name: "old", program: old, args, stateDir: agent.stateDir });
      expect(next.id).toBe(agent.id);
      await expectOnce(manager, slow, 4);
      await next.stop();
    });

    test("P2: old and new agents share a task, one of each is killed, and no frame is lost or done twice", async () => {
      const [north, south, third, fourth] = await Promise.all([
        startAgent(manager, { name: "north", program: old, args }),
        startAgent(manager, { name: "south", args }),
        startAgent(manager, { name: "third", program: old, args }),
        startAgent(manager, { name: "fourth", args }),
      ]);
      const id = await submit(manager, ...demo("1-24", 300), "--chunk", "2", "--lease", "5");
      for (const victim of [north, south]) {
        await untilHeldBy(manager, id, victim);
        await victim.kill();
      }
      const workers = await expectOnce(manager, id, 24);
      expect([...workers]).toEqual(expect.arrayContaining([third.id, fourth.id]));
      await Promise.all([third.stop(), fourth.stop()]);
    });

    test("its commands submit, list, show, download and cancel", async () => {
      const options = { manager, program: old };
      const agent = await startAgent(manager, { name: "today", args });
      const id = await submitWith(options, blend("3.4"), "--frames", "1-2");
      await completed(manager, id);
      for (const command of ["task", "why", "logs"]) expect((await tablao(options, command, String(id))).code).toBe(0);
      for (const command of ["tasks", "workers", "history"]) {
        const shown = await tablao(options, command);
        expect(shown, command).toMatchObject({ code: 0, stderr: "" });
        expect(shown.stdout).toMatch(command === "workers" ? /today/ : new RegExp(`\\b${id}\\b`));
      }
      const target = path.join(folder, "downloaded");
      expect(await tablao(options, "download", String(id), target)).toMatchObject({ code: 0 });
      expect(readdirSync(target).filter((name) => name.endsWith(".png"))).toHaveLength(2);
      await agent.stop();

      const waiting = await submitWith(options, ...demo("1-2"));
      for (const [command, status] of [
        ["pause", "paused"],
        ["resume", "queued"],
        ["cancel", "canceled"],
      ] as const) {
        expect((await tablao(options, command, String(waiting))).code).toBe(0);
        expect((await taskOf(manager, waiting)).status).toBe(status);
      }
    });
  });

  describe("its manager with today's agents and commands", () => {
    let manager: ReleaseManager;
    beforeAll(async () => {
      manager = await startReleaseManager(release);
    });
    afterAll(async () => {
      await manager.stop();
    });

    test("an agent registers with all its Blenders, renders, fails a frame, drops what is canceled, gives back", async () => {
      const newer = standInBlender(path.join(folder, "4.2.0"), "4.2.0");
      const agent = await startAgent(manager, { name: "today", args: [...args, "--blender", newer] });
      await works(manager, agent);
      const slow = await submit(manager, ...demo("1-4", 1_500), "--chunk", "4");
      await untilHeldBy(manager, slow, agent);
      await agent.stop();
      expect(await taskOf(manager, slow)).toMatchObject({ leases: [], errors: 0, kept_off: [] });

      // The program that managers serve: this one serves none, and the agent stays as it is.
      const bundle = await startAgent(manager, { name: "bundle", program: TODAY, args });
      await expectOnce(manager, slow, 4);
      expect(bundle.said()).not.toMatch(/could not be fetched|serves another program/);
      await bundle.stop();
    });

    test("P12: a file that a worker cannot read is given back, and uses up no try", async () => {
      const agent = await startAgent(manager, { name: "behind", args });
      const id = await submit(manager, blend("5.0"), "--frames", "1-2");
      await until(() => agent.said().includes("saved by Blender 5.0") || undefined, { what: "it gives the task back" });
      expect(await taskOf(manager, id)).toMatchObject({ status: "queued", errors: 0 });
      await agent.stop();
    });

    test("its agents and today's share a task", async () => {
      const agents = await Promise.all([
        startAgent(manager, { name: "north", program: old, args }),
        startAgent(manager, { name: "south", args }),
      ]);
      const id = await submit(manager, ...demo("1-12", 300));
      expect(await expectOnce(manager, id, 12)).toEqual(new Set(agents.map((agent) => agent.id)));
      await Promise.all(agents.map((agent) => agent.stop()));
    });

    test("the commands submit, list, show and download; what it does not know is refused by name", async () => {
      const agent = await startAgent(manager, { name: "for-commands", args });
      const done = await completed(manager, await submit(manager, blend("3.4"), "--frames", "1-3"));
      for (const command of ["task", "why", "logs"])
        expect(await tablao({ manager }, command, String(done.id)), command).toMatchObject({ code: 0, stderr: "" });
      for (const command of ["tasks", "workers", "history"])
        expect(await tablao({ manager }, command), command).toMatchObject({ code: 0, stderr: "" });
      const target = path.join(folder, "from-old");
      expect(await tablao({ manager }, "download", String(done.id), target)).toMatchObject({ code: 0 });
      expect(readdirSync(target).filter((name) => name.endsWith(".png"))).toHaveLength(3);
      expect((await tablao({ manager }, "requeue", String(done.id), "--frames", "2", "--yes")).code).toBe(0);
      await expectOnceMore(manager, done.id, 2);
      await agent.stop();

      // The first release of which each is a part.
      for (const [since, name, flags] of [
        ["0.2.0", "blender", ["--blender", "3.4"]],
        ["0.2.0", "strict", ["--strict"]],
        ["0.2.0", "allow_missing", ["--allow-missing", "*.png"]],
        ["0.2.0", "retention_days", ["--retention-days", "3"]],
      ] as const) {
        if (isAtLeast(release.version, since)) continue;
        const refused = await tablao({ manager }, "submit", blend("4.2"), "--frames", "1", ...flags);
        expect(refused.code, name).toBe(6);
        expect(refused.stderr).toContain(`this manager is older than ${since}: it does not know ${name}.`);
      }
      if (isAtLeast(release.version, "0.2.0")) return;
      const backup = await tablao({ manager }, "backup", path.join(folder, "backup"));
      expect(backup).toMatchObject({ code: 1 });
      expect(backup.stderr).toContain("this command line cannot back it up");
      const days = await tablao({ manager }, "retention", String(done.id), "--days", "3");
      expect(days.code).toBe(6);
      expect(days.stderr).toContain(`The manager is of release ${release.version}`);
    });
  });
});
