/** Claiming: which frames a worker gets next, or why it gets none. Pure; time is an argument. */
import { isEnded } from "../../protocol/constants.ts";
import { frameAt } from "../../protocol/frame-list.ts";
import type { NoLeaseReason } from "../../protocol/lease.ts";
import { bindBlender, blenderToUse } from "./blender.ts";
import { chunkSize } from "./chunking.ts";
import { keptOffUntil, trustedWorkers } from "./failure.ts";
import { has, minus, setOf, take } from "./frame-set.ts";
import type { LiveLease } from "./lease-index.ts";
import { noteGivenOut } from "./dependencies.ts";
import { sourceVersion } from "./input-task.ts";
import { expire } from "./settle.ts";
import { claimable, countsOf, heldFrames, statusOf, waitsForWhole, type Transition } from "./ledger.ts";
import { indexAt, positions } from "./visit-order.ts";

/**
 * A worker that gets nothing asks again after this, unless it is told of work. Sooner: idle workers
 * keep the object busy.
 */
const NOTHING_RETRY_MS = 5_000;
/**
 * The most failed frames that a claim reads to find one that this worker may try. It bounds the
 * rows that a claim reads.
 */
const RETRY_SCAN_LIMIT = 64;

/**
 * With more intervals than this in `retry`, failed frames go out before new ones: the set is a part
 * of one row.
 */
const MAX_RETRY_PIECES = 10_000;

export interface ClaimRequest {
  worker: number;
  key: string;
  epoch: number;
  /** The versions of Blender that the worker has, the one that it uses by default first. */
  blenders?: readonly string[];
  /** Those that it would fetch from the farm. */
  fetchable?: readonly string[];
  /** The id of the lease, if one is made: new and unguessable. */
  leaseId: string;
}

export type ClaimOutcome =
  | { lease: LiveLease; fresh: boolean }
  | { lease: null; reason: NoLeaseReason; retryAfterMs: number | null };

/**
 * Give the worker a chunk, or say why not. A repeated key is answered with the live lease that it
 * made.
 */
export function claim(t: Transition, request: ClaimRequest): ClaimOutcome {
  expire(t);
  const known = t.ledger.leases.claimedWith(request.worker, request.key);
  if (known) return { lease: known, fresh: false };
  const declined = whyNoLease(t, request);
  if (declined) return { lease: null, ...declined };
  const blender = blenderToUse(t.terms, t.ledger, request.blenders ?? [], request.fetchable);
  if (blender === null) return { lease: null, reason: "blender", retryAfterMs: NOTHING_RETRY_MS };
  const chosen = choose(t, request.worker);
  if (chosen.length === 0) return { lease: null, reason: "nothing_pending", retryAfterMs: NOTHING_RETRY_MS };
  const frames = setOf(chosen);
  const lease: LiveLease = {
    lease_id: request.leaseId,
    attempt: ++t.ledger.attempt,
    worker: request.worker,
    key: request.key,
    frames,
    open: frames,
    claimed_ms: t.nowMs,
    until_ms: t.nowMs + t.terms.leaseMs,
    stored_ms: 0,
  };
  const source = sourceVersion(t.terms, t.ledger);
  if (source !== undefined) lease.source = source;
  if (blender !== undefined) {
    lease.blender = blender;
    bindBlender(t.terms, t.ledger, blender);
  }
  noteGivenOut(t.ledger, frames);
  t.ledger.leases.add(lease);
  t.ledger.counts.leased += chosen.length;
  return { lease, fresh: true };
}

function whyNoLease(
  t: Transition,
  request: ClaimRequest,
): { reason: NoLeaseReason; retryAfterMs: number | null } | null {
  const status = statusOf(t.terms, t.ledger);
  if (t.ledger.paused || t.ledger.stopped !== null || isEnded(status)) {
    return { reason: "not_running", retryAfterMs: null };
  }
  if (waitsForWhole(t.ledger)) return { reason: "waiting", retryAfterMs: null };
  if (request.epoch < t.ledger.outranked) return { reason: "outranked", retryAfterMs: 0 };
  const until = keptOffUntil(t.ledger, request.worker, t.ableWorkers, t.nowMs);
  if (until !== null) return { reason: "kept_off", retryAfterMs: until - t.nowMs };
  if (claimable(t.terms, t.ledger) === 0) {
    const closed = countsOf(t.terms, t.ledger).pending > 0;
    return { reason: closed ? "waiting" : "nothing_pending", retryAfterMs: NOTHING_RETRY_MS };
  }
  return null;
}

/**
 * Take frames for a chunk from `ready`, then the cursor, then `retry`; from `retry` first when too
 * many wait there.
 */
function choose(t: Transition, worker: number): number[] {
  const { ledger, terms } = t;
  const want = chunkSize(
    terms.chunk,
    ledger.stats,
    countsOf(terms, ledger).pending,
    Math.max(t.ableWorkers, ledger.leases.size + 1),
  );
  const held = heldFrames(ledger);
  const chosen = take(minus(ledger.ready, held), want);
  ledger.ready = minus(ledger.ready, setOf(chosen));
  if (chosen.length === 0 && ledger.retry.length > MAX_RETRY_PIECES) {
    const again = takeRetries(t, worker, want);
    if (again.length > 0) return again;
  }
  const end = positions(terms.order, terms.total);
  while (chosen.length < want && ledger.cursor < end) {
    const index = indexAt(terms.order, terms.total, ledger.cursor++);
    if (index === undefined) continue;
    const frame = frameAt(terms.list, index)!;
    if (!has(ledger.skipped, frame)) chosen.push(frame);
  }
  return chosen.length > 0 ? chosen : takeRetries(t, worker, want);
}

function takeRetries(t: Transition, worker: number, want: number): number[] {
  const again = retries(t, worker, want);
  t.ledger.retry = minus(t.ledger.retry, setOf(again));
  return again;
}

/**
 * Failed and refused frames that this worker may try. A frame goes to a worker that has neither failed
 * nor refused it, while there is one left.
 */
function retries(t: Transition, worker: number, want: number): number[] {
  const trusted = trustedWorkers(t);
  const out: number[] = [];
  for (const frame of take(minus(t.ledger.retry, heldFrames(t.ledger)), RETRY_SCAN_LIMIT)) {
    const { failures = [], refusals = [] } = t.table.get(frame) ?? {};
    const had = new Set([...failures.map(([id]) => id), ...refusals]);
    if (had.size < trusted && had.has(worker)) continue;
    out.push(frame);
    if (out.length === want) break;
  }
  return out;
}
