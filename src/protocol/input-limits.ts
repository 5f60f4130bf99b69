/**
 * How many inputs a task may have. Submitters check this before they hash or send a file: the
 * manager would refuse the task only after all of them were sent. Without zod, because the page
 * imports this file.
 */
import { MAX_BODY_BYTES, MAX_INPUTS } from "./constants.ts";

/** What is wrong with a list of files, and what its submitter can do. */
export interface TooMany {
  what: string;
  advice: string;
}

/**
 * A submission has other settings than its files, and fields of its own. They rarely take a kB; a
 * submission that has more of them is refused by the manager.
 */
const REST_BYTES = 64 * 1024;

const ADVICE =
  "Pack textures into the .blend (File > External Data > Pack Resources), join many small files into few, or leave out folders that the scene does not need.";

/** Whether a task can have inputs with these paths; null when it can. */
export function whyTooManyInputs(paths: readonly string[]): TooMany | null {
  if (paths.length > MAX_INPUTS)
    return { what: `a task takes at most ${MAX_INPUTS} files, and these are ${paths.length}`, advice: ADVICE };
  const bytes = listBytes(paths);
  if (bytes <= MAX_BODY_BYTES - REST_BYTES) return null;
  const what = `the list of these ${paths.length} files has ${bytes} bytes, and a submission takes ${MAX_BODY_BYTES}`;
  return { what, advice: `Shorten the names of folders. ${ADVICE}` };
}

/** Bytes of the JSON of such inputs in a submission: the most that they can be. */
function listBytes(paths: readonly string[]): number {
  const encoder = new TextEncoder();
  const names = paths.reduce((sum, path) => sum + encoder.encode(JSON.stringify(path)).length, 0);
  return names + paths.length * ENTRY_BYTES;
}

/** An entry without its path, the comma after it included. Sizes have at most 11 digits. */
const ENTRY_BYTES = `{"path":,"sha256":"${"0".repeat(64)}","size":${"0".repeat(11)}},`.length;
