/**
 * A task that reads the files of another one (`input_task`), such as a video of its frames. A lease is
 * bound to the version of those files that counted when it was given out. The version never comes back
 * for other files (`files-version.ts`), so if it is the same when frames are committed, it was the same
 * all the time, and the worker has read exactly those files. Pure.
 */
import type { DependencyProgress } from "../../rpc/task.ts";
import { applyDependencyProgress } from "./dependencies.ts";
import { countsOf, type Ledger, type Terms, type Transition } from "./ledger.ts";
import { endStale } from "./settle.ts";

/**
 * The version of the files that a lease may read; undefined while the task that has them is not
 * completed, or has not said it.
 */
export function sourceVersion(terms: Pick<Terms, "inputTask">, ledger: Ledger): string | undefined {
  const source = ledger.dependencies.find(({ task }) => task === terms.inputTask);
  return source?.state === "completed" ? source.files_version : undefined;
}

/**
 * Take the progress of a dependency. When it is the input task and its files have changed, or it goes
 * on, or it was deleted, leases that read them end.
 */
export function takeProgress(t: Transition, progress: DependencyProgress): void {
  const { ledger, terms } = t;
  const dependency = ledger.dependencies.find(({ task }) => task === progress.id);
  const before = JSON.stringify(dependency);
  applyDependencyProgress(t, progress);
  if (progress.id === terms.inputTask) {
    const reason = `the frames of task ${progress.id} have changed`;
    if (endStale(t, sourceVersion(terms, ledger), reason)) t.effects.expired = true;
  }
  if (JSON.stringify(dependency) !== before) t.effects.expired = true;
}

/** The input task, when this task's files were made of an older version of it; null otherwise. */
export function outdatedSource(terms: Terms, ledger: Ledger): number | null {
  if (terms.inputTask === null || ledger.made_from === undefined || countsOf(terms, ledger).done === 0) return null;
  const source = ledger.dependencies.find(({ task }) => task === terms.inputTask);
  const isOlder = source?.files_version !== undefined && source.files_version !== ledger.made_from;
  return isOlder ? terms.inputTask : null;
}
