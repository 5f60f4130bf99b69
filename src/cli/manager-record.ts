/**
 * `.tablao/manager.json`: address and token of the manager that `npm start` runs from this
 * checkout, so that commands need neither. The record is a hint, not a lock: one whose process is
 * gone is stale.
 */
import { rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { PROGRAM_FILE } from "../client/program-file.ts";
import { isAlive } from "../client/process-stat.ts";
import { readPrivateJson, writePrivateFile } from "../client/private-file.ts";

const recordSchema = z.object({
  url: z.string(),
  token: z.string(),
  /** The launcher's process. */
  pid: z.int(),
  state: z.string(),
  started_ms: z.int(),
});
export type ManagerRecord = z.infer<typeof recordSchema>;

/** The folder with package.json and wrangler.toml. */
export const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");

/** The path of the record of a checkout. */
export function recordFile(checkout: string = CHECKOUT): string {
  return path.join(checkout, ".tablao", "manager.json");
}

/** The record of this checkout; undefined for the bundled program, which is in none. */
export function ownRecordFile(): string | undefined {
  return PROGRAM_FILE === undefined ? recordFile() : undefined;
}

/** Read a record; undefined when there is none. Throws `UnreadableFile`. */
export function readRecord(file: string): ManagerRecord | undefined {
  return readPrivateJson(file, recordSchema, "it holds no address and token of a manager");
}

/** Read a record for a launcher: one that cannot be used is as good as none, and is replaced. */
function presentRecord(file: string): ManagerRecord | undefined {
  try {
    return readRecord(file);
  } catch {
    return undefined;
  }
}

/**
 * Whether the launcher of the record still runs. If its process id was given to another process,
 * the first request fails and shows it.
 */
export function isLive(record: ManagerRecord): boolean {
  return isAlive(record.pid);
}

/** Write the record. Unless `evenIfTaken`, a live record of another state folder stays. */
export function writeRecord(file: string, record: ManagerRecord, evenIfTaken: boolean): void {
  const present = presentRecord(file);
  if (present && !evenIfTaken && present.state !== record.state && isLive(present)) return;
  writePrivateFile(file, `${JSON.stringify(record, null, 2)}\n`);
}

/** Remove the record if it is the one of this process. */
export function removeRecord(file: string, pid: number): void {
  if (presentRecord(file)?.pid === pid) rmSync(file, { force: true });
}
