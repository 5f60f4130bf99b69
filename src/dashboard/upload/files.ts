/** Files that were dropped or chosen, with the paths they have beside each other. */

export interface Chosen {
  /** Relative to the folder that everything was dropped from, with `/`. */
  path: string;
  file: File;
}

async function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return await new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A folder's entries; browsers hand over at most a hundred at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

async function walk(entry: FileSystemEntry, prefix: string, found: Chosen[]): Promise<void> {
  const path = prefix + entry.name;
  if (entry.isFile) found.push({ path, file: await fileOf(entry as FileSystemFileEntry) });
  else for (const child of await entriesOf(entry as FileSystemDirectoryEntry)) await walk(child, `${path}/`, found);
}

/** All files of a drop, folders included. */
export async function dropped(transfer: DataTransfer): Promise<Chosen[]> {
  // Entries must be taken before anything is awaited: the list is empty afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return chosen(transfer.files);
  const found: Chosen[] = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

/** Files of an `<input type=file>`; of a folder they come with their paths. */
export function chosen(files: FileList | null): Chosen[] {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Junk that systems leave in folders. */
const JUNK = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*|\.git\/.*)$|\.blend\d+$/i;

/** Put new files to those that are there; the same path again is the newer one. Backups and junk are left out. */
export function together(before: readonly Chosen[], more: readonly Chosen[]): Chosen[] {
  const all = new Map(before.map((one) => [one.path, one]));
  for (const one of more) if (!JUNK.test(one.path)) all.set(one.path, one);
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** The .blend files among them, those nearest to the top first. */
export function scenesOf(files: readonly Chosen[]): string[] {
  return files
    .map((one) => one.path)
    .filter((path) => /\.blend$/i.test(path))
    .sort((a, b) => a.split("/").length - b.split("/").length || a.localeCompare(b));
}
