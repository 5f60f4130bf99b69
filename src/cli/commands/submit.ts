/** `tablao submit`: send the files, queue the task, and wait for it with `--wait`. */
import path from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import { z } from "zod";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { compileResolved, findCompiler, resolveSubmission, typeForFile } from "../../compilers/index.ts";
import { PROBLEMS } from "../../protocol/problem.ts";
import { countFrames, parseFrameList } from "../../protocol/frame-list.ts";
import { whyTooManyInputs } from "../../protocol/input-limits.ts";
import { ANY_BLENDER } from "../../protocol/blender-version.ts";
import { taskWhySchema } from "../../protocol/why.ts";
import type { Dependency, Task } from "../../protocol/task.ts";
import type { RetentionDays } from "../../protocol/retention.ts";
import {
  decimal,
  flagsOf,
  frameList,
  collect,
  idArgument,
  contextOf,
  outputFor,
  retentionDays,
  whole,
  type Output,
} from "../command-line.ts";
import { blenderNote } from "../blender-note.ts";
import { CliError, EXIT } from "../failure.ts";
import { skippedText, type LocalInput } from "../inputs.ts";
import { withScene, type SceneFlags, type SceneToSend } from "../scene.ts";
import { allowedLines, dryRunLines, dryRunValue, missingError, sceneLines } from "../scene-text.ts";
import { fitToManager } from "../older-manager.ts";
import { queueTask, submitVideo, videoExtension } from "../queue-task.ts";
import { sendInputs, sentText } from "../send-inputs.ts";
import { count } from "../text.ts";
import { endText, mustBeCompleted, waitFor } from "../wait.ts";
import { warningLines } from "../warning-text.ts";
import { COMMAND } from "../own-command.ts";

/** The most characters of a task's name; a file may have a longer one. */
const MAX_NAME = 200;

interface SubmitFlags {
  type?: string;
  settings?: Record<string, unknown>;
  frames?: string;
  chunk?: number | "auto";
  format?: string;
  samples?: number;
  engine?: string;
  resolution?: number;
  camera?: string;
  scene?: string;
  blender?: string;
  denoise?: boolean;
  preset?: string;
  autoexec?: boolean;
  strict?: boolean;
  allowMissing?: string[];
  allowMissingFiles?: boolean;
  priority?: number;
  name?: string;
  include?: string[];
  exclude?: string[];
  dryRun?: boolean;
  video?: boolean;
  fps?: number;
  after?: number[];
  afterFrames?: number[];
  order?: string;
  tags?: string[];
  tries?: number;
  lease?: number;
  paused?: boolean;
  retentionDays?: RetentionDays;
  retentionAfterDownloadDays?: RetentionDays;
  wait?: boolean;
}

const jsonObject = z.record(z.string(), z.json());

function settingsObject(text: string): Record<string, unknown> {
  try {
    return jsonObject.parse(JSON.parse(text));
  } catch {
    throw new InvalidArgumentError(`It must be a JSON object, such as '{"text": "hello"}'.`);
  }
}

function chunkSize(text: string): number | "auto" {
  return text === "auto" ? "auto" : whole(1, 10_000)(text);
}

