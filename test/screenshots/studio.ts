/**
 * The farm of a small studio, for pictures: real agents that render, tasks in every state,
 * realistic names.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { workersSchema } from "../../src/protocol/worker.ts";
import { CHECKOUT, startAgent, submit, tablao, taskOf, untilStatus, type Manager } from "../support/farm.ts";
import { until } from "../support/wait.ts";

export interface Studio {
  /** The .blend that the dance was rendered from. */
  scene: string;
  /** Completed. */
  dance: number;
  /** Rendering, for some minutes. */
  spheres: number;
  /** Queued; no worker can take it. */
  stuck: number;
}

const RENDERS_WITHIN_MS = 600_000;

function demoFrames(width: number, delayMs: number): string {
  return JSON.stringify({ width, height: (width * 9) / 16, samples: 6, delay_ms: delayMs });
}

/** Fill an empty farm. Returns when every view has something to show. `folder` is for its files. */
export async function fillStudio(manager: Manager, folder: string): Promise<Studio> {
  const scene = path.join(folder, "sc010_sh040.blend");
  const script = path.join(CHECKOUT, "src/launcher/demo-scene.py");
  execFileSync("blender", ["-b", "--factory-startup", "--python-exit-code", "1", "--python", script, "--", scene], {
    stdio: "pipe",
    timeout: 120_000,
  });
  const broken = path.join(folder, "sc015_sh005.blend");
  // A file that was cut off, as by a full disk.
  writeFileSync(broken, readFileSync(scene).subarray(0, 20_000));
  const settings = { "render.final": { samples: 256 }, "render.preview": { samples: 8, resolution_percentage: 50 } };
  await manager.client.call(z.unknown(), "POST", "/settings", { json: settings });
  await manager.client.call(z.unknown(), "POST", "/tokens", { json: { role: "artist", name: "Ana" } });
  await manager.client.call(z.unknown(), "POST", "/tokens", {
    json: { role: "join", name: "office", expires_s: 604_800, uses: 10, tags: ["office"] },
  });
  await manager.client.call(z.unknown(), "POST", "/webhooks", {
    json: { url: "https://chat.example.org/hooks/farm", events: ["task.completed", "task.failed"] },
  });
  await startAgent(manager, { name: "ana-workstation", args: ["--tags", "gpu,big"] });
  await startAgent(manager, { name: "render-01", args: ["--tags", "office"] });
  await startAgent(manager, { name: "render-02", args: ["--tags", "office"] });
  const laptop = await startAgent(manager, { name: "ben-laptop" });

  // As a file on the workers: the command line itself refuses a damaged scene.
  const onWorkers = ["--type", "blender_render", "--settings", JSON.stringify({ file: broken })];
  await submit(manager, ...onWorkers, "--frames", "1-48", "--name", "sc015_sh005 rooftop", "--priority", "90");
  const dance = await submit(
    manager,
    scene,
    "--frames",
    "1-24",
    "--chunk",
    "3",
    "--video",
    "--priority",
    "80",
    "--name",
    "sc010_sh040 dance",
  );
  const demo = ["--type", "demo_render"];
  const spheres = await submit(
    manager,
    ...demo,
    "--settings",
    demoFrames(480, 600),
    "--frames",
    "1-600",
    "--name",
    "sc020_sh010 spheres",
  );
  const more = ["--settings", demoFrames(480, 0)];
  await submit(
    manager,
    ...demo,
    ...more,
    "--frames",
    "1-180",
    "--name",
    "sc020_sh020 spheres, wide",
    "--order",
    "preview",
  );
  const stuck = await submit(
    manager,
    ...demo,
    ...more,
    "--frames",
    "1-96",
    "--tags",
    "gpu,rtx",
    "--name",
    "sc030_sh010 smoke",
    "--priority",
    "60",
  );
  await submit(
    manager,
    ...demo,
    ...more,
    "--frames",
    "1-240:2",
    "--paused",
    "--priority",
    "40",
    "--name",
    "sc030_sh020 smoke, every second frame",
  );
  await submit(
    manager,
    ...demo,
    ...more,
    "--frames",
    "1-360",
    "--after",
    String(spheres),
    "--name",
    "sc020_sh010 spheres, final",
  );

  await untilStatus(manager, dance, ["completed"], RENDERS_WITHIN_MS);
  await untilStatus(manager, dance + 1, ["completed"], RENDERS_WITHIN_MS);
  await tablao(manager, "skip", String(spheres), "--frames", "300-312");
  await until(async () => (await taskOf(manager, spheres)).frames.done >= 90, {
    withinMs: RENDERS_WITHIN_MS,
    what: "a quarter of the spheres",
    everyMs: 1_000,
  });
  await laptop.kill();
  const isGone = async (): Promise<boolean> => {
    const workers = Object.values(await manager.client.call(workersSchema, "GET", "/workers"));
    return workers.some((worker) => worker.id === laptop.id && worker.connection === "offline");
  };
  await until(isGone, { what: "the laptop is missed", everyMs: 1_000 });
  return { scene, dance, spheres, stuck };
}
