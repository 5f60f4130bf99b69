/**
 * `farm/sweeping` in R2: an object that is there while a sweep may delete inputs. Whoever must know
 * it while D1 does not answer looks here. It is put before the first deletion and never removed: it
 * says until when it holds.
 */
import { markerUntilMs, mayBeSweeping, type SweepMarker } from "./sweep-times.ts";

const SWEEPING = "farm/sweeping";

/** Whether a sweep may be deleting inputs. Rejects when R2 does, as all of these do. */
export async function isSweeping(bucket: R2Bucket, nowMs: number): Promise<boolean> {
  return mayBeSweeping(await readSweepMarker(bucket), nowMs);
}

/** The marker; null when there is none. */
export async function readSweepMarker(bucket: R2Bucket): Promise<SweepMarker | null> {
  const object = await bucket.head(SWEEPING);
  return object && markerIn(object);
}

/** Put it anew: it is there since now. */
export async function putSweepMarker(bucket: R2Bucket, nowMs: number): Promise<SweepMarker> {
  const customMetadata = { until_ms: String(markerUntilMs(nowMs)) };
  return markerIn(await bucket.put(SWEEPING, "", { customMetadata }));
}

/** R2 itself says since when: the writer's clock was read before the object was there. */
function markerIn({ uploaded, customMetadata }: R2Object): SweepMarker {
  return { since_ms: uploaded.getTime(), until_ms: Number(customMetadata?.["until_ms"]) };
}
