/**
 * `blender_render`: frames of a .blend file. Blender loads the file once for all frames of a lease.
 *
 * The user's preferences apply (no `--factory-startup`): a studio sets up the GPUs and add-ons of
 * its workers there, and without them Blender would render on the CPU, or wrongly. Whether scripts
 * in the file may run must not depend on preferences, so it is on the command line.
 *
 * The names that the type had in 2015 and their settings are accepted. `output_path_*` has no
 * effect: output goes to the manager.
 */
import { STRICT_SINCE, type Argument, type Platform } from "../protocol/plan.ts";
import { ANY_BLENDER } from "../protocol/blender-version.ts";
import { blenderScript } from "./blender-script.ts";
import { BLENDER_KEYS, blenderSettings, type BlenderSettings } from "./blender-settings.ts";
import { DEFAULT_DESCRIPTION, DEFAULT_PLAN, DEFAULT_TRAITS, type Compiler } from "./compiler.ts";
import { nameOfFrame, PICTURE_EXTENSIONS } from "./frame-name.ts";
import { listOf } from "./frame-settings.ts";
import { listOfFrames } from "../protocol/frame-list.ts";

const PATTERN = "frame_####";

/**
 * Blender's exit code when Python raises in it, in our script or in an add-on. Without the option
 * `--python-exit-code`, Blender may exit 0.
 */
const PYTHON_EXIT_CODE = "13";

/**
 * Above so many ranges, the script is told the first and the last frame only, and so may name a missing file of a
 * frame between. All ranges would be too long for a command line.
 */
const MAX_RANGES = 200;

/** A frame number in Blender's syntax: see `frameArgument`. */
function written(frame: number): string {
  return String(frame < 0 ? frame - 1 : frame);
}

/**
 * The frames in Blender's syntax: `3,5,7..8`. A frame below 0 counts from the end of the scene
 * (`-1` is the last frame). The script sets the end to 0, so frame -5 is written as -6.
 */
export function frameArgument(frames: readonly number[]): string {
  // A range across zero would mix both ways of counting, so it is split at zero.
  return [frames.filter((frame) => frame < 0), frames.filter((frame) => frame >= 0)]
    .flatMap((part) => listOfFrames(part))
    .map(({ start, end }) => (start === end ? written(start) : `${written(start)}..${written(end)}`))
    .join(",");
}

/** The frames as ranges. Of very many, the range from the first to the last: see MAX_RANGES. */
function rangesOf(frames: readonly number[]): (readonly [number, number])[] {
  const ranges = listOfFrames(frames).map(({ start, end }) => [start, end] as const);
  return ranges.length <= MAX_RANGES ? ranges : [[frames[0]!, frames.at(-1)!]];
}

function fileArgument(file: BlenderSettings["file"], assets: BlenderSettings["assets"], platform: Platform): Argument {
  if (typeof file !== "string") return file[platform] ?? file.linux ?? file.darwin ?? file.windows ?? "";
  return assets.some((asset) => asset.path === file) ? { in: file } : file;
}

/** The compiler of `blender_render`. */
export const blenderRender: Compiler<BlenderSettings> = {
  ...DEFAULT_TRAITS,
  type: "blender_render",
  aliases: ["simple_blender_render", "blender_simple_render"],
  takesFile: ".blend",
  presetSettings: ["render_preset", "render_settings"],
  parser: "blender_render",
  summary: "Renders frames of a Blender file.",
  programs: ["blender"],
  keys: BLENDER_KEYS,
  settings: blenderSettings,
  describe: (s) => ({
    ...DEFAULT_DESCRIPTION,
    frames: listOf(s.frames),
    format: s.format,
    programs: ["blender"],
    blender: s.blender === undefined || s.blender === ANY_BLENDER ? null : s.blender,
    needsAutoexec: s.autoexec,
    inputs: s.assets,
    filesPerFrame: 1,
    ...(s.strict && { agent: STRICT_SINCE, strict: true as const }),
  }),
  plan: (s, frames, platform, blender) => {
    const script = blenderScript({
      scene: s.scene ?? null,
      camera: s.camera ?? null,
      engine: s.engine ?? null,
      samples: s.samples ?? null,
      resolution_percentage: s.resolution_percentage ?? null,
      denoise: s.denoise ?? null,
      allow_missing_files: s.allow_missing_files,
      allow_missing: s.allow_missing ?? [],
      frames: rangesOf(frames),
      scripts: s.autoexec,
      below_zero: frames.some((frame) => frame < 0),
    });
    // Blender acts on its arguments in order: the script must follow the file, and the output
    // options must follow the scene.
    // oxfmt-ignore
    const args: Argument[] = [
      "--background", s.autoexec ? "--enable-autoexec" : "--disable-autoexec",
      "--python-exit-code", PYTHON_EXIT_CODE,
      fileArgument(s.file, s.assets, platform),
      "--python-expr", script,
      ...(s.scene === undefined ? [] : ["--scene", s.scene]),
      "--render-output", { out: PATTERN }, "--render-format", s.format, "--use-extension", "1",
      "--render-frame", frameArgument(frames),
    ];
    const extension = PICTURE_EXTENSIONS[s.format];
    return {
      ...DEFAULT_PLAN,
      command: { program: "blender", ...(blender !== undefined && { version: blender }), args, env: {} },
      inputs: s.assets,
      outputs: frames.map((frame) => ({ frame, name: `${nameOfFrame(PATTERN, frame)}.${extension}` })),
      autoexec: s.autoexec,
      frame_timeout_s: s.frame_timeout_s,
      ...(s.strict && { strict: true as const }),
    };
  },
};
