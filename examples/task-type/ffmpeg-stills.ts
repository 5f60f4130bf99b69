/**
 * A task type of one's own, as a worked example. `ffmpeg_stills`: frame n of a task is picture n of a movie, as a PNG.
 *
 * To use it:
 *
 * 1. Copy this file to `src/compilers/ffmpeg-stills.ts`, and shorten its imports to `./` and `../protocol/`.
 * 2. Add `ffmpegStills` to `COMPILERS` in `src/compilers/index.ts`. The manager, the page's form, `GET /types` and the
 *    command line read that list.
 * 3. Add its smallest settings to `SMALLEST` in `src/compilers/index.test.ts`: that test holds every type to the same rules.
 *
 * Manager and agents must both be updated: an agent checks a plan by its own rules. A program that agents do not know yet
 * is more work; CONTRIBUTING.md says where.
 */
import { z } from "zod";
import { DEFAULT_DESCRIPTION, DEFAULT_PLAN, DEFAULT_TRAITS, type Compiler } from "../../src/compilers/compiler.ts";
import { assetsSchema, checkAssets, isBrought } from "../../src/compilers/file-settings.ts";
import { nameOfFrame } from "../../src/compilers/frame-name.ts";
import { complain, FRAME_KEYS, frameFields, listOf, frameSettingsOf } from "../../src/compilers/frame-settings.ts";
import { relativePathSchema } from "../../src/protocol/fields.ts";
import type { Argument } from "../../src/protocol/plan.ts";

/** The number's place is the last run of `#`. */
const PATTERN = "still_####.png";

/** The settings that only this type has; the frames and their time limit come from `frameFields`. */
const fields = {
  /** Path of the movie among the assets. */
  movie: relativePathSchema,
  assets: assetsSchema,
  /** Pixels; the height follows. */
  width: z.int().min(16).max(8_192).nullish(),
};

/** Checked when the task is submitted. The output is stored and is what `describe` and `plan` get. */
const settings = z.strictObject({ ...frameFields, ...fields }).transform((input, context) => {
  const { movie, assets, width = null } = input;
  const frames = frameSettingsOf(input, context);
  if (!frames || !checkAssets(assets, context)) return z.NEVER;
  if (!isBrought(assets, movie)) {
    complain(context, "must be one of `assets`", "movie");
    return z.NEVER;
  }
  return { ...frames, movie, assets, width };
});

export const ffmpegStills: Compiler<z.infer<typeof settings>> = {
  ...DEFAULT_TRAITS,
  type: "ffmpeg_stills",
  // Reads ffmpeg's output: progress, and the line that says why it failed.
  parser: "ffmpeg",
  summary: "Takes pictures out of a movie.",
  programs: ["ffmpeg"],
  keys: [...FRAME_KEYS, ...Object.keys(fields)],
  settings,
  describe: (s) => ({
    ...DEFAULT_DESCRIPTION,
    frames: listOf(s.frames),
    format: "PNG",
    programs: ["ffmpeg"],
    inputs: s.assets,
    filesPerFrame: 1,
  }),
  plan: (s, frames) => {
    const scale = s.width === null ? "" : `,scale=${s.width}:-2`;
    // Each string is one argument: there is no shell.
    const quiet = ["-hide_banner", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"];
    const still = (frame: number): Argument[] => {
      const filter = `select=eq(n\\,${frame - 1})${scale}`;
      return ["-map", "0:v:0", "-vf", filter, "-frames:v", "1", { out: nameOfFrame(PATTERN, frame) }];
    };
    // One run reads the movie once for all frames of the lease.
    const args: Argument[] = [...quiet, "-i", { in: s.movie }, ...frames.flatMap(still)];
    return {
      ...DEFAULT_PLAN,
      command: { program: "ffmpeg", args, env: {} },
      inputs: s.assets,
      // What must be there when the program has ended: a render that leaves a frame out has failed.
      outputs: frames.map((frame) => ({ frame, name: nameOfFrame(PATTERN, frame) })),
      frame_timeout_s: s.frame_timeout_s,
    };
  },
};
