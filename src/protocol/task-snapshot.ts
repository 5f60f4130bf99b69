/** Reads a task's rows in a backup, for the command line. Pure. */
import { z } from "zod";
import { err, ok, type Result } from "../lib/result.ts";
import type { BackupRow } from "./backup.ts";
import { fieldErrors } from "./field-errors.ts";
import { fileNameSchema, idSchema } from "./fields.ts";
import { outputFileSchema, type OutputFile } from "./task.ts";

/**
 * The part of a frame's stored entry (`task/rules/ledger.ts`) that is needed here. Names, hashes and
 * attempts become paths on this machine and of requests, and a backup is a file like any other: so
 * each is checked, and an entry with one that is none is refused.
 */
const storedFrameSchema = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("done"),
    attempt: idSchema,
    files: z.array(outputFileSchema.extend({ name: fileNameSchema })),
  }),
  // Files of these are not backed up.
  z.object({ state: z.enum(["failed", "retry"]) }),
]);
const pageSchema = z.record(z.string().regex(/^-?\d{1,16}$/), storedFrameSchema);

/**
 * The part of a task's stored record (`task/rules/record.ts`) that is needed here. The stored key
 * `tail` holds the recent events.
 */
const eventsSchema = z.array(z.object({ seq: z.int() }));
const recordSchema = z.object({ ledger: z.object({ event_seq: z.int() }), tail: eventsSchema });

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

/**
 * Read a task's rows. The error is a sentence that names the table, the place in its row, and the
 * rule that is broken there.
 */
export function snapshotOf(rows: readonly BackupRow[]): Result<BackedUpTask, string> {
  const pages = parsed(rows, "pages", pageSchema);
  if (!pages.ok) return pages;
  const records = parsed(rows, "record", recordSchema);
  if (!records.ok) return records;
  const outbox = parsed(rows, "outbox", eventsSchema);
  if (!outbox.ok) return outbox;
  const [record] = records.value;
  if (!record) return err("the rows hold no record");
  const files = pages.value.flatMap((page) =>
    Object.values(page).flatMap((entry) =>
      entry.state === "done" ? entry.files.map((file) => ({ ...file, attempt: entry.attempt })) : [],
    ),
  );
  const waiting = [...outbox.value.flat(), ...record.tail].map((event) => event.seq);
  const historyThrough = Math.min(record.ledger.event_seq + 1, ...waiting) - 1;
  return ok({ files, inputs: inputsIn(rows), historyThrough });
}

/** The `json` of a table's rows. */
function parsed<S extends z.ZodType>(
  rows: readonly BackupRow[],
  table: string,
  schema: S,
): Result<z.output<S>[], string> {
  const values: z.output<S>[] = [];
  for (const [of, row] of rows) {
    if (of !== table) continue;
    let value: unknown;
    try {
      value = JSON.parse(String(row["json"]));
    } catch {
      return err(`a row of '${table}' is no JSON`);
    }
    const read = schema.safeParse(value);
    if (!read.success) {
      const [{ field, message } = { field: "", message: "does not fit" }] = fieldErrors(read.error.issues, [table]);
      return err(`${field}: ${message}`);
    }
    values.push(read.data);
  }
  return ok(values);
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
