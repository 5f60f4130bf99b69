/**
 * RPC methods of an object whose rows can be backed up (`platform/backup-service.ts` implements
 * them).
 */
import type { Result } from "../lib/result.ts";
import type { BackupPage, BackupRefusal, BackupRow } from "../protocol/backup.ts";

export interface BackupRpc {
  /**
   * A page of rows. One call reads the rows of one instant; over several calls, the caller compares
   * the versions.
   */
  backupPage(cursor: string | null): Promise<Result<BackupPage, BackupRefusal>>;
  /**
   * Write all of these rows or none. `last`: the rows are complete, activate the object. `backup`: the
   * id of the backup; rows of another one, whose restore was abandoned, are deleted first.
   */
  restoreRows(rows: BackupRow[], last: boolean, backup?: string): Promise<Result<null, BackupRefusal>>;
}
