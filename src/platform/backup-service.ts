/**
 * Backup and restore of one Durable Object's rows. An object holds one as a member; both of our
 * classes do.
 */
import { err, ok, type Result } from "../lib/result.ts";
import type { BackupPage, BackupRefusal, BackupRow } from "../protocol/backup.ts";
import { dumpPage, insertRows } from "./dump.ts";

/** What the service needs from its object. */
export interface BackupDependencies {
  storage: DurableObjectStorage;
  /**
   * Tables that are left out of backups, because their rows are derived from other rows or from
   * other objects.
   */
  notBackedUp: readonly string[];
  /** Rises with every change that a page of rows shows; null while there is nothing to back up. */
  version(): number | null;
  /**
   * Prepares the tables for rows. False when a restore has been completed before: further rows are
   * ignored.
   */
  acceptsRestore(): boolean;
  /**
   * Called with the last rows, before they are written. The function that it answers with runs in
   * the transaction that writes them, so that no call ever sees the restored rows without it. That
   * function ends what cannot outlive a move to another manager (leases, for example), and refuses
   * rows that make no sense.
   */
  activate(rows: readonly BackupRow[]): Promise<() => Result<null, BackupRefusal>>;
  /** One transaction. When `work` throws, the object discards what it holds in memory. */
  inTransaction<T>(work: () => T): T;
}

export class BackupService {
  readonly #object: BackupDependencies;

  constructor(object: BackupDependencies) {
    this.#object = object;
  }

  /**
   * A page of rows; `cursor` null for the first. Refusals: `not_found` (nothing to back up),
   * `invalid` (the cursor).
   */
  page(cursor: string | null): Result<BackupPage, BackupRefusal> {
    const version = this.#object.version();
    if (version === null) return err({ code: "not_found", detail: "do not exist" });
    const page = dumpPage(this.#object.storage.sql, this.#object.notBackedUp, cursor);
    if (!page.ok) return err({ code: "invalid", detail: `have no such page: the cursor ${page.error}` });
    return ok({ ...page.value, version });
  }

  /**
   * Write all of these rows or none; `last`: they complete the restore, activate the object.
   * Refusal: `invalid`.
   */
  async restore(rows: readonly BackupRow[], last: boolean): Promise<Result<null, BackupRefusal>> {
    const { storage, notBackedUp } = this.#object;
    if (!this.#object.acceptsRestore()) return ok(null);
    const activate = last ? await this.#object.activate(rows) : () => ok(null);
    // A second call with the same rows may have completed the restore during the await.
    if (!this.#object.acceptsRestore()) return ok(null);
    let refused: string | null = null;
    try {
      return this.#object.inTransaction(() => {
        const inserted = insertRows(storage.sql, notBackedUp, rows);
        if (inserted.ok) return activate();
        refused = inserted.error;
        throw new RefusedRows();
      });
    } catch (error) {
      if (!(error instanceof RefusedRows)) throw error;
      return err({ code: "invalid", detail: `were refused: ${refused}` });
    }
  }
}

/** Thrown to roll the transaction back. */
class RefusedRows extends Error {}
