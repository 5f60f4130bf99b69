/** Settings about files: the assets that a submitter sends for a task. */
import { z } from "zod";
import { MAX_INPUTS } from "../protocol/constants.ts";
import { inputSchema, type Input } from "../protocol/plan.ts";
import { complain, type IssueSink } from "./frame-settings.ts";

/**
 * The files that a submitter sends for a task: paths in the input folder, with hashes and sizes.
 */
export const assetsSchema = z
  .array(inputSchema)
  .max(MAX_INPUTS, `must have at most ${MAX_INPUTS} files: pack textures into the scene, or send fewer folders`)
  .default([]);

/**
 * The form of a path by which Windows and macOS compare it: two paths with the same form are one
 * file there.
 */
function folded(path: string): string {
  return path.normalize("NFC").toLowerCase();
}

/**
 * Check that the assets can exist beside each other on every platform: no path comes twice, not
 * even in other case, and no file is where another path needs a folder. True when they can;
 * otherwise an issue in `sink` names the entry.
 */
export function checkAssets(assets: readonly Input[], sink: IssueSink): boolean {
  const seen = new Map<string, string>();
  for (const [index, { path }] of assets.entries()) {
    const other = seen.get(folded(path));
    if (other !== undefined) {
      const why = other === path ? `'${path}' is there twice` : `'${path}' and '${other}' are one file on some systems`;
      complain(sink, why, "assets", index, "path");
      return false;
    }
    seen.set(folded(path), path);
  }
  for (const [index, { path }] of assets.entries()) {
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      const folder = seen.get(folded(path.slice(0, slash)));
      if (folder !== undefined) {
        complain(sink, `needs a folder where '${folder}' is a file`, "assets", index, "path");
        return false;
      }
    }
  }
  return true;
}

/** True when `path` is one of the assets, or a folder that holds one. */
export function isBrought(assets: readonly Input[], path: string): boolean {
  return assets.some((asset) => asset.path === path || asset.path.startsWith(`${path}/`));
}