/** Add the command to the program. */
export function addSubmit(program: Command): void {
  program
    .command("submit")
    .summary("queue a task, with the files it needs")
    .description(
      "Queue a task. A .blend is sent with all files that it needs: libraries, textures, caches. Only what the manager lacks is sent.",
    )
    .argument("[file]", "the .blend to render; absent with --type for tasks without one")
    .option(
      "-f, --frames <list>",
      "frames to render: 1-250, 1-10:2, 1,5,9-12; those of the scene when not given",
      frameList,
    )
    .option("--chunk <n|auto>", "frames a worker takes at a time (1); auto aims at a target runtime", chunkSize)
    .option("--format <name>", "PNG, JPEG or OPEN_EXR; that of the scene when not given")
    .option("--samples <n>", "samples per pixel", whole(1))
    .option("--engine <name>", "CYCLES, BLENDER_EEVEE, BLENDER_EEVEE_NEXT or BLENDER_WORKBENCH")
    .option("--resolution <percent>", "percentage of the scene's resolution", whole(1, 1_000))
    .option("--camera <name>", "camera to render through")
    .option("--scene <name>", "scene of the .blend to render")
    .option(
      "--blender <version>",
      "4.5 (that minor version), 4.5+ (that or a newer one, all frames in the same), or any (also mixed); that of the file when not given",
    )
    .option("--no-denoise", "render without the denoiser; many builds of Blender lack it")
    .option("--preset <name>", "render preset of the farm (settings named render.NAME)")
    .option("--autoexec", "let scripts inside the .blend run; the worker must allow it, too")
    .option("--strict", "count a warning about a picture as a failure of its frame")
    .option(
      "--allow-missing <pattern>",
      "render although files with such a path or data-block name are missing: 'textures/old/*' (repeatable)",
      collect(String, false),
    )
    .option("--allow-missing-files", "render although the .blend refers to files that are not there")
    .option(
      "--include <path>",
      "send this file or folder along, which no path in the scene names (repeatable)",
      collect(String, false),
    )
    .option(
      "--exclude <pattern>",
      "do not send files like this: '*.psd', 'textures/old/*' (repeatable)",
      collect(String, false),
    )
    .option("--dry-run", "show what would be sent, and what is missing; send nothing")
    .option("--priority <n>", "higher goes first (50)", whole(-1_000_000, 1_000_000))
    .option("--name <text>", "name to show; by default the file's")
    .option("--video", "when all frames are done, make an MP4 of them in a second task")
    .option(
      "--fps <n>",
      "frames per second of the video; those of the scene when not given, and 24 without one",
      decimal(0.1, 1_000),
    )
    .option("--after <id>", "start when that task is completed (repeatable)", collect(idArgument))
    .option(
      "--after-frames <id>",
      "start each frame when that task has done the same frame (repeatable)",
      collect(idArgument),
    )
    .option("--order <order>", "ascending, or preview: first, last, middle, then between")
    .option("--tags <a,b>", "only workers that have all of these tags", collect(String))
    .option("--tries <n>", "failures after which a frame is given up (3)", whole(1, 20))
    .option("--lease <seconds>", "silence after which a worker's frames go to another (60)", whole(5, 86_400))
    .option("--paused", "queue it, but do not start")
    .option(
      "--retention-days <n|forever>",
      "delete it so many days after its end; forever: keep it, whatever the farm's rules say",
      retentionDays,
    )
    .option(
      "--retention-after-download-days <n|forever>",
      "delete it so many days after all its files were downloaded",
      retentionDays,
    )
    .option("--type <type>", "another compiler than blender_render: demo_render, print_string, ffmpeg_video, exec …")
    .option("--settings <json>", "the compiler's settings as a JSON object", settingsObject)
    .option("-w, --wait", "wait for the end; exit 1 unless the task is completed")
    .action(async (file: string | undefined, _flags: unknown, command: Command) => {
      await submit(file, flagsOf<SubmitFlags>(command), command);
    });
}

async function submit(file: string | undefined, flags: SubmitFlags, command: Command): Promise<void> {
  const type = flags.type ?? (file === undefined ? undefined : typeForFile(file));
  checkFlags(file, type, flags);
  if (file === undefined) return await queue(type!, undefined, flags, command);
  await withScene(file, sceneFlagsOf(flags), async (found) => {
    const out = outputFor(flagsOf<object>(command));
    if (flags.dryRun === true) {
      if (out.json) out.value(dryRunValue(found));
      else for (const line of dryRunLines(file, found)) out.line(line);
      return;
    }
    for (const line of [...sceneLines(file, found), ...skippedText(found.skipped)]) out.note(line);
    const wrong = missingError(found, flags.allowMissingFiles === true || (flags.allowMissing ?? []));
    if (wrong) throw wrong;
    for (const line of allowedLines(found)) out.note(line);
    mustBeFewEnough(found.files);
    await queue(type!, { file, found }, withSceneDefaults(flags, found), command);
  });
}

