/** The files among which a .blend is traced: a machine's disks, or a folder that was dropped on the page. */
import type { ByteSource } from "./types.ts";

/** A file or folder that is there. */
export interface TreeEntry {
  /** Its full path as the disk spells it: Windows and macOS find `Tex/A.png` for `tex/a.png`. */
  path: string;
  /** Its full path with all links followed. */
  target: string;
  isFolder: boolean;
  /** Bytes of a file. */
  size: number;
  /** Why it cannot be read, as the system says it. Absent when it can, as far as that is known. */
  unreadable?: string;
}

/** Full paths have forward slashes on every system. Nothing here throws for what is not there. */
export interface FileTree {
  /** What is at a full path; undefined when nothing is. Links are followed. */
  entry(path: string): Promise<TreeEntry | undefined>;
  /** The names in a folder, sorted; none where there is no such folder, or it cannot be read. */
  names(folder: string): Promise<readonly string[]>;
  /** Opens a file for `read`, and closes it. Throws what the system says when it cannot be read. */
  withFile<T>(path: string, read: (source: ByteSource) => Promise<T>): Promise<T>;
}
