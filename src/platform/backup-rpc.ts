/** What an object whose rows can be backed up offers over RPC. */
import type { BackupRow } from "../protocol/backup.ts";
import type { Result } from "./result.ts";

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

export interface BackupRpc {
  /** A page of rows. One call reads one instant; over several, the caller compares versions. */
  backupPage(cursor: string | null): Promise<Result<BackupPage, BackupRefusal>>;
  /** Put rows in, all or none of them; `last`: they are complete, come to life. */
  restoreRows(rows: BackupRow[], last: boolean): Promise<Result<null, BackupRefusal>>;
}
