/** Deliberate faults of the sweep and of what keeps away from it; the exploration must find each. */
import type { Mutation } from "../mutations.ts";

const INDEX = "src/files/input-index.ts";
const STORE = "src/files/input-sweep-store.ts";
const SWEEP = "src/files/input-sweep.ts";
const STORED = "src/files/stored-inputs.ts";
const TIMES = "src/files/sweep-times.ts";

function mutation(name: string, ...edits: Mutation["edits"]): Mutation {
  return { name, edits };
}

export const MUTATIONS: readonly Mutation[] = [
  mutation("sweep: delete an object whose row does not say so", [
    STORE,
    "SET deleting_until_ms = ?2, deleted = 0 WHERE sha256 IN (",
    "SET deleted = 0 WHERE sha256 IN (",
  ]),
  mutation("sweep: do not note what tasks name", [
    SWEEP,
    "for (const hash of task?.inputs ?? []) inputs.add(hash);",
    "",
  ]),
  mutation("sweep: delete without asking the tasks", [
    SWEEP,
    "const ids = await dependencies.taskIds(state.asked_task, TASKS_A_CALL);",
    "const ids: number[] = [];",
  ]),
  mutation("sweep: forget the grace", [SWEEP, "return startedMs - days * DAY_MS;", "return startedMs - days;"]),
  mutation("sweep: forget rows at once", [
    TIMES,
    "export const KEEP_ROWS_MS = 86_400_000;",
    "export const KEEP_ROWS_MS = 0;",
  ]),
  mutation("sweep: begin to delete when the lease is over", [
    SWEEP,
    "    if (!mayDelete(leaseMs, now())) break;\n",
    "",
  ]),
  mutation("sweep: note as deleted what was not deleted", [
    SWEEP,
    "      some.map(({ sha256 }) => assetKey(sha256)),",
    "    [],",
  ]),
  mutation("sweep: do not wait for checks without the index", [
    TIMES,
    "Math.max(0, marker.since_ms + WAIT_MS - nowMs)",
    "0",
  ]),
  mutation("sweep: do not read the notes of checks", [
    SWEEP,
    "if (!(await recordNotes(storage, queries, now())))",
    "if (!(await Promise.resolve(true)))",
  ]),
  mutation("sweep: put no marker", [
    SWEEP,
    "marker = await putSweepMarker(bucket, now());",
    "marker = { since_ms: 0, until_ms: Infinity };",
  ]),
  mutation(
    "sweep: delete pieces before their list",
    [STORE, "`pieces IS NOT NULL AND ((", "`0 AND pieces IS NOT NULL AND (("],
    [SWEEP, "if (await hasUnusedLists(db, beforeMs))", "if (await Promise.resolve(false))"],
    [STORE, "ORDER BY sha256 LIMIT ${SLICE_INPUTS}", "ORDER BY sha256 DESC LIMIT 1"],
  ),
  mutation("index: do not refresh the pieces of a list", [
    INDEX,
    "WHERE list.used_ms < ?3 AND list",
    "WHERE 0 AND list.used_ms < ?3 AND list",
  ]),
  mutation("sweep: do not read the pieces of lists that no row names", [
    SWEEP,
    "const pieces = await piecesUnnamed(storage.FILES, queries, group.lists);",
    "const pieces: string[] = await Promise.resolve([]);",
  ]),
  mutation("index: let a list that was given up be a list again when its text comes", [
    INDEX,
    "whole_size = coalesce(excluded.whole_size, iif(inputs.deleting_until_ms IS NULL, inputs.whole_size, NULL))",
    "whole_size = coalesce(excluded.whole_size, inputs.whole_size)",
  ]),
  mutation("index: let a list that was given up be a list again when a note names it", [
    INDEX,
    "whole_size = iif(deleting_until_ms IS NULL, whole_size, NULL)",
    "whole_size = whole_size",
  ]),
  mutation(
    "index: take it that pieces are there because a note names their list",
    [INDEX, "ON list.sha256 = noted.sha256 AND list.deleting_until_ms IS NULL", "ON list.sha256 = noted.sha256"],
    [INDEX, "WHERE piece.deleting_until_ms IS NULL\n  )`;", "WHERE 1\n  )`;"],
  ),
  mutation("check: call a list what the refresh found to be none", [
    STORED,
    "index.sizes.set(sha256, { ...known, whole });",
    "index.sizes.set(sha256, known);",
  ]),
  mutation("upload: take any row over", [
    INDEX,
    "WHERE inputs.deleting_until_ms IS NULL OR inputs.deleting_until_ms < excluded.stored_ms - ${CLOCK_MS}",
    "WHERE true",
  ]),
  mutation("upload: take a row over whose object was seen before its deletion", [
    INDEX,
    "inputs.deleting_until_ms < excluded.stored_ms - ${CLOCK_MS}",
    "inputs.deleting_until_ms < ?2",
  ]),
  mutation("upload: leave a marker without looking again", [
    STORED,
    "if (await bucket.head(assetKey(sha256))) await",
    "if (await Promise.resolve(true)) await",
  ]),
  mutation("upload: leave a marker while a sweep deletes", [
    STORED,
    "if (await isSweeping(bucket, lookedMs)) return refuseAll(inputs, SWEEPING);",
    "",
  ]),
  mutation("check: call stored what is being deleted", [
    INDEX,
    "    if (row.deleting_until_ms !== null) {",
    "    if (row.deleting_until_ms === -1) {",
  ]),
  mutation("check: ignore that a refresh failed", [
    STORED,
    "else index.sizes.delete(sha256);\n  }\n  return refreshed ? [] : index.toRefresh;",
    "else if (refreshed) index.sizes.delete(sha256);\n  }\n  return [];",
  ]),
  mutation("check: ignore that a refresh found a deletion", [
    STORED,
    "else index.sizes.delete(sha256);",
    "else if (!refreshed) index.sizes.delete(sha256);",
  ]),
  mutation("check: go on without the index while a sweep deletes", [
    STORED,
    "    if (await isSweeping(FILES, lookedMs)) return err(SWEEPING);\n",
    "",
  ]),
  mutation("check: leave no note", [
    STORED,
    "if (sizes.size > 0) await putUseNote(",
    "if (sizes.size < 0) await putUseNote(",
  ]),
  mutation("check: answer although its note may be too late", [
    STORED,
    "    if (isTooLate(lookedMs, now())) return err(UNKNOWN);\n",
    "",
  ]),
  mutation("check: call stored what was found and could not be recorded", [
    STORED,
    "const stays = isLive ?? !index.unsure.has(sha256);",
    "const stays = isLive ?? true;",
  ]),
  mutation("check: call stored what was found, although it is deleted now", [
    STORED,
    "const stays = isLive ?? !index.unsure.has(sha256);",
    "const stays = isLive === null ? !index.unsure.has(sha256) : true;",
  ]),
];
