/** What a person says may be missing. */
import { fitsText } from "../lib/wildcard.ts";

/**
 * Whether one of the patterns allows this file to be missing. The script in Blender decides in the same way: by the path
 * as it is stored, without `//`, and by the name of the data-block.
 */
export function isAllowed({ path, owner }: { path: string; owner: string }, patterns: readonly string[]): boolean {
  const shown = path.replace(/^\/\//, "").replaceAll("\\", "/");
  return patterns.some((pattern) => fitsText(pattern, shown) || fitsText(pattern, owner));
}
