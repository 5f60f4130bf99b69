/** Reads a task's rows in a backup, for the command line. Pure. */
import type { BackupRow } from "./backup.ts";
import type { OutputFile } from "./task.ts";

/** The part of a frame's stored entry (`task/rules/ledger.ts`) that is needed here. */
export type StoredFrame = { state: "done"; attempt: number; files: readonly OutputFile[] } | { state: "failed" };

/**
 * The part of a task's stored record (`task/rules/record.ts`) that is needed here. The stored key
 * `tail` holds the recent events.
 */
interface StoredRecord {
  ledger: { event_seq: number };
  tail: { seq: number }[];
}

/** A committed file, with the attempt under which it is stored. */
export interface BackedUpFile extends OutputFile {
  attempt: number;
}

/** What a task's rows say about things that are stored elsewhere. */
export interface BackedUpTask {
  /** Committed files, which are objects of the bucket. */
  files: BackedUpFile[];
  /** The SHA-256 of each input that the task names; also of types that this command line does not know. */
  inputs: string[];
  /** Events with a `seq` up to this one are in D1; later events are in the rows. */
  historyThrough: number;
}

/** Read a task's rows. Throws when they have no record, or hold text that is not JSON. */
export function snapshotOf(rows: readonly BackupRow[]): BackedUpTask {
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
  return { files, inputs: inputsIn(rows), historyThrough: Math.min(record.ledger.event_seq + 1, ...waiting) - 1 };
}

/** Settings name an input by its path, `sha256` and size, wherever they do. */
function inputsIn(rows: readonly BackupRow[]): string[] {
  const texts = rows.filter(([of]) => of === "definition" || of === "definition_parts");
  // The settings of a long definition are one text in several rows, which may end anywhere.
  const parts = texts.toSorted(([, a], [, b]) => Number(a["part"] ?? 0) - Number(b["part"] ?? 0));
  const text = parts.map(([, row]) => String(row["json"])).join("");
  return [...text.matchAll(/"sha256":"([0-9a-f]{64})"/g)].map(([, sha256]) => sha256!);
}

/**
 * The rows in the order of a restore: the definition comes last, because the task exists once the
 * definition is stored.
 */
export function inRestoreOrder(rows: readonly BackupRow[]): BackupRow[] {
  return [...rows.filter(([table]) => table !== "definition"), ...rows.filter(([table]) => table === "definition")];
}
