/** The files of this machine, as `traceBlend` looks at them. */
import { access, constants, open, readdir, realpath, stat } from "node:fs/promises";
import type { FileTree, TreeEntry } from "../blend/file-tree.ts";
import { inFolder, splitFull } from "../blend/stored-path.ts";
import { messageOf } from "../lib/errors.ts";

/** Whether the disks of this system find `Tex/A.png` for `tex/a.png`. */
const IGNORES_CASE = process.platform === "win32" || process.platform === "darwin";

/** The full path, with forward slashes, of an absolute path of this machine. */
export function fullOf(absolute: string): string {
  return process.platform === "win32" ? absolute.replaceAll("\\", "/") : absolute;
}

/** The files of this machine. What was read of folders is kept, so one tree serves one submission. */
export class DiskTree implements FileTree {
  readonly #names = new Map<string, Promise<readonly string[]>>();
  readonly #spelled = new Map<string, Promise<string>>();

  async entry(path: string): Promise<TreeEntry | undefined> {
    try {
      const found = await stat(path);
      const spelled = IGNORES_CASE ? await this.#asOnDisk(path) : path;
      const target = fullOf(await realpath(path));
      const unreadable = await access(path, constants.R_OK).then(
        () => undefined,
        (thrown: unknown) => messageOf(thrown),
      );
      const size = found.isFile() ? found.size : 0;
      return { path: spelled, target, isFolder: found.isDirectory(), size, ...(unreadable && { unreadable }) };
    } catch {
      return undefined;
    }
  }

  async names(folder: string): Promise<readonly string[]> {
    const known = this.#names.get(folder);
    if (known) return await known;
    const names = readdir(folder).then(
      (all) => all.toSorted(),
      () => [],
    );
    this.#names.set(folder, names);
    return await names;
  }

  async withFile<T>(
    path: string,
    read: (source: { size: number; read(offset: number, length: number): Promise<Uint8Array> }) => Promise<T>,
  ): Promise<T> {
    const handle = await open(path);
    try {
      const { size } = await handle.stat();
      return await read({
        size,
        async read(offset, length) {
          const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
          let at = 0;
          while (at < bytes.length) {
            const { bytesRead } = await handle.read(bytes, at, bytes.length - at, offset + at);
            if (bytesRead === 0) break;
            at += bytesRead;
          }
          return bytes.subarray(0, at);
        },
      });
    } finally {
      await handle.close();
    }
  }

  /** The path in the spelling of the disk, folder by folder. */
  async #asOnDisk(path: string): Promise<string> {
    const known = this.#spelled.get(path);
    if (known) return await known;
    const spelling = this.#spell(path);
    this.#spelled.set(path, spelling);
    return await spelling;
  }

  async #spell(path: string): Promise<string> {
    const { root, names } = splitFull(path);
    const last = names.at(-1);
    if (last === undefined) return root;
    const folder = await this.#asOnDisk(root + names.slice(0, -1).join("/"));
    const all = await this.names(folder);
    const form = last.normalize("NFC").toLowerCase();
    const spelled = all.includes(last) ? last : all.find((name) => name.normalize("NFC").toLowerCase() === form);
    return inFolder(folder, spelled ?? last);
  }
}
