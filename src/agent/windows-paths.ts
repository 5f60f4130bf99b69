/** What Windows does not do with paths. Pure. */
import path from "node:path";

/**
 * The most characters of a path that programs open which do not ask for more (MAX_PATH without the NUL).
 * Node asks for more. Blender does not: its manifest has no `longPathAware`, so the switch in the
 * registry changes nothing for it.
 */
const MAX_PATH_CHARS = 259;

/**
 * The first of these files that Blender on Windows cannot open, and why, as a sentence for the owner of
 * the machine; undefined when it can open all. `names` have forward slashes.
 */
export function tooLongForBlender(
  folder: string,
  names: readonly string[],
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  if (platform !== "win32") return undefined;
  const long = names.map((name) => path.win32.join(folder, name)).find((file) => file.length > MAX_PATH_CHARS);
  if (long === undefined) return undefined;
  return (
    `the path of ${path.win32.basename(long)} has ${long.length} characters on this worker, and Blender on Windows ` +
    `opens ${MAX_PATH_CHARS}: start it with a short --work-dir, such as C:\\t`
  );
}

/**
 * What is wrong with a folder for secrets; undefined when it is private. Windows has no modes: a file has the
 * rights of its folder, and of all folders only those of a user's profile are closed to others by
 * default.
 */
export function privacyProblem(
  folder: string,
  home: string,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  if (platform !== "win32") return undefined;
  const way = path.win32.relative(home, folder);
  if (way !== ".." && !way.startsWith("..\\") && !path.win32.isAbsolute(way)) return undefined;
  return (
    `${folder} is outside of ${home}: other users of this machine may read this worker's secret there. ` +
    `Close it to them (icacls), or leave out --state-dir`
  );
}
