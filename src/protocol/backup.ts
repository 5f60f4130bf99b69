/**
 * Backup and restore: rows as they are stored, one page at a time. The rows are for the command
 * line of the same version, and only admins may read or write them.
 */
import { z } from "zod";
import { arrayOf, recordOf } from "./bounded.ts";
import { idSchema, instantSchema, sha256Schema } from "./fields.ts";
import { eventSchema } from "./history.ts";

/**
 * Number of the format of a backup's folder and rows. A manager takes backups of its own and of
 * earlier formats. Raise it when the format changes: otherwise an earlier manager would take a
 * backup and refuse some of its rows hours later.
 * - 1: until totals of deleted events were kept.
 * - 2: with the part `totals`.
 * - 3: with piece lists among the inputs, and files that are known by the list of their parts.
 */
export const BACKUP_FORMAT = 3;
/**
 * Header of the requests of a restore: the id of the backup. The manager refuses another id than
 * that of the restore under way, so that the rows of two backups never mix.
 */
export const BACKUP_HEADER = "Tablao-Backup";
/**
 * The parts of a backup that have rows: the registry, one task, the events of the history, totals
 * of events that were deleted, and the list of inputs. They are values of the query `of`; with
 * another name the command line would be refused.
 */
export const BACKUP_PARTS = ["registry", "task", "history", "totals", "assets"] as const;
/**
 * The most bytes of rows in one request. One row has 2 MB at most, and must fit. The Worker holds
 * the text of a request in memory, so a much higher limit would not fit into its 128 MB.
 */
export const MAX_ROWS_BYTES = 16 * 1024 * 1024;

/** The most columns of a row; our tables have at most twenty. */
const MAX_COLUMNS = 100;
/** The most items of a list in a row: a row has 2 MB at most, and an item two characters at least. */
const MAX_ROW_ITEMS = 1_000_000;

/** A row of a backup: `[table, columns]`. `columns` has a value for each name of a column. */
export const backupRowSchema = z.tuple([
  z.string().max(100),
  recordOf(
    z.string().regex(/^[a-z][a-z0-9_]{0,63}$/),
    z.union([z.string().max(MAX_ROWS_BYTES), z.number(), z.null()]),
    MAX_COLUMNS,
  ),
]);
/** A row as `backupRowSchema` has checked it. */
export type BackupRow = z.infer<typeof backupRowSchema>;

/**
 * GET /backup/rows: one page; `cursor` is null on the last. Pages of one task belong together while
 * their `version` is the same; when it changes, the client reads the task again from its first
 * page.
 */
export const backupRowsSchema = z
  .object({ rows: z.array(backupRowSchema), version: z.int(), cursor: z.string().nullable() })
  .meta({ id: "BackupRows" });
/** One page of rows, as the answer has it. */
export type BackupRows = z.infer<typeof backupRowsSchema>;

/** POST /restore: a backup's id and format, as its `backup.json` says. */
export const restoreSchema = z.strictObject({ backup: z.uuid(), format: z.int() }).meta({
  id: "Restore",
  description: "Which backup comes; the manager must be empty, or have begun to restore this one",
});

/** DELETE /restore: how many tasks of the restore had arrived and stay. */
export const restoreAbandonedSchema = z.object({ tasks: z.int().min(0) }).meta({ id: "RestoreAbandoned" });
/** The answer to DELETE /restore. */
export type RestoreAbandoned = z.infer<typeof restoreAbandonedSchema>;

/**
 * A row of the history as D1 holds it, with `events` as an array and not as JSON text. `from_ms` is
 * an instant; `seconds` are render seconds.
 */
export const historyRowSchema = z.strictObject({
  task_id: idSchema,
  seq: z.int().min(1),
  through_seq: z.int().min(1),
  from_ms: instantSchema,
  worker_id: z.int().nullable(),
  type: z.string().max(64),
  frames_done: z.int().min(0),
  frames_error: z.int().min(0),
  frames_lost: z.int().min(0),
  seconds: z.number(),
  events: arrayOf(eventSchema, MAX_ROW_ITEMS),
});

/** The row of the part `totals` that says where the events of the history begin. */
export const historyKeptSchema = z.strictObject({ from_ms: instantSchema });

const count = z.int().min(0);
/**
 * A row of the part `totals`: what happened on one day (counted from 1970, UTC), with `entries` as
 * an array and not as JSON text.
 */
export const packedDaySchema = z.strictObject({
  day: count,
  frames: count,
  errors: count,
  lost: count,
  seconds: z.number(),
  workers: count,
  tasks: count,
  /** For each worker: worker, frames, errors, lost, seconds, the instant of its last row, tasks. */
  entries: arrayOf(
    z.tuple([count, count, count, count, z.number(), instantSchema, arrayOf(idSchema, MAX_ROW_ITEMS)]),
    MAX_ROW_ITEMS,
  ),
});
/** A row of the part `totals`. */
export type PackedDayRow = z.infer<typeof packedDaySchema>;

/**
 * A stored input: its hash and its size in bytes. `whole`: it was stored as a piece list, of a file
 * of so many bytes.
 */
export const backupAssetSchema = z.object({
  sha256: sha256Schema,
  size: z.int().min(0),
  whole: z.int().min(1).optional(),
});
/** A stored input, as a row of the part `assets` says. */
export type BackupAsset = z.infer<typeof backupAssetSchema>;

/** A page of rows. The pages of one part are from one instant if all have the same `version`. */
export interface BackupPage {
  rows: BackupRow[];
  /** Where the next page begins; null at the end. */
  cursor: string | null;
  version: number;
}

/** Why rows were not given or taken. `detail` is a phrase that follows "the rows of …". */
export interface BackupRefusal {
  code: "not_found" | "invalid" | "conflict";
  detail: string;
}
