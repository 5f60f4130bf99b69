/**
 * `ffmpeg_video`: all frames of another task, in frame order, as one H.264 video that plays
 * everywhere.
 *
 * The video is one file, so the task has one frame, number 1. The agent puts the other task's files
 * as `000001.<ext>`, `000002.<ext>` … in the input folder.
 */
import { z } from "zod";
import { fileNameSchema, idSchema } from "../protocol/fields.ts";
import type { Argument } from "../protocol/plan.ts";
import { DEFAULT_DESCRIPTION, DEFAULT_PLAN, DEFAULT_TRAITS, type Compiler } from "./compiler.ts";
import { PICTURE_EXTENSIONS } from "./frame-name.ts";
import { FRAME_KEYS, complain, frameFields, frameSettingsOf, isOneFrame, listOf } from "./frame-settings.ts";

/** Presets of libx264, from quick to thorough (`x264 --fullhelp`). */
const X264_PRESETS = [
  "ultrafast",
  "superfast",
  "veryfast",
  "faster",
  "fast",
  "medium",
  "slow",
  "slower",
  "veryslow",
] as const;

/**
 * H.264 in 4:2:0 needs even sizes, so the picture is padded. Players assume bt709 in TV range for a
 * file that names no colour space.
 */
const FILTERS = "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p";

const fields = {
  task: idSchema,
  fps: z.number().min(0.1).max(1_000).default(24),
  /** Constant rate factor of libx264: 0 (lossless) to 51 (worst). */
  crf: z.int().min(0).max(51).default(18),
  preset: z.enum(X264_PRESETS).default("medium"),
  /** Extension of the other task's files. The command line fills it in for `--video`. */
  ext: z.enum(PICTURE_EXTENSIONS).default("png"),
  name: fileNameSchema.default("video.mp4"),
};

const settings = z.strictObject({ ...frameFields, ...fields }).transform((input, context) => {
  const { task, fps, crf, preset, ext } = input;
  const name = /\.mp4$/i.test(input.name) ? input.name : `${input.name}.mp4`;
  const frames = frameSettingsOf(input, context, "1");
  if (!frames) return z.NEVER;
  if (!isOneFrame(frames.frames)) {
    complain(context, "must be one frame: the video is one file. It takes all frames of `task`", "frames");
    return z.NEVER;
  }
  return { ...frames, task, fps, crf, preset, ext, name };
});

/** The compiler of `ffmpeg_video`. */
export const ffmpegVideo: Compiler<z.infer<typeof settings>> = {
  ...DEFAULT_TRAITS,
  type: "ffmpeg_video",
  makesVideo: true,
  parser: "ffmpeg",
  summary: "Makes an MP4 (H.264) out of all frames of another task.",
  programs: ["ffmpeg"],
  keys: [...FRAME_KEYS, ...Object.keys(fields)],
  settings,
  describe: (s) => ({
    ...DEFAULT_DESCRIPTION,
    frames: listOf(s.frames),
    format: "MP4",
    programs: ["ffmpeg"],
    inputTask: s.task,
    filesPerFrame: 1,
  }),
  plan: (s, frames) => {
    // EXR holds linear light. Without a transfer curve the video would be far too dark.
    const decoder = s.ext === "exr" ? ["-apply_trc", "iec61966_2_1"] : [];
    // oxfmt-ignore
    const args: Argument[] = [
      "-hide_banner", "-nostdin", "-y", "-nostats", "-progress", "pipe:1",
      // Without -xerror ffmpeg leaves out a damaged frame and exits 0.
      "-xerror",
      ...decoder,
      "-framerate", String(s.fps), "-start_number", "1", "-i", { in: `%06d.${s.ext}` },
      "-vf", FILTERS, "-c:v", "libx264", "-preset", s.preset, "-crf", String(s.crf),
      "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709",
      "-movflags", "+faststart", "-an", { out: s.name },
    ];
    return {
      ...DEFAULT_PLAN,
      command: { program: "ffmpeg", args, env: {} },
      input_task: s.task,
      outputs: frames.map((frame) => ({ frame, name: s.name })),
      frame_timeout_s: s.frame_timeout_s,
    };
  },
};

/**
 * The extension of the files of a format of which a video can be made; undefined for other formats.
 */
export function videoInput(format: string): string | undefined {
  return Object.entries(PICTURE_EXTENSIONS).find(([name]) => name === format)?.[1];
}

/**
 * The submission of a video of all frames of a task. `ext` is the extension of the task's files,
 * `name` the file name of the video.
 */
export function videoSubmission(task: number, ext: string, name: string, fps?: number) {
  return { type: ffmpegVideo.type, settings: { task, ext, name, ...(fps !== undefined && { fps }) } };
}
