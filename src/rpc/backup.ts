/** What an object whose rows can be backed up offers over RPC. */
import type { Result } from "../lib/result.ts";
import type { BackupPage, BackupRefusal, BackupRow } from "../protocol/backup.ts";

export interface BackupRpc {
  /** A page of rows. One call reads one instant; over several, the caller compares versions. */
  backupPage(cursor: string | null): Promise<Result<BackupPage, BackupRefusal>>;
  /** Put rows in, all or none of them; `last`: they are complete, come to life. */
  restoreRows(rows: BackupRow[], last: boolean): Promise<Result<null, BackupRefusal>>;
}
