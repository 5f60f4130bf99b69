/** Paths of this machine. */
import ownPaths, { type PlatformPath } from "node:path";

/**
 * Whether `path` is `folder` or below it. Both are absolute; links are not followed. `system` are the
 * paths of another system.
 */
export function isInside(folder: string, path: string, system: PlatformPath = ownPaths): boolean {
  const way = system.relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${system.sep}`) && !system.isAbsolute(way));
}
