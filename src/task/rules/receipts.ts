/** The output files of a task: which are expected, and whether receipts prove them. Pure. */
import { planFor } from "../../compilers/index.ts";
import { ok, type Result } from "../../lib/result.ts";
import { MAX_LEASE_FRAMES } from "../../protocol/constants.ts";
import { MAX_PREVIEW_BYTES, PREVIEW_SUFFIX } from "../../protocol/file.ts";
import { countFrames, framesOf, type FrameList } from "../../protocol/frame-list.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { OutputFile } from "../../protocol/task.ts";
import type { RenderedFrame } from "./settle.ts";
import type { VerifiedFrame, TaskDefinition } from "../../rpc/task.ts";

/**
 * Turn frames that a worker calls done into frames with files (P3, P11). The Worker has verified
 * that the receipts are this manager's. Each must be for this task and attempt, for the file name
 * that the plan expects of the frame, and for a file that is not empty. A frame may have a preview
 * besides; its own file comes first in `files`, and a preview alone is no frame.
 */
export function checkReceipts(
  definition: TaskDefinition,
  attempt: number,
  done: readonly VerifiedFrame[],
): Result<RenderedFrame[], Refusal> {
  const expected = outputNames(
    definition,
    done.map((item) => item.frame),
  );
  const out: RenderedFrame[] = [];
  for (const [i, item] of done.entries()) {
    const files: OutputFile[] = [];
    for (const [j, { task, attempt: under, name, size, sha256, crc32, pieces }] of item.receipts.entries()) {
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
      else {
        const optional = { ...(crc32 !== undefined && { crc32 }), ...(pieces !== undefined && { pieces }) };
        files.unshift({ name, size, sha256, ...optional });
      }
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

/**
 * The frames of a list that a worker sent about its lease. Refused when no lease can hold as many.
 */
export function leaseFrames(list: FrameList): Result<number[], Refusal> {
  if (countFrames(list) > MAX_LEASE_FRAMES)
    return refuse("invalid", `names more than the ${MAX_LEASE_FRAMES} frames a lease can hold`, "frames");
  return ok([...framesOf(list)]);
}
