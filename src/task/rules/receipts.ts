/** Outputs of a task: receipts checked before a commit, committed files listed afterwards. */
import { planFor } from "../../compilers/index.ts";
import { ok, type Result } from "../../lib/result.ts";
import { MAX_LEASE_FRAMES } from "../../protocol/constants.ts";
import { MAX_PREVIEW_BYTES, PREVIEW_SUFFIX, type FileList } from "../../protocol/file.ts";
import { countFrames, framesOf, indexOfFrame, type FrameList } from "../../protocol/frame-list.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { OutputFile } from "../../protocol/task.ts";
import type { FrameEntry } from "./ledger.ts";
import type { RenderedFrame } from "./settle.ts";
import type { ProvenFrame, TaskDefinition } from "../../rpc/task.ts";

/**
 * Turn what a worker claims to have done into what it has proof of (P3, P11): each receipt, which the Worker has found to be
 * ours, must be for this task and attempt, for the file name the plan expects of that frame, and not of an empty file. Beside it a frame may have a preview, which
 * stands for nothing: the frame's own file comes first in `files`, and a preview alone is no frame.
 */
export function checkReceipts(
  definition: TaskDefinition,
  attempt: number,
  done: readonly ProvenFrame[],
): Result<RenderedFrame[], Refusal> {
  const expected = outputNames(
    definition,
    done.map((item) => item.frame),
  );
  const out: RenderedFrame[] = [];
  for (const [i, item] of done.entries()) {
    const files: OutputFile[] = [];
    for (const [j, { task, attempt: under, name, size, sha256 }] of item.receipts.entries()) {
      const field = `done.${i}.receipts.${j}`;
      if (task !== definition.id || under !== attempt)
        return refuse("invalid", "is for another task or attempt", field);
      const own = expected.get(item.frame);
      const isPreview = own !== undefined && name === own + PREVIEW_SUFFIX;
      if (name !== own && !isPreview)
        return refuse("invalid", `is for '${name}', which is not the file of frame ${item.frame}`, field);
      if (size === 0) return refuse("invalid", `'${name}' is empty: a render without its frame is a failure`, field);
      if (isPreview && size > MAX_PREVIEW_BYTES)
        return refuse("invalid", `'${name}' is larger than the ${MAX_PREVIEW_BYTES} bytes of a preview`, field);
      if (isPreview) files.push({ name, size, sha256, kind: "preview" });
      else files.unshift({ name, size, sha256 });
    }
    const previews = files.filter((file) => file.kind === "preview").length;
    if (previews > 1 || files.length - previews > definition.files_per_frame)
      return refuse("invalid", `frame ${item.frame} has more files than the task makes`, `done.${i}.receipts`);
    out.push({ frame: item.frame, seconds: item.seconds, files });
  }
  return ok(out);
}

/** The file name that the plan expects of each frame. */
export function outputNames(definition: TaskDefinition, frames: number[]): Map<number, string> {
  if (definition.files_per_frame === 0 || frames.length === 0) return new Map();
  const plan = planFor(definition.type, definition.parser, definition.settings, frames, "linux");
  return new Map(plan.outputs.map(({ frame, name }) => [frame, name]));
}

/** The frames of a list a worker sent about its lease. */
export function leaseFrames(list: FrameList): Result<number[], Refusal> {
  if (countFrames(list) > MAX_LEASE_FRAMES)
    return refuse("invalid", `names more than the ${MAX_LEASE_FRAMES} frames a lease can hold`, "frames");
  return ok([...framesOf(list)]);
}

/** One request looks at no more entries than this: a page may be short while its cursor says there is more. */
const SCAN_LIMIT = 20_000;

/** A page of committed files in frame order. */
export function filesPage(entries: Iterable<[number, FrameEntry]>, wanted: FrameList | null, limit: number): FileList {
  const files: FileList["files"] = [];
  const end = wanted?.at(-1)?.end ?? Infinity;
  let last: number | null = null;
  let looked = 0;
  for (const [frame, entry] of entries) {
    if (frame > end) break;
    if (last !== null && (files.length >= limit || looked++ >= SCAN_LIMIT)) return { files, cursor: String(last) };
    last = frame;
    if (entry.state !== "done" || (wanted && indexOfFrame(wanted, frame) < 0)) continue;
    for (const { kind, ...file } of entry.files) if (!kind) files.push({ frame, ...file, attempt: entry.attempt });
  }
  return { files, cursor: null };
}
