/** The settings of `blender_render`, and the names that clients of 2015 have for them. */
import { z } from "zod";
import { ANY_BLENDER, BLENDER_NEED } from "../protocol/blender-version.ts";
import { arrayOf } from "../protocol/bounded.ts";
import { lineSchema } from "../protocol/fields.ts";
import { quoted } from "./check.ts";
import { assetsSchema, checkAssets } from "./file-settings.ts";
import { PICTURE_EXTENSIONS, type PictureFormat } from "./frame-name.ts";
import { FRAME_KEYS, complain, frameFields, frameSettingsOf, listOf, type IssueSink } from "./frame-settings.ts";

/**
 * Blender's own limit (MINAFRAME and MAXFRAME of DNA_scene_types.h). Blender silently clamps frames
 * beyond it.
 */
const MAX_BLENDER_FRAME = 1_048_574;

const ENGINES = ["CYCLES", "BLENDER_EEVEE", "BLENDER_EEVEE_NEXT", "BLENDER_WORKBENCH"] as const;

/** Short names of formats that people and old clients use. */
const FORMAT_NAMES: Record<string, PictureFormat> = { JPG: "JPEG", EXR: "OPEN_EXR" };

const format = z.preprocess(
  (value) => {
    if (typeof value !== "string") return value;
    const upper = value.toUpperCase();
    return Object.hasOwn(FORMAT_NAMES, upper) ? FORMAT_NAMES[upper] : upper;
  },
  z.enum(Object.keys(PICTURE_EXTENSIONS) as PictureFormat[]),
);

/** A name inside a .blend file: Blender 5 allows 255 bytes. */
const blenderName = lineSchema(255)
  .min(1)
  .refine((name) => name.isWellFormed(), "must be well-formed Unicode");

/**
 * The most patterns of `allow_missing`, and the most characters of one. They are a part of Blender's command
 * line, which has at most 32,767 characters on Windows.
 */
const MAX_PATTERNS = 20;
const MAX_PATTERN_CHARS = 100;

/**
 * The settings that a render preset may hold: how a picture is made, never which picture, and never
 * what may run. A setting that is added here can then be set for all tasks that name a preset.
 */
export const presetFields = {
  format,
  engine: z.enum(ENGINES),
  resolution_percentage: z.int().min(1).max(1_000),
  samples: z.int().min(1).max(1_000_000),
  camera: blenderName,
  denoise: z.boolean(),
  frame_timeout_s: frameFields.frame_timeout_s.unwrap().unwrap(),
};

/** A preset's name: the part after `render.` of its setting's name. */
const presetName = z.string().regex(/^(render\.)?[a-z0-9_.-]{1,92}$/, "must be the name of a render preset");

/** A file on the workers that has its own path on each system, as in 2015. */
interface FileBySystem {
  linux?: string | undefined;
  darwin?: string | undefined;
  windows?: string | undefined;
}

const blendPath = lineSchema(1_024).min(1);
/**
 * The schema of a name of 2015. `modernised` renames it, so it is only left when the present name
 * was given as well.
 */
const oldName = (now: string) => z.never({ error: `is the name of 2015 for \`${now}\`: give one of them` }).optional();
const ignored = z.string().max(4_096).optional();

/** What is wrong with a version of Blender, in words that say what to give instead. */
function versionFault(text: unknown): string {
  const minor = typeof text === "string" ? /^(\d{1,3}\.\d{1,3})\.\d/.exec(text)?.[1] : undefined;
  return minor === undefined
    ? "must be a minor version such as 4.5, or 4.5+ for that or a newer one, or any"
    : `names a patch, and workers are chosen by the minor version: give ${minor}, ${minor}+ or any`;
}

/**
 * Which Blender may render. A patch (4.5.3) is refused, not shortened: whoever gives one would get
 * another without a word.
 */
const blenderVersion = z.string().regex(new RegExp(`${BLENDER_NEED.source}|^${ANY_BLENDER}$`), {
  error: ({ input }) => versionFault(input),
});

const fields = {
  ...z.object(presetFields).partial().shape,
  // The form on the page shows this, because `transform` hides the default from the schema.
  format: format
    .optional()
    .meta({ description: "Not set: PNG, whatever format the scene has, unless the preset says another" }),
  file: z.union([
    blendPath,
    z.strictObject({ linux: blendPath.optional(), darwin: blendPath.optional(), windows: blendPath.optional() }),
  ]),
  assets: assetsSchema,
  render_preset: presetName.optional(),
  autoexec: z.boolean().default(false),
  scene: blenderName.optional(),
  allow_missing_files: z.boolean().default(false),
  blender: blenderVersion.optional().meta({
    description:
      "The version of Blender: 4.5 (that minor version), 4.5+ (that or a newer one, all frames in the same), or any (also mixed). Not set: any",
  }),
  strict: z.boolean().optional().meta({ description: "A warning about a picture is a failure of its frame" }),
  allow_missing: arrayOf(
    lineSchema(MAX_PATTERN_CHARS)
      .min(1)
      .refine((pattern) => pattern.isWellFormed(), "must be well-formed Unicode"),
    MAX_PATTERNS,
  )
    .optional()
    .meta({
      description:
        "Patterns (`*`, `?`, `[abc]`) of what may be missing: compared with the path as the file stores it, and with the name of the data-block",
    }),
};

