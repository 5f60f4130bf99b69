/** The files that were dropped or chosen, as `traceBlend` looks at them. */
import type { FileTree, TreeEntry } from "../../blend/file-tree.ts";
import { folderOf, nameOf, splitFull } from "../../blend/stored-path.ts";
import type { ByteSource } from "../../blend/types.ts";
import type { Chosen } from "./files.ts";

/** The full path of a chosen file: the page knows no path above what was dropped. */
export function fullOf(path: string): string {
  return `/${path}`;
}

/**
 * A tree of chosen files. The page does not learn where a dropped folder lies, so an absolute path in the scene is
 * found by its end: `/home/ann/proj/tex/a.png` is `proj/tex/a.png` when only one chosen file ends in `tex/a.png`. The
 * name alone is enough only for a file that was dropped by itself, because `old/a.png` may be another picture.
 */
export class DroppedTree implements FileTree {
  readonly #files = new Map<string, File>();
  readonly #folders = new Map<string, Set<string>>();
  /** Full paths of files and folders, by their last name. */
  readonly #byName = new Map<string, string[]>();

  constructor(files: readonly Chosen[]) {
    this.#folders.set("/", new Set());
    for (const { path, file } of files) {
      this.#files.set(fullOf(path), file);
      this.#index(fullOf(path));
    }
  }

  #index(path: string): void {
    const named = this.#byName.get(nameOf(path)) ?? [];
    this.#byName.set(nameOf(path), [...named, path]);
    const folder = folderOf(path);
    const known = this.#folders.get(folder);
    if (known) {
      known.add(nameOf(path));
      return;
    }
    this.#folders.set(folder, new Set([nameOf(path)]));
    this.#index(folder);
  }

  async entry(path: string): Promise<TreeEntry | undefined> {
    const found = this.#find(path);
    if (found === undefined) return undefined;
    const file = this.#files.get(found);
    return { path: found, target: found, isFolder: file === undefined, size: file?.size ?? 0 };
  }

  async names(folder: string): Promise<readonly string[]> {
    const found = this.#find(folder);
    return found === undefined ? [] : [...(this.#folders.get(found) ?? [])].toSorted();
  }

  async withFile<T>(path: string, read: (source: ByteSource) => Promise<T>): Promise<T> {
    const file = this.#files.get(path);
    if (file === undefined) throw new Error("is not among the chosen files");
    return await read({
      size: file.size,
      read: async (offset, length) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer()),
    });
  }

  #find(path: string): string | undefined {
    if (this.#files.has(path) || this.#folders.has(path)) return path;
    const { names } = splitFull(path);
    // Below a dropped folder the place is known, and nothing else is meant.
    if (names.length > 1 && this.#folders.has(`/${names[0]!}`)) return undefined;
    const candidates = this.#byName.get(names.at(-1) ?? "") ?? [];
    for (let count = names.length; count > 1; count--) {
      const end = `/${names.slice(-count).join("/")}`;
      const ending = candidates.filter((one) => one.endsWith(end));
      if (ending.length > 0) return ending.length === 1 ? ending[0] : undefined;
    }
    return candidates.find((one) => splitFull(one).names.length === 1);
  }
}
