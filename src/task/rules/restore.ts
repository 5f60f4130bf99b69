/** What becomes of a task on another manager than the one that backed it up. Pure. */
import type { BackupRow } from "../../protocol/backup.ts";
import { applyDependencyProgress } from "./dependencies.ts";
import type { Transition } from "./ledger.ts";
import { cancelLeases } from "./settle.ts";
import type { DependencyProgress, TaskDefinition } from "../../rpc/task.ts";

/** What people read where a lease ended because its manager is another one now. */
export const RESTORED = "restored from a backup";
/**
 * Attempts and versions go on this much later: the old manager may have given out more after the backup was made, and what was
 * uploaded or told under those must never meet ours.
 */
export const RESTORE_GAP = 1_000_000;

/**
 * Go on under a new manager: leases are over (their workers never heard of it), nobody is to blame, and numbers that fence off
 * the past jump ahead. `news`: how the tasks it waits for stand here.
 */
export function continueTask(t: Transition, news: readonly DependencyProgress[]): void {
  cancelLeases(t, RESTORED);
  t.ledger.attempt += RESTORE_GAP;
  t.ledger.version += RESTORE_GAP;
  t.ledger.outranked = 0;
  for (const progress of news) applyDependencyProgress(t, progress);
}

/** The part of the definition among a task's last rows that says what it waits for; rows that are none wait for nothing. */
export function definitionIn(rows: readonly BackupRow[]): Pick<TaskDefinition, "id" | "depends_on"> {
  const [, row] = rows.find(([table]) => table === "definition") ?? [];
  try {
    const definition = JSON.parse(String(row?.["json"])) as Partial<TaskDefinition> | null;
    const { id, depends_on } = definition ?? {};
    if (typeof id === "number" && Array.isArray(depends_on)) return { id, depends_on };
  } catch {
    // Putting the rows in will say what is wrong with them.
  }
  return { id: 0, depends_on: [] };
}
