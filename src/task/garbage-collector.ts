/**
 * Deletes a task's garbage: the uploads that are no frame's result. What is deleted is decided in
 * `rules/garbage.ts`.
 */
import { outputKey } from "../files/keys.ts";
import { sweepAttempt, sweepAttempts, sweepOutputs } from "../files/sweep.ts";
import { PREVIEW_SUFFIX } from "../protocol/file.ts";
import { frames } from "./rules/frame-set.ts";
import type { FrameTable, Garbage } from "./rules/ledger.ts";
import { outputNames } from "./rules/receipts.ts";
import type { TaskDefinition } from "../rpc/task.ts";
import { toDelete, type ToDelete } from "./rules/garbage.ts";

export interface GarbageDependencies {
  bucket: R2Bucket;
  definition: TaskDefinition;
  table: FrameTable;
  /** Called with what has been deleted: forget it. */
  deleted(garbage: readonly Garbage[]): void;
  /** Called with what could not be deleted: it is due again later. */
  failed(garbage: readonly Garbage[]): void;
}

/**
 * Delete the garbage that is due. Garbage of single frames is deleted together: when a thousand
 * frames are requeued, a thousand attempts may have rendered them, and one request and one row for
 * each would take minutes. Throws the first failure, and leaves the rest for the next run.
 */
export async function deleteGarbage(due: readonly Garbage[], dependencies: GarbageDependencies): Promise<void> {
  const { bucket, definition, table } = dependencies;
  const { id } = definition;
  const all = due.map((garbage) => ({ garbage, what: toDelete(garbage, table) }));
  const single = all.filter(({ what }) => what.of === "frames");
  const keys = single.flatMap(({ what }) => keysOf(definition, what));
  if (single.length > 0)
    await attempt(
      single.map(({ garbage }) => garbage),
      () => sweepOutputs(bucket, id, keys),
      dependencies,
    );
  for (const { garbage, what } of all) {
    if (what.of === "attempts") await attempt([garbage], () => sweepAttempts(bucket, id, what.through), dependencies);
    else if (what.of === "attempt")
      await attempt([garbage], () => sweepAttempt(bucket, id, what.attempt, what.keep), dependencies);
  }
}

async function attempt(
  garbage: readonly Garbage[],
  work: () => Promise<unknown>,
  dependencies: GarbageDependencies,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    dependencies.failed(garbage);
    throw error;
  }
  dependencies.deleted(garbage);
}

/** The keys in R2 of the frames' outputs and their previews. */
function keysOf(definition: TaskDefinition, what: ToDelete): string[] {
  if (what.of !== "frames") return [];
  const names = [...outputNames(definition, [...frames(what.frames)]).values()];
  return names
    .flatMap((name) => [name, name + PREVIEW_SUFFIX])
    .map((name) => outputKey(definition.id, what.attempt, name));
}
