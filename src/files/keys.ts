/**
 * Keys of objects in the bucket. Each kind of object is found by its prefix:
 *
 * - `assets/<sha256>`: an input: a file, a piece of a file above 32 MiB, or a list of such pieces
 * - `blenders/<sha256>`: the archive of a build of Blender that the farm keeps
 * - `tasks/<id>/<attempt>/<name>`: an output
 * - `parts/<key>/<upload>/…`: the parts of the large file with that key: an output, the archive of a
 *   build, or an input of a client of 0.1
 * - `uploads/<key>`: the record of an upload in parts that is not finished
 * - `unindexed/<sha256>`: an input whose row in the index of inputs could not be written yet
 * - `used/…`: a note that inputs are used, which the index could not take (`use-notes.ts`)
 * - `farm/…`: what the watchdog looks for (`open-marker.ts`), and whether a sweep may be deleting
 *   inputs (`sweep-marker.ts`)
 */

/** Records of unfinished uploads, which the daily sweep lists. */
export const UPLOADS_PREFIX = "uploads/";

/** Inputs of tasks. */
export const ASSETS_PREFIX = "assets/";

/** An input, by its content. */
export function assetKey(sha256: string): string {
  return `${ASSETS_PREFIX}${sha256}`;
}

/** Archives of builds of Blender. */
export const BLENDERS_PREFIX = "blenders/";

/** The archive of a build, by its content. */
export function blenderKey(sha256: string): string {
  return `${BLENDERS_PREFIX}${sha256}`;
}

/** Markers of inputs that are stored and not in the index (`stored-inputs.ts`). */
export const UNINDEXED_PREFIX = "unindexed/";

/** Notes of use that the index could not take. */
export const USED_PREFIX = "used/";

/** The marker of an input that is not in the index. */
export function unindexedKey(sha256: string): string {
  return `${UNINDEXED_PREFIX}${sha256}`;
}

/** An output of one attempt. The name has passed `fileNameSchema`: it holds no slash. */
export function outputKey(task: number, attempt: number, name: string): string {
  return `${attemptPrefix(task, attempt)}${name}`;
}

/** All outputs of one attempt. */
export function attemptPrefix(task: number, attempt: number): string {
  return `${taskPrefix(task)}${attempt}/`;
}

/** All outputs of a task. */
export function taskPrefix(task: number): string {
  return `tasks/${task}/`;
}

/** The record of the unfinished upload of `target`. */
export function uploadKey(target: string): string {
  return `${UPLOADS_PREFIX}${target}`;
}

/**
 * The parts of `target`, of all its uploads. With a target that ends in a slash: of all files under
 * it.
 */
export function partsPrefix(target: string): string {
  return target.endsWith("/") ? `parts/${target}` : `parts/${target}/`;
}

/** What the key of a part says. */
export interface PartPlace {
  target: string;
  /** The id of the upload that it came with. */
  upload: string;
  /** From 1. */
  number: number;
  sha256: string;
}

/**
 * A part's key. The number is padded so that a listing is in order (at most 1,000 parts); the hash
 * makes the key unique to its bytes.
 */
export function partKey({ target, upload, number, sha256 }: PartPlace): string {
  return `${partsPrefix(target)}${upload}/${String(number).padStart(4, "0")}-${sha256}`;
}

/** The reverse of `partKey`. */
export function partPlace(key: string): PartPlace {
  const [, target = "", upload = "", number = "", sha256 = ""] =
    /^parts\/(.*)\/([^/]*)\/(\d+)-([^/]*)$/.exec(key) ?? [];
  return { target, upload, number: Number(number), sha256 };
}
