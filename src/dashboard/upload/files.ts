/** Files that a person dropped or chose, with their paths relative to each other. */
import { messageOf } from "../../lib/errors.ts";
import { isJunk, whyNoInputPath } from "../../protocol/path-rules.ts";

export interface Chosen {
  /** Relative to the folder that all files were dropped from, with `/`. */
  path: string;
  file: File;
}

async function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return await new Promise((resolve, reject) => entry.file(resolve, reject));
}

/**
 * A folder's entries. Browsers return at most a hundred for each call, and an empty list at the
 * end.
 */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

/** What was found in a drop. `leftOut`: a line for each file or folder that cannot be sent. */
export interface Found {
  files: Chosen[];
  leftOut: string[];
}

function take(found: Found, path: string, file: File): void {
  const bad = whyNoInputPath(path);
  if (bad === undefined) found.files.push({ path, file });
  else found.leftOut.push(`${path}: the path ${bad}`);
}

/** One that cannot be read (a broken link, a file of another account) does not stop the others. */
async function walk(entry: FileSystemEntry, prefix: string, found: Found): Promise<void> {
  const path = prefix + entry.name;
  try {
    if (entry.isFile) return take(found, path, await fileOf(entry as FileSystemFileEntry));
    for (const child of await entriesOf(entry as FileSystemDirectoryEntry)) await walk(child, `${path}/`, found);
  } catch (thrown) {
    found.leftOut.push(`${path}: ${messageOf(thrown)}`);
  }
}

/** All files of a drop, folders included. */
export async function dropped(transfer: DataTransfer): Promise<Found> {
  // The entries must be read before the first await: browsers empty the list after the event.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return chosen(transfer.files);
  const found: Found = { files: [], leftOut: [] };
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

/** Files of an `<input type=file>`. Files of a folder have their path in it. */
export function chosen(files: Iterable<File> | null): Found {
  const found: Found = { files: [], leftOut: [] };
  for (const file of files ?? []) take(found, file.webkitRelativePath || file.name, file);
  return found;
}

/**
 * Add files to a list, without junk. A file whose path is in the list already replaces the earlier
 * one.
 */
export function together(before: readonly Chosen[], more: readonly Chosen[]): Chosen[] {
  const all = new Map(before.map((one) => [one.path, one]));
  for (const one of more) if (!isJunk(one.path)) all.set(one.path, one);
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** The paths of files with an extension (`.blend`), those nearest to the top folder first. */
export function pathsEndingIn(extension: string, files: readonly Chosen[]): string[] {
  return files
    .map((one) => one.path)
    .filter((path) => path.toLowerCase().endsWith(extension))
    .sort((a, b) => a.split("/").length - b.split("/").length || a.localeCompare(b));
}
