/**
 * Builds of Blender that the farm keeps: an admin adds an official archive, and a worker that lacks the version
 * which a task needs fetches it once.
 */
import { z } from "zod";
import { MAX_FILE_BYTES } from "./constants.ts";
import { fileNameSchema, idSchema, instantSchema, sha256Schema } from "./fields.ts";

/** What a build runs on: an operating system of `PLATFORMS`, and the kind of processor. */
export const BUILD_PLATFORMS = [
  "linux-x64",
  "linux-arm64",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
  "windows-arm64",
] as const;
/** What a build runs on. */
export type BuildPlatform = (typeof BUILD_PLATFORMS)[number];

/**
 * The version of a build, with its patch: the farm keeps files and not needs. Other texts (`4.5`, `4.5.3-beta`)
 * would not say which of several builds a worker must get.
 */
export const BUILD_VERSION = /^[1-9]\d{0,2}\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,4})$/;

/** The formats of the official archives, and those that people pack themselves. */
export const ARCHIVE_ENDINGS = [".tar.xz", ".tar.gz", ".tgz", ".tar.zst", ".zip", ".dmg"] as const;
/** How an archive is packed. */
export type ArchiveEnding = (typeof ARCHIVE_ENDINGS)[number];

/** The most builds of a farm: agents and pages read the whole list. */
export const MAX_BUILDS = 200;

/** How the archive of this name is packed; undefined for a name that none of `ARCHIVE_ENDINGS` ends. */
export function archiveEnding(name: string): ArchiveEnding | undefined {
  return ARCHIVE_ENDINGS.find((ending) => name.toLowerCase().endsWith(ending));
}

/** The platform that a text names: `linux-x64`, or as Blender's own files say it: `macos-arm64`, `linux-x86_64`. */
export function buildPlatformIn(text: string): BuildPlatform | undefined {
  const [, system = "", processor = ""] =
    /^(linux|darwin|macos|windows|win)[-.](x64|x86_64|amd64|arm64|aarch64)$/i.exec(text) ?? [];
  const names: Record<string, string> = {
    macos: "darwin",
    win: "windows",
    x86_64: "x64",
    amd64: "x64",
    aarch64: "arm64",
  };
  const plain = (word: string): string => names[word.toLowerCase()] ?? word.toLowerCase();
  return BUILD_PLATFORMS.find((platform) => platform === `${plain(system)}-${plain(processor)}`);
}

/**
 * Version and platform that the name of an official archive says, `blender-4.5.3-linux-x64.tar.xz`; what it does
 * not say is left out.
 */
export function readArchiveName(name: string): { version?: string; platform?: BuildPlatform } {
  const ending = archiveEnding(name);
  const [, version, rest] =
    /^blender-(\d+\.\d+\.\d+)-([a-z]+-\w+)$/i.exec(ending ? name.slice(0, -ending.length) : name) ?? [];
  const platform = rest === undefined ? undefined : buildPlatformIn(rest);
  return {
    ...(version !== undefined && BUILD_VERSION.test(version) && { version }),
    ...(platform !== undefined && { platform }),
  };
}

/** Which build: one version for one platform. */
const buildVersionSchema = z.string().regex(BUILD_VERSION, "must be a version with its patch, such as 4.5.3");
const buildPlatformSchema = z.enum(BUILD_PLATFORMS);
/** The parts of a build's address, as they are checked. */
export const buildNameSchema = z.object({ version: buildVersionSchema, platform: buildPlatformSchema });

const archive = {
  sha256: sha256Schema.meta({ description: "Of the archive; a worker refuses other bytes" }),
  bytes: z.int().min(1).max(MAX_FILE_BYTES),
};
const fileName = { description: "Its ending says how it is packed" };

/** PUT /blender-builds/{version}/{platform}: the archive, which must have been uploaded. */
export const buildPutSchema = z
  .strictObject({
    ...archive,
    file_name: fileNameSchema
      .refine((name) => archiveEnding(name) !== undefined, `must end with one of ${ARCHIVE_ENDINGS.join(" ")}`)
      .meta(fileName),
  })
  .meta({ id: "BlenderBuildPut" });

/** One build that the farm keeps. */
export const buildSchema = z
  .object({
    ...buildNameSchema.shape,
    ...archive,
    // A newer manager may keep archives that are packed otherwise.
    file_name: z.string().meta(fileName),
    added_by: z.string(),
    added_ms: instantSchema,
  })
  .meta({ id: "BlenderBuild" });
/** One build that the farm keeps. */
export type BlenderBuild = z.infer<typeof buildSchema>;

/** The most needs in one answer, and the most tasks and workers that each names. */
export const MAX_NAMED_NEEDS = 100;
/** As above. */
export const MAX_NAMED = 20;

/** A version that tasks with frames to give out need, and which workers can render it. */
const blenderNeedSchema = z
  .object({
    needs: z.string().meta({ description: "`4.5`, or `4.5+` for that or a newer one" }),
    tasks: z.array(idSchema).meta({ description: `At most ${MAX_NAMED}` }),
    more_tasks: z.boolean(),
    have: z.int().meta({ description: "How many workers have it, online or not" }),
    fetch: z.int().meta({ description: "How many others would fetch it from the farm" }),
    cannot: z.int().meta({ description: "How many neither have it nor would fetch it" }),
    cannot_names: z.array(z.string()).meta({ description: `Of those, at most ${MAX_NAMED}` }),
  })
  .meta({ id: "BlenderNeed" });
/** A version that tasks with frames to give out need, and which workers can render it. */
export type BlenderNeed = z.infer<typeof blenderNeedSchema>;

/** GET /blender-builds. */
export const buildsSchema = z
  .object({
    builds: z.array(buildSchema).meta({ description: `The newest version first, at most ${MAX_BUILDS}` }),
    needs: z
      .array(blenderNeedSchema)
      .optional()
      .meta({ description: "What tasks with frames to give out need; not told to workers" }),
  })
  .meta({ id: "BlenderBuilds" });
/** The answer to GET /blender-builds. */
export type BlenderBuilds = z.infer<typeof buildsSchema>;

/**
 * The header in which an agent says with its calls to the registry that it fetches builds from the farm, and for
 * which platform: `linux-x64`. A header, because managers before 0.2 refuse fields that they do not know. An agent
 * that does not send it is never given a task for which it would have to fetch one.
 */
export const FETCHES_HEADER = "Tablao-Fetches-Blender";
/** The header of a claim that names the versions which the agent would fetch, as BLENDERS_HEADER names those it has. */
export const FETCHABLE_HEADER = "Tablao-Fetchable-Blender";

/** The platform that FETCHES_HEADER names; null for none, or one that is not known. */
export function fetchesIn(header: string | null): BuildPlatform | null {
  return BUILD_PLATFORMS.find((platform) => platform === header) ?? null;
}

/** What a worker says of itself while it fetches a build; its `activity`. */
export function fetchingText(version: string, done: number, total: number): string {
  return `fetching Blender ${version} (${megabytes(done)} of ${megabytes(total)} MB)`;
}

const FETCHING = /^(?:fetching|unpacking) Blender \d/;

/** Whether an activity says that the worker gets a build ready, and does not render yet. */
export function isFetching(activity: string | null): activity is string {
  return activity !== null && FETCHING.test(activity);
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
