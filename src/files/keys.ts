/**
 * Names of objects in the bucket. Everything is found again by prefix: a task's results under `tasks/<id>/`, an attempt's
 * under `tasks/<id>/<attempt>/`, the parts of a large file under `parts/` and its own key, and all unfinished uploads under
 * `uploads/`, whatever they are to become.
 */

/** Uploads in parts that are under way: what the daily sweep looks through. */
export const UPLOADS_PREFIX = "uploads/";

/** Inputs. */
export const ASSETS_PREFIX = "assets/";

/** An input, by its content. */
export function assetKey(sha256: string): string {
  return `${ASSETS_PREFIX}${sha256}`;
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

/** What says which upload of `target` is under way. */
export function uploadKey(target: string): string {
  return `${UPLOADS_PREFIX}${target}`;
}

/** The parts of `target`, of all its uploads. A target that ends in a slash: of all files under it. */
export function partsPrefix(target: string): string {
  return target.endsWith("/") ? `parts/${target}` : `parts/${target}/`;
}

/** Where a part lies. */
export interface PartPlace {
  target: string;
  /** The upload it came with. */
  upload: string;
  /** From 1. */
  number: number;
  sha256: string;
}

/** A part's key; the number is padded, so that a listing is in order (at most 1,000 parts). The hash makes it a name for these bytes only. */
export function partKey({ target, upload, number, sha256 }: PartPlace): string {
  return `${partsPrefix(target)}${upload}/${String(number).padStart(4, "0")}-${sha256}`;
}

/** What a part's key says. */
export function partPlace(key: string): PartPlace {
  const [, target = "", upload = "", number = "", sha256 = ""] =
    /^parts\/(.*)\/([^/]*)\/(\d+)-([^/]*)$/.exec(key) ?? [];
  return { target, upload, number: Number(number), sha256 };
}