/** What the person chose, by flags or by the settings as JSON. */
function sceneFlagsOf(flags: SubmitFlags): SceneFlags {
  const given: Record<string, unknown> = { ...flags.settings, ...renderSettings(flags) };
  const text = (name: string): string | undefined => (typeof given[name] === "string" ? given[name] : undefined);
  return {
    include: flags.include ?? [],
    exclude: flags.exclude ?? [],
    scene: text("scene"),
    camera: text("camera"),
    engine: text("engine"),
    format: text("format"),
    hasPreset: given["render_preset"] !== undefined || given["render_settings"] !== undefined,
    autoexec: given["autoexec"] === true,
  };
}

/** The flags, and from the scene what they do not say. Settings as JSON and a preset go before the scene. */
function withSceneDefaults(flags: SubmitFlags, { preflight }: SceneToSend): SubmitFlags {
  const given = flags.settings ?? {};
  const range = flags.frames ?? ((given["frames"] ?? given["frame_start"]) ? undefined : preflight.frames);
  const format =
    flags.format ?? (given["format"] !== undefined || flags.preset !== undefined ? undefined : preflight.format);
  const fps = flags.fps ?? (flags.video === true ? preflight.fps : undefined);
  return {
    ...flags,
    ...(range !== undefined && { frames: range }),
    ...(format !== undefined && { format }),
    ...(fps !== undefined && { fps }),
  };
}

async function queue(
  type: string,
  scene: { file: string; found: SceneToSend } | undefined,
  flags: SubmitFlags,
  command: Command,
): Promise<void> {
  const { client, out } = contextOf(command);
  const inputs = scene?.found.files ?? [];
  const settings: Record<string, unknown> = { ...flags.settings, ...renderSettings(flags) };
  checkSettings(type, settings, inputs, flags.video === true);
  await fitToManager(client, { ...submission(flags), settings }, scene?.found.summary.versionText);
  if (inputs.length > 0) {
    const sent = await sendInputs(client, inputs, out.json);
    out.note(sentText(sent));
    settings["file"] = inputs[0]!.path;
    settings["assets"] = sent.assets;
  }
  const title = scene && path.basename(scene.file, path.extname(scene.file)).slice(0, MAX_NAME);
  const name = flags.name ?? title;
  const body = { ...submission(flags), type, settings, ...(name !== undefined && { name }) };
  const task = await queueTask(client, body, inputs.length);
  const video = flags.video === true ? await submitVideo(client, task, flags.fps, name) : undefined;
  if (!out.json) printQueued(out, task, video, flags.wait === true);
  await tellOfBlender(client, out, task);
  if (flags.wait !== true) {
    if (out.json) out.value(withVideo(task, video));
    return;
  }
  const ended: Task[] = [];
  for (const each of video ? [task, video] : [task]) {
    const began = performance.now();
    const end = await waitFor(client, each.id, out.json);
    ended.push(end);
    for (const line of warningLines(end)) out.note(`warning: ${line}`);
    if (!out.json && end.status === "completed") out.line(endText(end, (performance.now() - began) / 1_000));
    if (end.status !== "completed") break;
  }
  if (out.json) out.value(withVideo(ended[0]!, ended[1] ?? video));
  else if (ended.at(-1)!.status === "completed") out.line(nextText(task, video));
  mustBeCompleted(ended.at(-1)!);
}

/**
 * Tell at once when no worker has the Blender that the task needs. The task is queued: what keeps the manager
 * from saying more must not look like a failed submission.
 */
async function tellOfBlender(client: ManagerClient, out: Output, { id, settings }: Task): Promise<void> {
  if (out.json || settings["blender"] === undefined || settings["blender"] === ANY_BLENDER) return;
  const why = await client.call(taskWhySchema, "GET", `/tasks/${id}/why`).catch(() => null);
  const note = why && blenderNote(why);
  if (note !== null) out.note(note);
}

function checkFlags(file: string | undefined, type: string | undefined, flags: SubmitFlags): void {
  const usage = (message: string, hint?: string): CliError => new CliError(EXIT.usage, message, hint);
  if (type === undefined)
    throw usage(
      "submit needs a .blend, or --type for a task without one",
      `For example: ${COMMAND} submit shot.blend --frames 1-24`,
    );
  for (const [flag, value] of [
    ["--include", flags.include],
    ["--exclude", flags.exclude],
    ["--dry-run", flags.dryRun],
  ] as const)
    if (file === undefined && value !== undefined) throw usage(`${flag} goes with a .blend`);
  if (file !== undefined && findCompiler(type)?.takesFile !== ".blend")
    throw usage(`the task type ${type} takes no file`, "Give its settings as JSON: --settings.");
  if (flags.fps !== undefined && flags.video !== true) throw usage("--fps goes with --video");
}

