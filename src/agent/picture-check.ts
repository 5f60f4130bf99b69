/** Looks at each picture that was rendered, once it is written. What it finds is a warning of the frame. */
import { readFile, stat } from "node:fs/promises";
import { findings, formatOf, lookAt, type PictureSize } from "../pictures/index.ts";

/** A larger file is not looked at: it is read whole, and the renderer may need the memory. */
const MAX_BYTES = 256 * 1024 * 1024;

/** What is wrong with the file, in sentences; nothing for files that are no pictures. Rejects when it cannot be read. */
export async function pictureFindings(path: string, name: string, size: PictureSize | null): Promise<string[]> {
  if (formatOf(name) === null || (await stat(path)).size > MAX_BYTES) return [];
  return findings(name, await lookAt(await readFile(path)), size);
}
