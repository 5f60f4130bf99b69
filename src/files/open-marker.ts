/**
 * What the watchdog's cron trigger finds in the bucket, so that it wakes no Durable Object of an idle
 * farm (decision 016). All are empty objects:
 *
 * - `farm/open`: the open marker. It exists while the farm has work; the registry puts and removes it
 *   (`registry/open-marker.ts`). Without it the watchdog looks no further.
 * - `farm/unreported/<id>`: this task could not report, so the registry may not know that it has
 *   work. The task's object puts it, the watchdog removes it.
 */

const OPEN_MARKER = "farm/open";
const UNREPORTED_PREFIX = "farm/unreported/";

/** Notes that one run of the watchdog reads. More: it would need more time than a run has. */
const MAX_NOTES = 100;

/** Whether the farm has work. Rejects when R2 does, as all of these do. */
export async function isMarkedOpen(bucket: R2Bucket): Promise<boolean> {
  return (await bucket.head(OPEN_MARKER)) !== null;
}

/** See that the marker is there. To look costs a twelfth of a write. */
export async function markOpen(bucket: R2Bucket): Promise<void> {
  if (!(await isMarkedOpen(bucket))) await bucket.put(OPEN_MARKER, "");
}

/** See that no marker is there. */
export async function unmarkOpen(bucket: R2Bucket): Promise<void> {
  await bucket.delete(OPEN_MARKER);
}

/** Note that the watchdog must call this task. The marker comes last: it makes the note be read. */
export async function noteUnreported(bucket: R2Bucket, task: number): Promise<void> {
  await bucket.put(`${UNREPORTED_PREFIX}${task}`, "");
  await markOpen(bucket);
}

/** Tasks that were noted; at most MAX_NOTES of them. */
export async function unreportedTasks(bucket: R2Bucket): Promise<number[]> {
  const page = await bucket.list({ prefix: UNREPORTED_PREFIX, limit: MAX_NOTES });
  return page.objects.map(({ key }) => Number(key.slice(UNREPORTED_PREFIX.length)));
}

/** The watchdog has called these tasks. */
export async function forgetUnreported(bucket: R2Bucket, tasks: readonly number[]): Promise<void> {
  await bucket.delete(tasks.map((task) => `${UNREPORTED_PREFIX}${task}`));
}
