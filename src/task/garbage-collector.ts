/** Carries out the sweeps of a task: what to delete is decided in `sweeping.ts`. */
import { outputKey } from "../files/keys.ts";
import { sweepAttempt, sweepAttempts, sweepOutputs } from "../files/sweep.ts";
import { PREVIEW_SUFFIX } from "../protocol/file.ts";
import { frames } from "./rules/frame-set.ts";
import type { FrameBook, Sweep } from "./rules/ledger.ts";
import { outputNames } from "./rules/receipts.ts";
import type { TaskDefinition } from "../rpc/task.ts";
import { doomedBy, type Doomed } from "./rules/garbage.ts";

export interface SweepDeps {
  bucket: R2Bucket;
  definition: TaskDefinition;
  book: FrameBook;
  /** These have been carried out: forget them. */
  done(sweeps: readonly Sweep[]): void;
  /** These have failed: they are due again later. */
  failed(sweeps: readonly Sweep[]): void;
}

/**
 * Carry out sweeps that are due. Those of single frames go together: a thousand frames that are asked for again may have been
 * rendered by a thousand attempts, and neither a request nor a row for each would end in time. Throws what failed first.
 */
export async function sweepDue(due: readonly Sweep[], deps: SweepDeps): Promise<void> {
  const { bucket, definition, book } = deps;
  const { id } = definition;
  const doomed = due.map((sweep) => ({ sweep, doomed: doomedBy(sweep, book) }));
  const single = doomed.filter((item) => item.doomed.of === "frames");
  const keys = single.flatMap((item) => keysOf(definition, item.doomed));
  if (single.length > 0)
    await attempt(
      single.map(({ sweep }) => sweep),
      () => sweepOutputs(bucket, id, keys),
      deps,
    );
  for (const item of doomed) {
    const { sweep, doomed: what } = item;
    if (what.of === "attempts") await attempt([sweep], () => sweepAttempts(bucket, id, what.through), deps);
    else if (what.of === "attempt")
      await attempt([sweep], () => sweepAttempt(bucket, id, what.attempt, what.keep), deps);
  }
}

async function attempt(sweeps: readonly Sweep[], work: () => Promise<unknown>, deps: SweepDeps): Promise<void> {
  try {
    await work();
  } catch (error) {
    deps.failed(sweeps);
    throw error;
  }
  deps.done(sweeps);
}

function keysOf(definition: TaskDefinition, doomed: Doomed): string[] {
  if (doomed.of !== "frames") return [];
  const names = [...outputNames(definition, [...frames(doomed.frames)]).values()];
  return names
    .flatMap((name) => [name, name + PREVIEW_SUFFIX])
    .map((name) => outputKey(definition.id, doomed.attempt, name));
}
