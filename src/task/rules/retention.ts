/**
 * What a task knows for its retention: when it ended, and whether its files as they are now were
 * downloaded. Pure. When it expires is decided in `protocol/retention.ts`.
 */
import type { Retained } from "../../protocol/retention.ts";
import { refuse } from "../../protocol/problem.ts";
import type { TaskDefinition } from "../../rpc/task.ts";
import { filesVersion } from "./files-version.ts";
import { noteTask, statusOf, type Ledger, type Terms, type Transition } from "./ledger.ts";
import type { DeferredState, TaskRecord } from "./record.ts";
import { changed, unchanged, type Outcome } from "./transition.ts";

/** When the files as they are now were downloaded; null when they were not. */
export function downloadedMs(chores: Pick<DeferredState, "downloaded">, ledger: Ledger): number | null {
  const { downloaded } = chores;
  return downloaded?.files_version === filesVersion(ledger) ? downloaded.at_ms : null;
}

/** The fields of retention, for the rules and for what is shown. */
export function retained(definition: TaskDefinition, terms: Terms, { ledger, chores }: TaskRecord): Required<Retained> {
  return {
    status: statusOf(terms, ledger),
    updated_ms: ledger.updated_ms,
    ended_ms: chores.ended_ms ?? null,
    downloaded_ms: downloadedMs(chores, ledger),
    retention_days: definition.retention_days ?? null,
    retention_after_download_days: definition.retention_after_download_days ?? null,
    retention_set_ms: definition.retention_set_ms ?? null,
  };
}

/**
 * A person has all files of this version. Refused when another one counts now: frames were committed
 * or given up since. The first download of a version counts, so that a download every night does not
 * put the deletion off for ever.
 */
export function noteDownload(t: Transition, chores: DeferredState, version: string, actor: string): Outcome<null> {
  if (t.terms.filesPerFrame === 0 || t.ledger.counts.done === 0)
    return refuse("conflict", `task ${t.terms.id} has no files`);
  if (version !== filesVersion(t.ledger))
    return refuse(
      "conflict",
      `the files of task ${t.terms.id} have changed since: download those that are new, and say it again`,
      "files_version",
    );
  if (chores.downloaded?.files_version === version) return unchanged(null);
  chores.downloaded = { files_version: version, at_ms: t.nowMs };
  noteTask(t, "changed", `downloaded by ${actor}`);
  return changed(null);
}
