/**
 * `exec`: any program, for farms that trust their submitters. Only agents that were started with
 * `--allow-exec` take it.
 *
 * There is no shell: `args` reach the program as they are. Only whole arguments are replaced:
 * - `{frame}`: the first frame of the lease;
 * - `{frames}`: the lease's frames, such as `1-3,7`;
 * - `{in:path}`: an asset, or a folder of assets;
 * - `{out:path}`: a path in the output folder.
 *
 * One process does one lease. With `chunk` above 1 the program must take `{frames}` and do all of
 * them; a program that takes `{frame}` needs `chunk` 1.
 *
 * With `outputs` (`out_####.png`) the program must leave a file for every frame in the output
 * folder, with the frame's number in its name. Without `outputs` the frames are done when the
 * program exits 0.
 */
import { z } from "zod";
import { arrayOf, recordOf, textOf } from "../protocol/bounded.ts";
import { relativePathSchema } from "../protocol/fields.ts";
import { whyUnsafePath } from "../protocol/path-rules.ts";
import { formatFrameList, listOfFrames } from "../protocol/frame-list.ts";
import type { Argument } from "../protocol/plan.ts";
import { quoted } from "./check.ts";
import { DEFAULT_DESCRIPTION, DEFAULT_PLAN, DEFAULT_TRAITS, type Compiler } from "./compiler.ts";
import { assetsSchema, checkAssets, notBrought } from "./file-settings.ts";
import { nameOfFrame } from "./frame-name.ts";
import { FRAME_KEYS, complain, frameFields, frameSettingsOf, isOneFrame, listOf } from "./frame-settings.ts";

const PLACEHOLDER = /^\{(frame|frames|(in|out):(.*))\}$/s;
const ANYWHERE = /\{(?:frames?\}|in:|out:)/;

const argument = textOf(8_192)
  .refine((value) => !value.includes("\0"), "must not contain NUL")
  .superRefine((value, context) => {
    const match = PLACEHOLDER.exec(value);
    const bad = match?.[3] === undefined ? undefined : whyUnsafePath(match[3]);
    if (bad) context.addIssue({ code: "custom", message: `has a path that ${bad}` });
    if (!match && ANYWHERE.test(value)) {
      context.addIssue({
        code: "custom",
        message: `has a placeholder inside ${quoted(value)}: it must be a whole argument`,
      });
    }
  });

/** The most variables: Linux holds them and the arguments in 2 MB. */
const MAX_VARIABLES = 1_000;

const environment = recordOf(
  z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be letters, digits and '_'")
    .refine((name) => !/^tablao_/i.test(name), "must not start with TABLAO_: those are the agent's own"),
  textOf(8_192).refine((value) => !value.includes("\0"), "must not contain NUL"),
  MAX_VARIABLES,
);

// A file name has at most 255 bytes, and the longest frame number (ten digits and a sign) must fit
// into it.
const pattern = relativePathSchema
  .max(180, { abort: true })
  .refine((name) => !name.includes("/"), "must be a file name without '/'");

const fields = {
  program: textOf(1_024)
    .min(1)
    // oxlint-disable-next-line no-control-regex
    .refine((value) => !/[\u0000-\u001f\u007f]/.test(value), "must not contain control characters"),
  args: arrayOf(argument, 1_000).default([]),
  env: environment.default({}),
  outputs: pattern.nullish(),
  assets: assetsSchema,
};

const settings = z.strictObject({ ...frameFields, ...fields }).transform((input, context) => {
  const { program, args, env, outputs = null, assets } = input;
  const frames = frameSettingsOf(input, context, "1");
  if (!frames || !checkAssets(assets, context)) return z.NEVER;
  const read = args.flatMap((arg, index) => {
    const match = PLACEHOLDER.exec(arg);
    return match?.[2] === "in" ? [{ path: match[3] ?? "", index }] : [];
  });
  const missing = notBrought(
    assets,
    read.map(({ path }) => path),
  );
  const wrong = read.find(({ path }) => missing.has(path));
  if (wrong !== undefined) {
    complain(context, `names ${quoted(wrong.path)}, which is not in \`assets\``, "args", wrong.index);
    return z.NEVER;
  }
  if (outputs !== null && !outputs.includes("#") && !isOneFrame(frames.frames)) {
    complain(context, "must have '#' where the frame number goes: more than one frame is asked for", "outputs");
    return z.NEVER;
  }
  return { ...frames, program, args, env, outputs, assets };
});

function resolve(arg: string, frames: readonly number[]): Argument {
  const match = PLACEHOLDER.exec(arg);
  if (!match) return arg;
  if (match[2] === "in") return { in: match[3] ?? "" };
  if (match[2] === "out") return { out: match[3] ?? "" };
  return match[1] === "frame" ? String(frames[0]) : formatFrameList(listOfFrames(frames));
}

/** The format of a task with these outputs: `out_####.PNG` → `PNG`. */
function formatOf(outputs: string | null): string {
  return /\.([A-Za-z0-9]{1,8})$/.exec(outputs ?? "")?.[1]?.toUpperCase() ?? "";
}

/** The compiler of `exec`. */
export const exec: Compiler<z.infer<typeof settings>> = {
  ...DEFAULT_TRAITS,
  type: "exec",
  parser: "plain",
  summary: "Runs any program, on agents that were started with --allow-exec.",
  programs: [],
  needsExec: true,
  keys: [...FRAME_KEYS, ...Object.keys(fields)],
  settings,
  describe: (s) => ({
    ...DEFAULT_DESCRIPTION,
    frames: listOf(s.frames),
    format: formatOf(s.outputs),
    programs: [],
    needsExec: true,
    inputs: s.assets,
    filesPerFrame: s.outputs === null ? 0 : 1,
  }),
  plan: (s, frames) => ({
    ...DEFAULT_PLAN,
    command: { program: s.program, args: s.args.map((arg) => resolve(arg, frames)), env: s.env },
    inputs: s.assets,
    outputs: s.outputs === null ? [] : frames.map((frame) => ({ frame, name: nameOfFrame(s.outputs ?? "", frame) })),
    needs_exec: true,
    frame_timeout_s: s.frame_timeout_s,
  }),
};