/** Throws `CliError` for more files than a task can have, before any of them is hashed or sent. */
function mustBeFewEnough(inputs: readonly LocalInput[]): void {
  const tooMany = whyTooManyInputs(inputs.map((input) => input.path));
  if (tooMany) throw new CliError(EXIT.usage, tooMany.what, tooMany.advice);
}

/**
 * Refuse before hours of upload what the manager would refuse after them. A submission that names a
 * render preset is left to the manager, because only the manager has the preset; so is a type that
 * this version does not know.
 */
function checkSettings(
  type: string,
  settings: Record<string, unknown>,
  inputs: readonly LocalInput[],
  video: boolean,
): void {
  const resolved = resolveSubmission({ type, settings });
  if (!resolved.ok || resolved.value.presetName !== null) return;
  const assets = inputs.map(({ path: name }) => ({ path: name, sha256: "0".repeat(64), size: 0 }));
  const files = inputs.length === 0 ? {} : { file: inputs[0]!.path, assets };
  const compiled = compileResolved({ ...resolved.value, settings: { ...settings, ...files } }, null);
  if (!compiled.ok) {
    const { code, detail, errors } = compiled.error;
    throw new ManagerError(PROBLEMS[code].status, code, detail, errors);
  }
  if (video) videoExtension(compiled.value.description.format);
}

function renderSettings(flags: SubmitFlags): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries({
      frames: flags.frames,
      format: flags.format,
      samples: flags.samples,
      engine: flags.engine,
      resolution_percentage: flags.resolution,
      camera: flags.camera,
      scene: flags.scene,
      blender: flags.blender,
      // commander makes `denoise` true unless --no-denoise is given.
      denoise: flags.denoise === false ? false : undefined,
      render_preset: flags.preset,
      autoexec: flags.autoexec,
      strict: flags.strict,
      allow_missing: flags.allowMissing,
      allow_missing_files: flags.allowMissingFiles,
    }).filter(([, value]) => value !== undefined),
  );
}

function submission(flags: SubmitFlags): Record<string, unknown> {
  const all = (flags.after ?? []).map((task): Dependency => ({ task, frames: "all" }));
  const same = (flags.afterFrames ?? []).map((task): Dependency => ({ task, frames: "same" }));
  return {
    priority: flags.priority,
    chunk: flags.chunk,
    order: flags.order,
    tags: flags.tags,
    tries: flags.tries,
    lease_s: flags.lease,
    paused: flags.paused,
    retention_days: flags.retentionDays,
    retention_after_download_days: flags.retentionAfterDownloadDays,
    depends_on: [...all, ...same],
  };
}

function printQueued(out: Output, task: Task, video: Task | undefined, waiting: boolean): void {
  const parsed = parseFrameList(task.frame_list);
  const frames = parsed.ok ? count(countFrames(parsed.value), "frame") : task.frame_list;
  out.line(`task ${task.id} ${task.status}: ${task.name || task.type}, ${frames} (${task.frame_list})`);
  if (video) out.line(`task ${video.id} ${video.status}: the video, when task ${task.id} is completed`);
  if (!waiting) out.note(`watch it with: ${COMMAND} task ${task.id} · ${COMMAND} logs ${task.id} --follow`);
}

/** The command that fetches the results. */
function nextText(task: Task, video: Task | undefined): string {
  if (video) return `get them with: ${COMMAND} download ${task.id} · ${COMMAND} download ${video.id}`;
  return task.format === ""
    ? `see what it printed with: ${COMMAND} logs ${task.id}`
    : `get the files with: ${COMMAND} download ${task.id}`;
}

function withVideo(task: Task, video: Task | undefined): Task | (Task & { video: Task }) {
  return video ? { ...task, video } : task;
}
