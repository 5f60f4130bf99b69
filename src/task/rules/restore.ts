/** What becomes of a task that another manager backed up and this one restores. Pure. */
import type { BackupRow } from "../../protocol/backup.ts";
import { applyDependencyProgress } from "./dependencies.ts";
import type { Transition } from "./ledger.ts";
import { cancelLeases } from "./settle.ts";
import type { DependencyProgress, TaskDefinition } from "../../rpc/task.ts";

/** The reason in the history for leases that ended because the task was restored. */
const RESTORED = "restored from a backup";
/**
 * Attempts and versions go on this much higher. The old manager may have given out more after the
 * backup was made; with a smaller gap, what was uploaded or reported under those could be taken for
 * ours.
 */
export const RESTORE_GAP = 1_000_000;

/**
 * Go on under this manager. Leases end without a failure, because their workers do not know it, and
 * the numbers that fence off the past jump ahead. `dependencies`: the progress of the tasks it
 * waits for, on this manager.
 */
export function continueTask(t: Transition, dependencies: readonly DependencyProgress[]): void {
  cancelLeases(t, RESTORED);
  t.ledger.attempt += RESTORE_GAP;
  t.ledger.version += RESTORE_GAP;
  t.ledger.outranked = 0;
  for (const progress of dependencies) applyDependencyProgress(t, progress);
}

/**
 * What the task waits for, from the definition among its last rows. Rows without a definition wait
 * for nothing.
 */
export function definitionIn(rows: readonly BackupRow[]): Pick<TaskDefinition, "id" | "depends_on"> {
  const [, row] = rows.find(([table]) => table === "definition") ?? [];
  try {
    const definition = JSON.parse(String(row?.["json"])) as Partial<TaskDefinition> | null;
    const { id, depends_on } = definition ?? {};
    if (typeof id === "number" && Array.isArray(depends_on)) return { id, depends_on };
  } catch {
    // Inserting the rows reports what is wrong with them.
  }
  return { id: 0, depends_on: [] };
}
