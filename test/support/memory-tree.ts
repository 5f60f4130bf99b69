/** A tree of files in memory, for tests of what is traced. */
import type { FileTree, TreeEntry } from "../../src/blend/file-tree.ts";
import { folderOf, nameOf } from "../../src/blend/stored-path.ts";

export interface MemoryTreeOptions {
  /** Names are found as Windows and macOS find them. */
  ignoresCase?: boolean;
  /** Targets of links, by full path. */
  links?: Readonly<Record<string, string>>;
}

/** `files`: text by full path. */
export function memoryTree(
  files: Readonly<Record<string, string>>,
  { ignoresCase = false, links = {} }: MemoryTreeOptions = {},
): FileTree {
  const form = (path: string): string => (ignoresCase ? path.toLowerCase() : path);
  const spelled = new Map<string, string>();
  const folders = new Map<string, Map<string, string>>();
  for (const path of Object.keys(files)) {
    spelled.set(form(path), path);
    for (let at = path; folderOf(at) !== at; at = folderOf(at)) {
      const folder = form(folderOf(at));
      if (!folders.has(folder)) folders.set(folder, new Map());
      folders.get(folder)!.set(nameOf(at), folderOf(at));
    }
  }
  return {
    async entry(path): Promise<TreeEntry | undefined> {
      const file = spelled.get(form(path));
      if (file !== undefined)
        return { path: file, target: links[file] ?? file, isFolder: false, size: files[file]!.length };
      return folders.has(form(path)) ? { path, target: path, isFolder: true, size: 0 } : undefined;
    },
    async names(folder) {
      return [...(folders.get(form(folder))?.keys() ?? [])].toSorted();
    },
    async withFile(path, read) {
      const text = files[spelled.get(form(path)) ?? ""];
      if (text === undefined) throw new Error(`ENOENT: ${path}`);
      const bytes = new TextEncoder().encode(text);
      return await read({
        size: bytes.length,
        read: async (offset, length) => bytes.slice(offset, offset + length),
      });
    },
  };
}
