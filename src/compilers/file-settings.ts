/** Settings about files: the assets that a submitter sends for a task. */
import { arrayOf } from "../protocol/bounded.ts";
import { MAX_INPUTS } from "../protocol/constants.ts";
import { foldedPath } from "../protocol/path-rules.ts";
import { inputSchema, plainInput, type Input } from "../protocol/plan.ts";
import { complain, type IssueSink } from "./frame-settings.ts";

/**
 * The files that a submitter sends for a task: paths in the input folder, with hashes and sizes.
 */
export const assetsSchema = arrayOf(
  inputSchema,
  MAX_INPUTS,
  `must have at most ${MAX_INPUTS} files: pack textures into the scene, or send fewer folders`,
  plainInput,
).default([]);

/**
 * Check that the assets can exist beside each other on every platform: no path comes twice, not
 * even in other case, and no file is where another path needs a folder. True when they can;
 * otherwise an issue in `sink` names the entry.
 */
export function checkAssets(assets: readonly Input[], sink: IssueSink): boolean {
  const seen = new Map<string, number>();
  for (let index = 0; index < assets.length; index++) {
    const { path } = assets[index]!;
    const form = foldedPath(path);
    const before = seen.get(form);
    if (before !== undefined) {
      const other = assets[before]!.path;
      const why = other === path ? `'${path}' is there twice` : `'${path}' and '${other}' are one file on some systems`;
      complain(sink, why, "assets", index, "path");
      return false;
    }
    seen.set(form, index);
  }
  const bad = fileAsFolder([...seen.keys()]);
  if (bad === undefined) return true;
  const [file, under] = bad.map((form) => seen.get(form)!) as [number, number];
  complain(sink, `needs a folder where '${assets[file]!.path}' is a file`, "assets", under, "path");
  return false;
}

/**
 * A path that is also the folder of another one, and that other one; undefined when there is none.
 * The paths are sorted, so it costs no look-up of each folder of each path: with 256 folders in a
 * path, those took seconds.
 */
function fileAsFolder(paths: readonly string[]): [file: string, under: string] | undefined {
  /** Each is the beginning of the next one. */
  const beginnings: string[] = [];
  for (const path of paths.toSorted()) {
    while (beginnings.length > 0 && !path.startsWith(beginnings.at(-1)!)) beginnings.pop();
    // If a shorter beginning were a folder of this path, it would be one of the last beginning, too.
    const file = beginnings.at(-1);
    if (file !== undefined && path[file.length] === "/") return [file, path];
    beginnings.push(path);
  }
  return undefined;
}

/** Those of `paths` that are none of the assets, nor a folder that holds one. */
export function notBrought(assets: readonly Input[], paths: readonly string[]): Set<string> {
  const missing = new Set(paths);
  const lengths = new Set(paths.map((path) => path.length));
  for (const { path } of assets) {
    if (missing.size === 0) break;
    missing.delete(path);
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1))
      if (lengths.has(slash)) missing.delete(path.slice(0, slash));
  }
  return missing;
}

/** True when `path` is one of the assets, or a folder that holds one. */
export function isBrought(assets: readonly Input[], path: string): boolean {
  return notBrought(assets, [path]).size === 0;
}
