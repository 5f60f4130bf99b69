/** Looks at each picture that was rendered, once it is written. What it finds is a warning of the frame. */
import { readFile, stat } from "node:fs/promises";
import { findings, formatOf, lookAt, type PictureSize } from "../pictures/index.ts";

/** A larger file is not looked at: it is read whole, and the renderer may need the memory. */
const MAX_BYTES = 256 * 1024 * 1024;

/** What the look at a picture came to. */
export interface PictureCheck {
  /** What is wrong with it, in sentences. */
  findings: string[];
  /** Whether all its pixels have one colour; null where that is not known. */
  oneColour: boolean | null;
}

/** For files that are no pictures. */
export const NOT_CHECKED: PictureCheck = { findings: [], oneColour: null };

/** Look at a file. Rejects when it cannot be read. */
export async function checkPicture(path: string, name: string, size: PictureSize | null): Promise<PictureCheck> {
  if (formatOf(name) === null || (await stat(path)).size > MAX_BYTES) return NOT_CHECKED;
  const facts = await lookAt(await readFile(path));
  return { findings: findings(name, facts, size), oneColour: facts.oneColour };
}