const fields2015 = {
  filepath: oldName("file"),
  file_path_linux: oldName("file"),
  file_path_win: oldName("file"),
  file_path_osx: oldName("file"),
  render_settings: oldName("render_preset"),
  // Without effect: output goes to the manager, and agents know where their Blender is.
  output_path_linux: ignored,
  output_path_win: ignored,
  output_path_osx: ignored,
  output_path: ignored,
  command_name: ignored,
};

const BY_SYSTEM = { file_path_linux: "linux", file_path_win: "windows", file_path_osx: "darwin" } as const;

/**
 * Names of all settings, those of 2015 included. A missing name would not be suggested for a
 * mistyped one.
 */
export const BLENDER_KEYS = [...new Set([...FRAME_KEYS, ...Object.keys(fields), ...Object.keys(fields2015)])];

/**
 * Rename settings of 2015. A setting that was given under both names keeps both, and is refused.
 */
function modernised(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const input: Record<string, unknown> = { ...value };
  // Clients of 2015 sent every path and the preset, with empty texts for those that they did not
  // have.
  for (const old of ["render_settings", ...Object.keys(BY_SYSTEM)]) if (input[old] === "") delete input[old];
  for (const [old, now] of [
    ["filepath", "file"],
    ["render_settings", "render_preset"],
  ] as const) {
    if (Object.hasOwn(input, old) && input[now] === undefined) {
      input[now] = input[old];
      delete input[old];
    }
  }
  const paths: Record<string, unknown> = {};
  for (const [old, system] of Object.entries(BY_SYSTEM)) {
    if (Object.hasOwn(input, old)) paths[system] = input[old];
  }
  if (Object.keys(paths).length > 0 && input.file === undefined) {
    input.file = paths;
    for (const old of Object.keys(BY_SYSTEM)) delete input[old];
  }
  return input;
}

/** Absolute on some system: `/x`, `C:\x`, `C:/x` or `\\host\share`. */
function isAbsolute(path: string): boolean {
  return /^(\/|[A-Za-z]:[\\/]|\\\\)/.test(path);
}

function checkFile(file: string | FileBySystem, assets: readonly { path: string }[], sink: IssueSink): boolean {
  if (typeof file === "string") {
    if (isAbsolute(file) || assets.some((asset) => asset.path === file)) return true;
    complain(sink, `must be one of \`assets\` or an absolute path on the workers: ${quoted(file)} is neither`, "file");
    return false;
  }
  const paths = Object.entries(file).filter(([, path]) => path !== undefined);
  if (paths.length === 0) complain(sink, "must have a path for at least one system", "file");
  const relative = paths.find(([, path]) => !isAbsolute(path ?? ""));
  if (relative) complain(sink, "must be an absolute path on the workers", "file", relative[0]);
  return paths.length > 0 && !relative;
}

function omit<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Omit<T, K> {
  const rest = { ...from };
  for (const key of keys) delete rest[key];
  return rest;
}

/** The settings that a submitter sends. The output has only the present names. */
export const blenderSettings = z.preprocess(
  modernised,
  z.strictObject({ ...fields2015, ...fields, ...frameFields }).transform((input, context) => {
    const own = omit(input, [...Object.keys(fields2015), ...FRAME_KEYS] as (
      | keyof typeof fields2015
      | keyof typeof frameFields
    )[]);
    const read = frameSettingsOf(input, context);
    if (!read || !checkAssets(own.assets, context) || !checkFile(own.file, own.assets, context)) return z.NEVER;
    const list = listOf(read.frames);
    if (list[0]!.start < -MAX_BLENDER_FRAME || list.at(-1)!.end > MAX_BLENDER_FRAME) {
      complain(context, `must lie within ±${MAX_BLENDER_FRAME}: Blender knows no others`, "frames");
      return z.NEVER;
    }
    if (own.engine === "BLENDER_WORKBENCH" && own.samples !== undefined) {
      complain(context, "cannot be set for BLENDER_WORKBENCH", "samples");
      return z.NEVER;
    }
    if (own.engine !== undefined && own.engine !== "CYCLES" && own.denoise === true) {
      complain(context, `cannot be set for ${own.engine}`, "denoise");
      return z.NEVER;
    }
    return { ...own, ...read, format: own.format ?? ("PNG" as const) };
  }),
);
/** The normalised settings, as they are stored. */
export type BlenderSettings = z.infer<typeof blenderSettings>;
