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
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import type { z } from "zod";
import { messageOf, systemCode } from "../lib/errors.ts";
import { whenFreeSync } from "./held-file.ts";

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
    whenFreeSync(() => renameSync(temporary, file));
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

/** A file that is there and cannot be used. The message names its path and the fault. */
export class UnreadableFile extends Error {
  override name = "UnreadableFile";

  constructor(file: string, fault: string) {
    super(`${file} cannot be read: ${fault}`);
  }
}

/** Faults of the system in words; others are told as the system tells them. */
const FAULTS: Record<string, string> = {
  EACCES: "this account may not read it",
  EPERM: "this account may not read it",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
  ELOOP: "its links go in a circle",
};

/** The file's text, or undefined when there is none. Throws `UnreadableFile`. */
export function readPrivateFile(file: string): string | undefined {
  try {
    const found = statSync(file);
    // A pipe would be waited for, and a device need not end.
    if (!found.isFile())
      throw new UnreadableFile(file, found.isDirectory() ? FAULTS["EISDIR"]! : "it is no regular file");
    return whenFreeSync(() => readFileSync(file, "utf8"));
  } catch (thrown) {
    const code = systemCode(thrown);
    if (code === "ENOENT") return undefined;
    throw code === undefined ? thrown : new UnreadableFile(file, FAULTS[code] ?? messageOf(thrown));
  }
}

/**
 * The value of a JSON file, or undefined when there is none. Throws `UnreadableFile`, also when its
 * value does not fit: `lacks` says what is wrong then, as in "it holds no address".
 */
export function readPrivateJson<S extends z.ZodType>(file: string, schema: S, lacks: string): z.output<S> | undefined {
  const text = readPrivateFile(file);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not the parser's words: they quote the text, which may hold a secret.
    throw new UnreadableFile(file, "it is no JSON");
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new UnreadableFile(file, lacks);
  return parsed.data;
}
