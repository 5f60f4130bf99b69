/**
 * Scenes that cannot be rendered: each task fails with Blender's own reason after three tries, and
 * the other tasks go on.
 */
import { copyFileSync, statSync, truncateSync } from "node:fs";
import path from "node:path";
import { afterAll, expect } from "vitest";
import { z } from "zod";
import { endFarm, startAgent, startManager, submit, tablao, taskOf, untilStatus } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { eventsOf, eventsThrough, framesIn } from "../support/history.ts";
import { testWith } from "../support/programs.ts";
import { makeScenes } from "../support/scenes.ts";

afterAll(endFarm);

const TRIES = 3;

/** The whole message of Blender, or of our check inside it, for each scene. */
const REASONS = {
  denoised: /^Build without OpenImageDenoiser$/,
  truncated: /^Failed to read blend file '.*truncated\.blend': .+$/,
  untextured: /^missing file 'textures\/lost\.png' \(image "Floor"\)$/,
  // Blender exits 0 on all three; the first two even leave a picture.
  broken_script: /^Python: RuntimeError: the rig has no spine$/,
  broken_handler: /^Python: KeyError: 'left_elbow'$/,
  quitting_script: /^blender exited 0, but frame_0001\.png was not written\n(.*\n)*nothing to see here$/,
} as const;

/** What the manager adds when the scene is at fault. */
const AT_ONCE = " (stopped at once: every other worker would find the same in the scene)";
/** What the manager adds to the newest failure: why the task does not go on. */
const STOPPED = " (stopped after 3 failures and not one frame came out, the last on frame 1)";

const shownSchema = z.object({
  status: z.string(),
  error: z.string(),
  frames: z.object({ total: z.int(), failed: z.int(), done: z.int(), pending: z.int(), leased: z.int() }),
});

testWith("blender")(
  "P6, P11: a missing denoiser, a truncated file, a missing texture, Python errors that exit 0: failed after three tries with Blender's reason; other tasks go on",
  async () => {
    const folder = testFolder("scenes");
    const scenes = makeScenes(
      folder,
      ...(["healthy", "denoised", "untextured", "broken_script", "broken_handler", "quitting_script"] as const),
    );
    const truncated = path.join(folder, "truncated.blend");
    copyFileSync(scenes.healthy, truncated);
    truncateSync(truncated, Math.floor(statSync(truncated).size / 3));

    const manager = await startManager();
    for (const name of ["left", "right"]) await startAgent(manager, { name, args: ["--allow-autoexec"] });
    const bad = new Map<keyof typeof REASONS, number>();
    for (const name of Object.keys(REASONS) as (keyof typeof REASONS)[]) {
      const file = name === "truncated" ? truncated : scenes[name];
      // As a file on the workers: the command line itself refuses a damaged scene, and names missing files.
      const settings = JSON.stringify({ file, autoexec: true });
      bad.set(name, await submit(manager, "--type", "blender_render", "--settings", settings, "--frames", "1"));
    }
    // The newest task: it comes after every first try of the bad ones.
    const healthy = await submit(manager, scenes.healthy, "--frames", "1-3");

    const good = await untilStatus(manager, healthy, ["completed", "failed"], 120_000);
    expect(good).toMatchObject({ status: "completed", error: null, frames: { done: 3, failed: 0 } });
    for (const [name, id] of bad) {
      const task = await untilStatus(manager, id, ["completed", "failed"], 120_000);
      expect(task.status, name).toBe("failed");

      const json = await tablao(manager, "task", String(id), "--json");
      expect(json.code).toBe(0);
      const shown = shownSchema.parse(json.json());
      const reason = shown.error.replace(STOPPED, "");
      expect(reason).toMatch(REASONS[name]);
      expect(shown).toMatchObject({
        status: "failed",
        frames: { total: 1, failed: 1, done: 0, pending: 0, leased: 0 },
      });

      const human = await tablao(manager, "task", String(id));
      expect(human.stdout).toMatch(/^ {2}status +failed$/m);
      const lines = human.stdout.split("\n").map((line) => line.replace(/^ *(error +)?/, ""));
      for (const line of shown.error.split("\n")) expect(lines).toContain(line);

      const events = await eventsThrough(manager, id, "failed");
      const errors = events.filter((event) => event.kind === "error");
      expect(
        errors.map((event) => event.attempt),
        name,
      ).toEqual([1, 2, 3]);
      for (const event of errors) expect(event).toMatchObject({ frames: "1", detail: reason });
      // Two machines tried the frame before the task failed.
      expect(new Set(errors.map((event) => event.worker_id)).size, name).toBe(2);
      expect(framesIn(events, "error")).toHaveLength(TRIES);
      expect(framesIn(events, "done")).toEqual([]);
      expect(framesIn(events, "lost")).toEqual([]);

      const download = await tablao(manager, "download", String(id), path.join(folder, "out", name));
      expect(download.stdout + download.stderr).toContain("has no finished files");
    }
    expect((await eventsOf(manager, healthy)).filter((event) => event.kind === "error")).toEqual([]);
    expect((await taskOf(manager, healthy)).kept_off).toEqual([]);
  },
);

testWith("blender")(
  "P6: a scene's scripts run only where task and agent both allow it; that it needs one stops it at the first try",
  async () => {
    const { broken_script } = makeScenes(testFolder("scripts"), "broken_script");
    const manager = await startManager();
    await startAgent(manager, { name: "careful" });
    const plain = await submit(manager, broken_script, "--frames", "1");
    expect(await untilStatus(manager, plain, ["completed", "failed"])).toMatchObject({
      status: "failed",
      error:
        'the script "rig.py" of the file is to run when it is loaded, and scripts are off: submit it with --autoexec' +
        AT_ONCE,
      frames: { pending: 1, failed: 0 },
      kept_off: [],
    });
    const events = await eventsThrough(manager, plain, "failed");
    expect(events.filter(({ kind }) => kind === "error").map(({ attempt }) => attempt)).toEqual([1]);
    const human = await tablao(manager, "task", String(plain));
    expect(human.stdout).toContain(AT_ONCE.trim());
    expect((await tablao(manager, "why", String(plain))).stdout).toContain("failed");
    const wanting = await submit(manager, broken_script, "--frames", "1", "--autoexec");
    // A later task ends first: this agent is never offered a task that it may not run.
    const later = await submit(manager, broken_script, "--frames", "1");
    await untilStatus(manager, later, ["failed"]);
    expect(await taskOf(manager, wanting)).toMatchObject({ status: "queued", frames: { pending: 1 } });
    await startAgent(manager, { name: "trusting", args: ["--allow-autoexec"] });
    expect(await untilStatus(manager, wanting, ["completed", "failed"])).toMatchObject({
      status: "failed",
      error: `Python: RuntimeError: the rig has no spine${STOPPED}`,
    });
  },
);
