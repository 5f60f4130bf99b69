/** When a task's object must wake next: one alarm, derived from what is due. Pure. */
import type { Ledger } from "./ledger.ts";

export interface Due {
  leases: Pick<Ledger["leases"], "notBeforeMs">;
  sweeps: Ledger["sweeps"];
  /** When waiting history is to be written; null when none waits. */
  outboxMs: number | null;
  /** When the registry is to be told again, after it could not be reached; null when it knows all. */
  reportMs: number | null;
  /** When dependents are to be told; null when they know all. */
  newsMs: number | null;
  /** When the removal of this task goes on; null when it is not being removed. */
  removeMs: number | null;
}

/** The earliest instant at which something is due, or null when nothing ever is. Overdue instants count, unclamped. */
export function nextWakeMs(due: Due): number | null {
  // Loops, because every lease call comes through here.
  let nextMs = due.leases.notBeforeMs;
  for (const { due_ms } of due.sweeps) nextMs = Math.min(nextMs, due_ms);
  for (const dueMs of [due.outboxMs, due.reportMs, due.newsMs, due.removeMs])
    if (dueMs !== null) nextMs = Math.min(nextMs, dueMs);
  return nextMs === Infinity ? null : nextMs;
}
