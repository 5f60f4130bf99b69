/**
 * Runs the corpus on one version of Blender: a real manager, real agents, the real command line.
 *
 * 1. Blender makes the scenes, each in a folder of its own, as an artist has it.
 * 2. `blender -b` renders them there, by hand.
 * 3. The command line submits them, paused.
 * 4. The folder gets another name: from now on no worker can find a file where the artist had it.
 * 5. The tasks go on, and what became of each is looked at.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { mapConcurrent } from "../../src/lib/concurrency.ts";
import { isEnded } from "../../src/protocol/constants.ts";
import { framesOf, parseFrameList } from "../../src/protocol/frame-list.ts";
import { framesPageSchema, taskSchema, type Task } from "../../src/protocol/task.ts";
import { taskWhySchema } from "../../src/protocol/why.ts";
import { startAgent, startManager, tablao, type Manager } from "../support/farm.ts";
import { until } from "../support/wait.ts";
import type { Blender } from "./blenders.ts";
import type { Expectation, VersionedScene } from "./corpus.ts";
import type { Outcome } from "./judge.ts";
import { decodePng, largestDifference } from "./png.ts";

const run = promisify(execFile);

const MAKE = path.resolve(import.meta.dirname, "make.py");
/** What hangs, hangs: a whole run takes two minutes on two quiet cores. */
const RUN_MS = 900_000;
/** The folder of the scenes, as an artist has them; it is renamed before a worker begins. */
const ARTIST = "artist";
const PROGRAM_MS = 300_000;
/** Processes at a time: two cores. */
const AT_ONCE = 3;
const AGENTS = 2;
/**
 * The same seed and samples give the same pixels, but for the rounding of sums that several threads make
 * in another order: one step of an 8-bit channel.
 */
const NOISE = 1 / 255;

/** Warnings of a task; a manager that has none yet leaves them out. */
const warningsSchema = z.looseObject({ warnings: z.array(z.looseObject({ text: z.string() })).default([]) });
const submittedSchema = z.object({ id: z.int() });

export interface CorpusRun {
  /** The workers' Blender. */
  blender: Blender;
  /** Another one, for the scenes that are made by it. */
  other?: Blender | undefined;
  scenes: readonly VersionedScene[];
  /** An empty folder. */
  folder: string;
}

/** What became of each scene, by name. The caller ends the farm (`endFarm`). */
export async function runCorpus({ blender, other, scenes, folder }: CorpusRun): Promise<Map<string, Outcome>> {
  const original = path.join(folder, ARTIST);
  await makeScenes(
    original,
    blender,
    scenes.filter((scene) => scene.madeBy === undefined),
  );
  const foreign = scenes.filter((scene) => scene.madeBy !== undefined);
  if (foreign.length > 0) {
    if (!other) throw new Error(`${foreign.map(({ name }) => name).join(", ")}: needs a second Blender`);
    await makeScenes(original, other, foreign);
  }
  const compared = scenes.filter(({ expect }) => isCompared(expect));
  await mapConcurrent(compared, AT_ONCE, async (scene) => await renderByHand(blender, original, folder, scene));

  const manager = await startManager();
  const start = { args: ["--blender", blender.program, "--allow-autoexec"] };
  await mapConcurrent(Array.from({ length: AGENTS }), AGENTS, async () => await startAgent(manager, start));
  const submitted = await mapConcurrent(scenes, AT_ONCE, async (scene) => await submit(manager, folder, scene));
  renameSync(original, path.join(folder, "gone"));

  const outcomes = new Map<string, Outcome>();
  const tasks: { scene: VersionedScene; id: number }[] = [];
  scenes.forEach((scene, i) => {
    const answer = submitted[i]!;
    if (typeof answer === "number") tasks.push({ scene, id: answer });
    else outcomes.set(scene.name, answer);
  });
  for (const { id } of tasks) await manager.client.send("PATCH", `/tasks/${id}`, { json: { status: "resume" } });
  for (const { scene, id } of tasks) outcomes.set(scene.name, await outcomeOf(manager, folder, scene, id));
  return outcomes;
}

/** Whether the pictures of a scene must be those that are made by hand. */
function isCompared(expect: Expectation): boolean {
  return expect.kind === "same picture";
}

async function makeScenes(original: string, blender: Blender, scenes: readonly VersionedScene[]): Promise<void> {
  mkdirSync(original, { recursive: true });
  const wanted = scenes.map(({ name, maker }) => `${name}=${maker}`);
  const args = ["-b", "--factory-startup", "--python-exit-code", "1", "--python", MAKE, "--", original, ...wanted];
  await run(blender.program, args, { timeout: PROGRAM_MS, maxBuffer: 100_000_000 }).catch((thrown: unknown) => {
    const { stdout, stderr } = z.looseObject({ stdout: z.string(), stderr: z.string() }).parse(thrown);
    throw new Error(`Blender ${blender.full} could not make the scenes: ${stdout}${stderr}`, { cause: thrown });
  });
}

function handFolder(folder: string, scene: VersionedScene): string {
  return path.join(folder, "by-hand", scene.name);
}

function framesIn(scene: VersionedScene): number[] {
  const parsed = parseFrameList(scene.frames);
  if (!parsed.ok) throw new Error(`${scene.name}: frames ${scene.frames} ${parsed.error}`);
  return [...framesOf(parsed.value)];
}

/**
 * Plays a scene from its first frame on, as an artist does before the render: `-a` alone leaves cloth and
 * rigid bodies that are not baked as they are in the first frame.
 */
