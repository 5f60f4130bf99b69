/** Bytes and names that are on the disk: they survive a power cut. */
import { open } from "node:fs/promises";
import { systemCode } from "../lib/errors.ts";

/** Wait until the bytes of a file are on the disk. Throws the system's error. */
export async function syncFile(file: string): Promise<void> {
  // Windows syncs only what is open for writing.
  await syncPath(file, "r+");
}

/**
 * Wait until the names in a folder are on the disk. Windows opens no folders; its file systems keep the
 * order of names and bytes themselves.
 */
export async function syncFolder(folder: string): Promise<void> {
  try {
    await syncPath(folder, "r");
  } catch (error) {
    if (process.platform !== "win32" || !["EISDIR", "EPERM"].includes(systemCode(error) ?? "")) throw error;
  }
}

async function syncPath(name: string, flags: "r" | "r+"): Promise<void> {
  const file = await open(name, flags);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
