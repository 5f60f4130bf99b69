/**
 * `sleep_simple`: sleeps some seconds for every frame, for trying out leases, cancels and the page.
 */
import { z } from "zod";
import { DEFAULT_DESCRIPTION, DEFAULT_PLAN, DEFAULT_TRAITS, type Compiler } from "./compiler.ts";
import { FRAME_KEYS, frameFields, frameSettingsOf, listOf } from "./frame-settings.ts";

const settings = z
  .strictObject({ ...frameFields, seconds: z.number().min(0).max(86_400) })
  .transform((input, context) => {
    const frames = frameSettingsOf(input, context, "1");
    return frames ? { ...frames, seconds: input.seconds } : z.NEVER;
  });

/** The compiler of `sleep_simple`. */
export const sleepSimple: Compiler<z.infer<typeof settings>> = {
  ...DEFAULT_TRAITS,
  type: "sleep_simple",
  parser: "plain",
  summary: "Sleeps the given seconds for every frame.",
  programs: ["tablao-tool"],
  keys: [...FRAME_KEYS, "seconds"],
  settings,
  describe: (s) => ({
    ...DEFAULT_DESCRIPTION,
    frames: listOf(s.frames),
    programs: ["tablao-tool"],
  }),
  plan: (s, frames) => ({
    ...DEFAULT_PLAN,
    command: { program: "tablao-tool", args: ["sleep", String(s.seconds), frames.join(",")], env: {} },
    frame_timeout_s: s.frame_timeout_s,
  }),
};
