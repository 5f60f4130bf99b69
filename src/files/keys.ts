/**
 * Names of objects in the bucket. Everything is found again by prefix: a task's results under `tasks/<id>/`, an attempt's
 * under `tasks/<id>/<attempt>/`, and all unfinished uploads under `parts/`, whatever they were to become.
 */

/** Unfinished uploads of every kind. */
export const PARTS_PREFIX = "parts/";

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

/** The parts of the object that will be `target`. */
export function partsPrefix(target: string): string {
  return `${PARTS_PREFIX}${target}/`;
}

/** Part `number` (from 1) of `target`; padded, so that a listing is in order (at most 1,000 parts). */
export function partKey(target: string, number: number): string {
  return `${partsPrefix(target)}${String(number).padStart(4, "0")}`;
}

/** Part `number` (from 1) of an asset. */
export function assetPartKey(sha256: string, number: number): string {
  return partKey(assetKey(sha256), number);
}

/** The number in a part's key. */
export function partNumber(key: string): number {
  return Number(key.slice(key.lastIndexOf("/") + 1));
}
