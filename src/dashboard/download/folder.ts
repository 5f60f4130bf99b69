/**
 * A folder of the viewer's machine, where the browser lets a page write into one (File System
 * Access API: Chromium).
 */

type Pick = (options: { mode: "readwrite"; id: string }) => Promise<FileSystemDirectoryHandle>;

function picker(): Pick | undefined {
  // The type declarations do not have it, because not all browsers do.
  return (globalThis as { showDirectoryPicker?: Pick }).showDirectoryPicker;
}

/**
 * Whether the browser can write into a folder that the viewer chooses. Browsers that have the API have
 * it in secure contexts only: over https, or on localhost.
 */
export function canPickFolder(): boolean {
  return picker() !== undefined;
}

/**
 * Let the viewer choose a folder; null when they choose none. Only in answer to a click: the
 * browser refuses it otherwise.
 */
export async function pickFolder(): Promise<FileSystemDirectoryHandle | null> {
  try {
    // The browser begins in the folder that was chosen last under this id.
    return (await picker()?.({ mode: "readwrite", id: "tablao-download" })) ?? null;
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") return null;
    throw thrown;
  }
}

/** The place of a file in a folder: the folder that it is in, and its name there. */
export interface Place {
  folder: FileSystemDirectoryHandle;
  name: string;
}

/** The place of a relative path; its folders are made. */
export async function placeOf(root: FileSystemDirectoryHandle, path: string): Promise<Place> {
  const folders = path.split("/");
  const name = folders.pop()!;
  let folder = root;
  for (const one of folders) folder = await folder.getDirectoryHandle(one, { create: true });
  return { folder, name };
}

/** The file at a place; null when there is none. */
export async function fileAt({ folder, name }: Place): Promise<File | null> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "NotFoundError") return null;
    throw thrown;
  }
}

/**
 * Write a file. It appears with all that `fill` wrote, or not at all; a file that was there before
 * stays until then.
 */
export async function writeFile(
  place: Place,
  fill: (to: FileSystemWritableFileStream) => Promise<void>,
): Promise<void> {
  const before = await fileAt(place);
  const handle = await place.folder.getFileHandle(place.name, { create: true });
  try {
    const to = await handle.createWritable();
    try {
      await fill(to);
      await to.close();
    } catch (thrown) {
      await to.abort().catch(() => undefined);
      throw thrown;
    }
  } catch (thrown) {
    // The handle of a new file made an empty one.
    if (before === null) await place.folder.removeEntry(place.name).catch(() => undefined);
    throw thrown;
  }
}
