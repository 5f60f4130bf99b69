/** Reads a task's record back from its rows. */
import { NO_TALLY, type Ledger } from "../rules/ledger.ts";
import { Leases, type LiveLease } from "../rules/lease-index.ts";
import type { TaskRecord } from "../rules/record.ts";

/**
 * The record from its row; `parts` are the rows that hold more of its leases. A record of a release
 * without a tally gets an empty one. Throws when the JSON is not that of a record.
 */
export function recordFrom(json: string, parts: readonly string[] = []): TaskRecord {
  const { ledger, ...rest } = JSON.parse(json) as Omit<TaskRecord, "ledger"> & {
    ledger: Omit<Ledger, "leases"> & { leases: LiveLease[] };
  };
  const leases = parts.reduce((all, part) => all.concat(JSON.parse(part) as LiveLease[]), ledger.leases);
  const tally = { ...NO_TALLY, ...ledger.tally };
  return { ...rest, ledger: { ...ledger, leases: new Leases(leases), tally } };
}
