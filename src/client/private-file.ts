/**
 * Files that are replaced as a whole or not at all; those that hold secrets are readable by their
 * owner only.
 */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { systemCode } from "../lib/errors.ts";

const OWNER_ONLY = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

/**
 * Write a file so that its name never shows half of it, not even after a loss of power: under a
 * temporary name, flushed to the disk, then renamed. `mode` holds whatever the umask says; without
 * it the umask decides. Throws the system's error, and leaves the file that was there.
 */
export function writeFileAtomic(file: string, content: string | Uint8Array, mode?: number): void {
  // The same name each time: the next write replaces what a process left that was killed here.
  const temporary = `${file}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  try {
    const handle = openSync(temporary, "wx", mode);
    try {
      // The mode of `open` is reduced by the umask.
      if (mode !== undefined) fchmodSync(handle, mode);
      writeFileSync(handle, content);
      // Without this, a rename may reach the disk before the bytes do.
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Write a file with mode 0600, atomically; its folder is made, with mode 0700, where there is none.
 */
export function writePrivateFile(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: OWNER_ONLY_FOLDER });
  writeFileAtomic(file, text, OWNER_ONLY);
}

/** The file's text, or undefined when there is none. */
export function readPrivateFile(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (thrown) {
    if (systemCode(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
}
