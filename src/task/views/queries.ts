/**
 * Queries for a task's frames, files and timings, page by page. Pure. Refusals are `invalid` or
 * `not_found`.
 */
import { ok, type Result } from "../../lib/result.ts";
import type { FileList, ReceiptClaims } from "../../protocol/file.ts";
import { indexOfFrame, parseFrameList, type FrameList } from "../../protocol/frame-list.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { Timings } from "../../protocol/live.ts";
import type { Frame, OutputFile } from "../../protocol/task.ts";
import type { FrameTable, FrameEntry, Terms, Transition } from "../rules/ledger.ts";
import type { FilesQuery, FramesQuery, TaskDefinition } from "../../rpc/task.ts";
import { framesPage, SCAN_LIMIT } from "./task.ts";

/** A page of frames in the states asked for. */
export function readFrames(
  t: Pick<Transition, "ledger" | "table" | "terms">,
  query: FramesQuery,
): Result<{ frames: Frame[]; cursor: string | null }, Refusal> {
  const range = rangeOf(query);
  return range.ok ? ok(framesPage(t, range.value.wanted, query, range.value.after)) : range;
}

/** A page of committed files. `entriesFrom`: touched frames from a frame on, ascending. */
export function readFiles(
  entriesFrom: (from?: number) => Iterable<[number, FrameEntry]>,
  query: FilesQuery,
): Result<FileList, Refusal> {
  const range = rangeOf(query);
  if (!range.ok) return range;
  const { wanted, after } = range.value;
  const from = Math.max(after === null ? -Infinity : after + 1, wanted?.[0]?.start ?? -Infinity);
  return ok(filesPage(entriesFrom(from), wanted, query.limit));
}

/** A page of committed files in frame order. */
function filesPage(entries: Iterable<[number, FrameEntry]>, wanted: FrameList | null, limit: number): FileList {
  const files: FileList["files"] = [];
  const end = wanted?.at(-1)?.end ?? Infinity;
  let last: number | null = null;
  let scanned = 0;
  for (const [frame, entry] of entries) {
    if (frame > end) break;
    if (last !== null && (files.length >= limit || scanned++ >= SCAN_LIMIT)) return { files, cursor: String(last) };
    last = frame;
    if (entry.state !== "done" || (wanted && indexOfFrame(wanted, frame) < 0)) continue;
    for (const { kind, ...file } of entry.files)
      if (!kind) files.push({ frame, ...file, attempt: entry.attempt, committed_ms: entry.at_ms });
  }
  return { files, cursor: null };
}

/** The committed file of one frame, or its preview. */
export function readFile(
  task: { definition: TaskDefinition; terms: Terms },
  table: FrameTable,
  frame: number,
  kind?: OutputFile["kind"],
): Result<ReceiptClaims & { frame: number }, Refusal> {
  if (indexOfFrame(task.terms.list, frame) < 0) return refuse("not_found", `the task has no frame ${frame}`);
  const entry = table.get(frame);
  const found = entry?.state === "done" ? entry.files.find((file) => file.kind === kind) : undefined;
  if (!entry || !found) return refuse("not_found", `frame ${frame} has no ${kind ?? "file yet"}`);
  const { name, size, sha256, pieces } = found;
  const checked = pieces !== undefined && { pieces };
  return ok({ name, size, sha256, ...checked, frame, task: task.definition.id, attempt: entry.attempt });
}

/**
 * A page of done frames in columns. It reads as many entries as the page may have, so it may be
 * short.
 */
export function readTimings(
  entriesFrom: (from?: number) => Iterable<[number, FrameEntry]>,
  query: FilesQuery,
): Result<Timings, Refusal> {
  const range = rangeOf(query);
  if (!range.ok) return range;
  const { wanted, after } = range.value;
  const from = Math.max(after === null ? -Infinity : after + 1, wanted?.[0]?.start ?? -Infinity);
  const end = wanted?.at(-1)?.end ?? Infinity;
  const page: Timings = { frames: [], seconds: [], worker_ids: [], attempts: [], committed_ms: [], cursor: null };
  let scanned = 0;
  for (const [frame, entry] of entriesFrom(from)) {
    if (frame > end) break;
    if (scanned++ >= query.limit) return ok({ ...page, cursor: String(frame - 1) });
    if (entry.state !== "done" || (wanted && indexOfFrame(wanted, frame) < 0)) continue;
    page.frames.push(frame);
    page.seconds.push(entry.seconds);
    page.worker_ids.push(entry.worker);
    page.attempts.push(entry.attempt);
    page.committed_ms.push(entry.at_ms);
  }
  return ok(page);
}

function rangeOf(query: { frames?: string; cursor?: string }) {
  const wanted = query.frames === undefined ? ok(null) : parseFrameList(query.frames);
  if (!wanted.ok) return refuse("invalid", wanted.error, "frames");
  if (query.cursor !== undefined && !/^-?\d{1,12}$/.test(query.cursor)) {
    return refuse("invalid", "is not a cursor that this list gave out", "cursor");
  }
  return ok({ wanted: wanted.value, after: query.cursor === undefined ? null : Number(query.cursor) });
}
