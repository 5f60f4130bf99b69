/** A task's rows in a backup, as the command line reads them. Pure. */
import type { BackupRow } from "./backup.ts";
import type { OutputFile } from "./task.ts";

/** The part of a frame's stored entry (`task/rules/ledger.ts`) that matters here. */
export type StoredFrame = { state: "done"; attempt: number; files: readonly OutputFile[] } | { state: "failed" };

/** The part of a task's record (`task/storage/record.ts`) that matters here. */
interface StoredRecord {
  ledger: { event_seq: number };
  tail: { seq: number }[];
}

/** A committed file, and the attempt under which it is stored. */
export interface BackedUpFile extends OutputFile {
  attempt: number;
}

/** What a task's rows say about things that are kept elsewhere. */
export interface TaskSnapshot {
  /** Committed files: objects of the bucket. */
  files: BackedUpFile[];
  /** History up to here is in D1 for good; later events are in the rows themselves. */
  historyThrough: number;
}

/** Read a task's rows. Throws when they are none. */
export function snapshotOf(rows: readonly BackupRow[]): TaskSnapshot {
  const json = (table: string): unknown[] =>
    rows.filter(([of]) => of === table).map(([, row]) => JSON.parse(row["json"] as string) as unknown);
  const files = json("pages").flatMap((page) =>
    Object.values(page as Record<string, StoredFrame>).flatMap((entry) =>
      entry.state === "done" ? entry.files.map((file) => ({ ...file, attempt: entry.attempt })) : [],
    ),
  );
  const [record] = json("record") as StoredRecord[];
  if (!record) throw new Error("the rows hold no record");
  const waiting = [...(json("outbox") as { seq: number }[][]).flat(), ...record.tail].map((event) => event.seq);
  return { files, historyThrough: Math.min(record.ledger.event_seq + 1, ...waiting) - 1 };
}

/** The rows in the order in which they are put back: the definition last, for with it the task exists. */
export function inRestoreOrder(rows: readonly BackupRow[]): BackupRow[] {
  return [...rows.filter(([table]) => table !== "definition"), ...rows.filter(([table]) => table === "definition")];
}
