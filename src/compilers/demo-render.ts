/**
 * `demo_render`: the agent's own small ray tracer, for farms without Blender. Its tasks go the same
 * way as real renders.
 */
import { z } from "zod";
import { DEFAULT_DESCRIPTION, DEFAULT_PLAN, DEFAULT_TRAITS, type Compiler } from "./compiler.ts";
import { nameOfFrame } from "./frame-name.ts";
import { FRAME_KEYS, complain, frameFields, frameSettingsOf, listOf } from "./frame-settings.ts";

const PATTERN = "frame_####.png";
/** 4K. A larger picture would take minutes and show nothing more. */
const MAX_PIXELS = 4096 * 2304;

const fields = {
  width: z.int().min(1).max(8_192).default(320),
  height: z.int().min(1).max(8_192).default(180),
  samples: z.int().min(1).max(256).default(4),
  seed: z.int().min(0).max(0xffff_ffff).default(0),
  /** Milliseconds to wait in every frame, for tests that need slow frames. */
  delay_ms: z.int().min(0).max(600_000).default(0),
};

const settings = z.strictObject({ ...frameFields, ...fields }).transform((input, context) => {
  const { width, height, samples, seed, delay_ms } = input;
  if (width * height > MAX_PIXELS) {
    complain(context, `times \`height\` must be at most ${MAX_PIXELS} pixels`, "width");
    return z.NEVER;
  }
  const frames = frameSettingsOf(input, context);
  return frames ? { ...frames, width, height, samples, seed, delay_ms } : z.NEVER;
});

/** The compiler of `demo_render`. */
export const demoRender: Compiler<z.infer<typeof settings>> = {
  ...DEFAULT_TRAITS,
  type: "demo_render",
  parser: "plain",
  summary: "Renders a small animated scene with a ray tracer that every agent has.",
  programs: ["tablao-tool"],
  keys: [...FRAME_KEYS, ...Object.keys(fields)],
  settings,
  describe: (s) => ({
    ...DEFAULT_DESCRIPTION,
    frames: listOf(s.frames),
    format: "PNG",
    programs: ["tablao-tool"],
    filesPerFrame: 1,
  }),
  plan: (s, frames) => ({
    ...DEFAULT_PLAN,
    command: {
      program: "tablao-tool",
      args: [
        "demo",
        ...[s.width, s.height, s.samples, s.seed, s.delay_ms].map(String),
        { out: PATTERN },
        frames.join(","),
      ],
      env: {},
    },
    outputs: frames.map((frame) => ({ frame, name: nameOfFrame(PATTERN, frame) })),
    frame_timeout_s: s.frame_timeout_s,
  }),
};
