/**
 * `.tablao/manager.json`: the manager that `npm start` runs from this checkout, so that commands need no address and no token.
 * It is a hint, never a lock: a record whose process is gone is stale.
 */
import { rmSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { isAlive } from "../client/process-stat.ts";
import { readPrivateFile, writePrivateFile } from "../client/private-file.ts";

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
export const CHECKOUT = path.resolve(import.meta.dirname, "../..");

/** Where a checkout's running manager is noted. */
export function recordFile(checkout: string = CHECKOUT): string {
  return path.join(checkout, ".tablao", "manager.json");
}

/** Read a record; undefined when there is none or it cannot be read. */
export function readRecord(file: string): ManagerRecord | undefined {
  const text = readPrivateFile(file);
  if (text === undefined) return undefined;
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whether the record's launcher still runs. A reused process id is found out by the first request, which then fails. */
export function isLive(record: ManagerRecord): boolean {
  return isAlive(record.pid);
}

/** Write the record; a live record of another state folder stays. */
export function writeRecord(file: string, record: ManagerRecord, evenIfTaken: boolean): void {
  const present = readRecord(file);
  if (present && !evenIfTaken && present.state !== record.state && isLive(present)) return;
  writePrivateFile(file, `${JSON.stringify(record, null, 2)}\n`);
}

/** Remove the record if it is still this process's. */
export function removeRecord(file: string, pid: number): void {
  if (readRecord(file)?.pid === pid) rmSync(file, { force: true });
}
