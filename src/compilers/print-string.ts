/** `print_string`: prints a text for every frame. The simplest task, for trying out a farm. */
import { z } from "zod";
import { DEFAULT_DESCRIPTION, DEFAULT_PLAN, DEFAULT_TRAITS, type Compiler } from "./compiler.ts";
import { FRAME_KEYS, frameFields, frameSettingsOf, listOf } from "./frame-settings.ts";

// The text becomes an argument of a process, and no system allows NUL in one.
const text = z
  .string()
  .max(10_000)
  .refine((value) => !value.includes("\0"), "must not contain NUL");

const settings = z.strictObject({ ...frameFields, text }).transform((input, context) => {
  const frames = frameSettingsOf(input, context, "1");
  return frames ? { ...frames, text: input.text } : z.NEVER;
});

/** The compiler of `print_string`. */
export const printString: Compiler<z.infer<typeof settings>> = {
  ...DEFAULT_TRAITS,
  type: "print_string",
  parser: "plain",
  summary: "Prints a text for every frame.",
  programs: ["tablao-tool"],
  keys: [...FRAME_KEYS, "text"],
  settings,
  describe: (s) => ({
    ...DEFAULT_DESCRIPTION,
    frames: listOf(s.frames),
    programs: ["tablao-tool"],
  }),
  plan: (s, frames) => ({
    ...DEFAULT_PLAN,
    command: { program: "tablao-tool", args: ["print", s.text, frames.join(",")], env: {} },
    frame_timeout_s: s.frame_timeout_s,
  }),
};
