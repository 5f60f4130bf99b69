/** When a task's object must wake next: one alarm, derived from what is due. Pure. */
import type { Ledger } from "./ledger.ts";

export interface Due {
  leases: Pick<Ledger, "leases">["leases"];
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
  const instants = [
    ...due.leases.map((lease) => lease.until_ms),
    ...due.sweeps.map((sweep) => sweep.due_ms),
    due.outboxMs,
    due.reportMs,
    due.newsMs,
    due.removeMs,
  ].filter((instant) => instant !== null);
  return instants.length === 0 ? null : Math.min(...instants);
}
