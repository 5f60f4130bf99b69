/** Backup and restore: rows as they are stored, a page at a time. For the command line of the same version, and for admins. */
import { z } from "zod";
import { idSchema, instantSchema, sha256Schema } from "./fields.ts";
import { eventSchema } from "./history.ts";

/** Of what a backup's folder and rows look like; a manager takes its own only. */
export const BACKUP_FORMAT = 1;
/** Header that says which backup is being restored. */
export const BACKUP_HEADER = "Tablao-Backup";
/** Where rows come from: the registry, one task, the history, and the list of inputs. */
export const BACKUP_PARTS = ["registry", "task", "history", "assets"] as const;
/** Most bytes of rows in one request; a single row holds 2 MB at most. */
export const MAX_ROWS_BYTES = 16 * 1024 * 1024;

/** A row of a backup: `[table, columns]`. */
export const backupRowSchema = z.tuple([
  z.string().max(100),
  z.record(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/), z.union([z.string(), z.number(), z.null()])),
]);
export type BackupRow = z.infer<typeof backupRowSchema>;

/** GET /backup/rows. Pages of one task belong together while their `version` is the same. */
export const backupRowsSchema = z
  .object({ rows: z.array(backupRowSchema), version: z.int(), cursor: z.string().nullable() })
  .meta({ id: "BackupRows" });
export type BackupRows = z.infer<typeof backupRowsSchema>;

/** POST /restore: a backup's id and format, as its `backup.json` says. */
export const restoreSchema = z.strictObject({ backup: z.uuid(), format: z.int() }).meta({
  id: "Restore",
  description: "Which backup comes; the manager must be empty, or have begun to restore this one",
});

/** A row of the history as D1 holds it; `events` as an array. */
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
  events: z.array(eventSchema),
});

/** A stored input. */
export const backupAssetSchema = z.object({ sha256: sha256Schema, size: z.int().min(0) });
export type BackupAsset = z.infer<typeof backupAssetSchema>;

/** A page of rows as they stood at one instant, if `version` is that of the page before. */
export interface BackupPage {
  rows: BackupRow[];
  /** Where the next page begins; null at the end. */
  cursor: string | null;
  version: number;
}

/** Why rows were not given or taken: the phrase follows "the rows of …". */
export interface BackupRefusal {
  code: "not_found" | "invalid" | "conflict";
  detail: string;
}