function playTo(last: number): string {
  return `import bpy\nscene = bpy.context.scene\nfor frame in range(scene.frame_start, ${last + 1}): scene.frame_set(frame)`;
}

/** Render a scene where it lies, as an artist does. */
async function renderByHand(blender: Blender, original: string, folder: string, scene: VersionedScene): Promise<void> {
  const out = handFolder(folder, scene);
  const frames = framesIn(scene);
  const play = scene.fromFirst ? ["--python-expr", playTo(Math.max(...frames))] : [];
  const which = scene.byHand.includes("-f") ? play : [...play, "-f", frames.join(",")];
  const file = path.join(original, scene.name, scene.file);
  const scripts = scene.byHand.filter((word) => word === "-y");
  const output = ["-o", path.join(out, "frame_####"), "-F", "PNG", "-x", "1"];
  const own = scene.byHand.filter((word) => word !== "-y");
  // The scene is chosen before its output is set.
  const chosen = own[0] === "-S" ? own.slice(0, 2) : [];
  const args = ["-b", ...scripts, file, ...chosen, ...output, ...own.slice(chosen.length), ...which];
  await run(blender.program, args, { timeout: PROGRAM_MS, maxBuffer: 100_000_000 });
  const missing = frames.filter((frame) => !existsSync(path.join(out, fileOf(frame))));
  if (missing.length > 0)
    throw new Error(`${scene.name}: rendered by hand, frames ${missing.join(", ")} are not there`);
  const pictures = frames.map((frame) => readFileSync(path.join(out, fileOf(frame))));
  const alike = pictures
    .slice(1)
    .some((picture) => largestDifference(decodePng(picture), decodePng(pictures[0]!)) === 0);
  if (alike) throw new Error(`${scene.name}: its frames are alike, so that frozen ones would not be found`);
}

function fileOf(frame: number): string {
  const digits = String(Math.abs(frame)).padStart(4, "0");
  return `frame_${frame < 0 ? "-" : ""}${digits}.png`;
}

/** Submit the scene, and with it what it names; the task's id, or the refusal. */
async function submit(manager: Manager, folder: string, scene: VersionedScene): Promise<number | Outcome> {
  const file = path.join(folder, ARTIST, scene.name, scene.file);
  const chunk = String(scene.chunk ?? framesIn(scene).length);
  const args = [
    file,
    `--frames=${scene.frames}`,
    "--format",
    "PNG",
    "--chunk",
    chunk,
    "--tries",
    isRefusedOnce(scene.expect) ? "3" : "1",
    "--paused",
    "--json",
  ];
  // Without it, half of a command's time is to compile what the last one compiled.
  const env = { NODE_COMPILE_CACHE: path.join(folder, "compile-cache") };
  const { code, stdout, stderr } = await tablao({ manager, env }, "submit", ...args, ...scene.options);
  if (code === 0) {
    const { id } = submittedSchema.parse(JSON.parse(stdout));
    return id;
  }
  return { verdict: "refused", where: "submission", words: stderr, warnings: [], differences: null, leases: 0 };
}

/** Other refusals are tried once, to save the time. */
function isRefusedOnce(expect: Expectation): boolean {
  return expect.kind === "refused" && expect.once === true;
}

async function outcomeOf(manager: Manager, folder: string, scene: VersionedScene, id: number): Promise<Outcome> {
  const path_ = `/tasks/${id}`;
  const held = async (): Promise<string | undefined> => {
    const why = await manager.client.call(taskWhySchema, "GET", `${path_}/why`);
    const cannot = why.rule === "workers_held" && why.workers.every(({ rule }) => rule === "cannot");
    return cannot ? [why.text, ...why.workers.map(({ text }) => text)].join("\n") : undefined;
  };
  const probe = async (): Promise<Task | string | undefined> => {
    const task = await manager.client.call(taskSchema, "GET", path_);
    if (isEnded(task.status)) return task;
    return task.status === "queued" ? await held() : undefined;
  };
  const end = await until(probe, { withinMs: RUN_MS, what: `${scene.name} ends`, everyMs: 200 });
  if (typeof end === "string")
    return { verdict: "refused", where: "farm", words: end, warnings: [], differences: null, leases: 0 };
  const { warnings } = await manager.client.call(warningsSchema, "GET", path_);
  const texts = warnings.map(({ text }) => text);
  const { frames } = await manager.client.call(framesPageSchema, "GET", `${path_}/frames`);
  // Each lease has a higher attempt than the one before.
  const leases = Math.max(0, ...frames.map(({ attempt }) => attempt ?? 0));
  if (end.status !== "completed")
    return { verdict: "refused", where: "worker", words: end.error ?? "", warnings: texts, differences: null, leases };
  const differences = isCompared(scene.expect) ? await differencesOf(manager, folder, scene, id) : null;
  return { verdict: "completed", where: "worker", words: "", warnings: texts, differences, leases };
}

async function differencesOf(manager: Manager, folder: string, scene: VersionedScene, id: number): Promise<string[]> {
  const differences: string[] = [];
  for (const frame of framesIn(scene)) {
    const answer = await manager.client.send("GET", `/tasks/${id}/frames/${frame}/file`);
    const farm = decodePng(Buffer.from(await answer.arrayBuffer()));
    const hand = decodePng(readFileSync(path.join(handFolder(folder, scene), fileOf(frame))));
    const difference = largestDifference(farm, hand);
    if (typeof difference === "string") differences.push(`frame ${frame} is ${difference}`);
    else if (difference > NOISE) differences.push(`frame ${frame} differs by ${(difference * 100).toFixed(1)} %`);
  }
  return differences;
}
