/**
 * When a task's object must wake next: one alarm, derived from what is due. Pure; time is an
 * argument.
 */
import type { Ledger } from "./ledger.ts";
import type { DeferredState, TaskRecord } from "./record.ts";

export interface Due {
  leases: Pick<Ledger["leases"], "notBeforeMs">;
  sweeps: Ledger["sweeps"];
  /** When waiting history is to be written to D1; null when none waits. */
  outboxMs: number | null;
  /** When the registry is to be told again; null when it knows the present state. */
  reportMs: number | null;
  /** When dependents are to be updated; null when they know the present state. */
  newsMs: number | null;
  /** When the stored bytes are to be counted, in the past; null when they are counted. */
  countMs: number | null;
  /** When the removal of this task goes on; null when it is not being removed. */
  removeMs: number | null;
}

/** Whether the stored bytes of this task are still to be counted. A task that is being removed needs no count. */
export function isUncounted(ledger: Pick<Ledger, "stored">, { remove }: Pick<DeferredState, "remove">): boolean {
  return ledger.stored.below !== null && remove === null;
}

/** What is due for the task of this record. */
export function dueOf({ ledger, chores }: TaskRecord): Due {
  return {
    leases: ledger.leases,
    sweeps: ledger.sweeps,
    outboxMs: chores.outbox_due_ms,
    reportMs: chores.report_due_ms,
    newsMs: chores.news_due_ms,
    countMs: isUncounted(ledger, chores) ? chores.created_ms : null,
    removeMs: chores.remove?.due_ms ?? null,
  };
}

/**
 * The earliest instant at which something is due, or null when nothing ever is. Overdue instants
 * count, unclamped.
 */
export function nextWakeMs(due: Due): number | null {
  // Loops instead of a spread of all instants, because every lease call runs this.
  let nextMs = due.leases.notBeforeMs;
  for (const { due_ms } of due.sweeps) nextMs = Math.min(nextMs, due_ms);
  for (const dueMs of [due.outboxMs, due.reportMs, due.newsMs, due.countMs, due.removeMs])
    if (dueMs !== null) nextMs = Math.min(nextMs, dueMs);
  return nextMs === Infinity ? null : nextMs;
}
