/**
 * Paths as .blend files hold them, and the full paths that they stand for. A full path has forward
 * slashes on every system: `/home/ann/a.png`, `C:/proj/a.png`, `//server/share/a.png`.
 */

/** The parts of a full path: what is in front of the first folder (`/`, `C:/`, `//server/share/`), and the names. */
export interface FullPath {
  root: string;
  names: string[];
}

const ROOT = /^(?:[A-Za-z]:\/|\/\/[^/]+\/[^/]+(?:\/|$)|\/)/;

/** The parts of a full path, without `.`, `..` and empty names. Throws when the path is not absolute. */
export function splitFull(path: string): FullPath {
  const found = ROOT.exec(path)?.[0];
  if (found === undefined) throw new Error(`'${path}' is no absolute path`);
  const names: string[] = [];
  for (const name of path.slice(found.length).split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return { root: found.endsWith("/") ? found : `${found}/`, names };
}

/** The full path without `.` and `..`. Like Blender, it takes `..` by the text: links are not followed. */
export function normalFull(path: string): string {
  const { root, names } = splitFull(path);
  return root + names.join("/");
}

/** The folder of a full path. */
export function folderOf(path: string): string {
  const { root, names } = splitFull(path);
  return root + names.slice(0, -1).join("/");
}

/** The last name of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A name in a folder, as a full path. */
export function inFolder(folder: string, name: string): string {
  return folder.endsWith("/") ? folder + name : `${folder}/${name}`;
}

/**
 * The full path that a stored one stands for. `//` stands for the folder of the .blend file. A path that
 * is neither relative in this way nor absolute starts there, too: Blender takes it from the folder in which
 * it was started, which no other machine has. Windows and Blender write `\` for `/`.
 */
export function fullPathOf(stored: string, blendFolder: string): string {
  const slashed = stored.replaceAll("\\", "/");
  // `\\server\share` is absolute, and `//folder` relative.
  const isShare = stored.startsWith("\\\\");
  if (!isShare && slashed.startsWith("//")) return normalFull(inFolder(blendFolder, slashed.slice(2)));
  if (ROOT.test(slashed)) {
    // A path from the root of the drive, on a machine with drives.
    const drive = /^[A-Za-z]:/.exec(blendFolder)?.[0];
    return normalFull(drive !== undefined && /^\/[^/]/.test(slashed) ? drive + slashed : slashed);
  }
  return normalFull(inFolder(blendFolder, slashed));
}

/** Whether Blender finds the stored path from the folder of the .blend file, wherever that folder is. */
export function isRelativeStored(stored: string): boolean {
  return stored.startsWith("//");
}

/** The way from a folder to a path, both relative to one root, as .blend files hold it: `//../tex/a.png`. */
export function storedFrom(folder: readonly string[], target: readonly string[]): string {
  let same = 0;
  while (same < folder.length && same < target.length && folder[same] === target[same]) same++;
  return `//${[...folder.slice(same).map(() => ".."), ...target.slice(same)].join("/")}`;
}

/** A stored path in the form in which two are compared: `/` between names, no `.` or double `/`. */
export function normalStored(stored: string): string {
  const slashed = stored.replaceAll("\\", "/");
  if (!slashed.startsWith("//")) return slashed;
  const names: string[] = [];
  for (const name of slashed.slice(2).split("/")) {
    if (name === ".." && names.length > 0 && names.at(-1) !== "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `//${names.join("/")}`;
}
