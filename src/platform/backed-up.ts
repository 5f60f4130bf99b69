/** A Durable Object whose rows can be taken out and put back: what backup and restore of both our classes share. */
import { DurableObject } from "cloudflare:workers";
import { err, ok, type Result } from "../lib/result.ts";
import type { BackupPage, BackupRefusal, BackupRow } from "../protocol/backup.ts";
import { dumpPage, insertRows } from "./dump.ts";

export abstract class BackedUpObject<Env> extends DurableObject<Env> {
  /** Tables that are derived from elsewhere. */
  protected abstract readonly notBackedUp: readonly string[];
  /** Rises with every change that a page of rows shows; null while there is nothing to back up. */
  protected abstract backupVersion(): number | null;
  /** Make ready for rows. False: they have all come before, and more are not wanted. */
  protected abstract takesRows(): boolean;
  /**
   * The last rows have come: what is to happen in the transaction that puts them in, so that nobody ever sees them without it.
   * It ends what cannot outlive a move; refused when the rows make no sense.
   */
  protected abstract comingToLife(rows: readonly BackupRow[]): Promise<() => Result<null, BackupRefusal>>;

  /** One transaction; when it throws, what is in memory is as the rows are then. */
  protected abstract whole<T>(work: () => T): T;

  async backupPage(cursor: string | null): Promise<Result<BackupPage, BackupRefusal>> {
    const version = this.backupVersion();
    if (version === null) return err({ code: "not_found", detail: "do not exist" });
    const page = dumpPage(this.ctx.storage.sql, this.notBackedUp, cursor);
    if (!page.ok) return err({ code: "invalid", detail: `have no such page: the cursor ${page.error}` });
    return ok({ ...page.value, version });
  }

  async restoreRows(rows: BackupRow[], last: boolean): Promise<Result<null, BackupRefusal>> {
    if (!this.takesRows()) return ok(null);
    const comeToLife = last ? await this.comingToLife(rows) : () => ok(null);
    // The same rows may have come a second time meanwhile.
    if (!this.takesRows()) return ok(null);
    const { storage } = this.ctx;
    let refused: string | null = null;
    try {
      return this.whole(() => {
        const inserted = insertRows(storage.sql, this.notBackedUp, rows);
        if (inserted.ok) return comeToLife();
        refused = inserted.error;
        throw new RefusedRows();
      });
    } catch (error) {
      if (!(error instanceof RefusedRows)) throw error;
      return err({ code: "invalid", detail: `were refused: ${refused}` });
    }
  }
}

/** Takes the transaction back. */
class RefusedRows extends Error {}
