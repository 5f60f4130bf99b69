/** Committed frames are given up, because they are to be rendered again: by a person's word, or by a rule. Pure. */
import { setOf } from "./frame-set.ts";
import { lastGrantEndMs, type FrameEntry, type Transition } from "./ledger.ts";
import { countedBytes, noteStored } from "./stored-bytes.ts";
import { dropWarnings } from "./warnings.ts";

/**
 * These frames are done, and are pending from now on: the caller says from where they are given out. Their files
 * become garbage. `left` says what stays known of a frame.
 */
export function giveUp(
  t: Transition,
  frames: readonly number[],
  left: (entry: FrameEntry) => FrameEntry | undefined,
): void {
  const { ledger, table } = t;
  const uncommitted = new Map<number, number[]>();
  const warned: [number, readonly number[]][] = [];
  let { bytes } = ledger.stored;
  for (const frame of frames) {
    const entry = table.get(frame)!;
    if (entry.warnings) warned.push([frame, entry.warnings]);
    ledger.counts.done--;
    bytes -= countedBytes(ledger, frame, entry.files);
    ledger.seconds = Math.max(0, ledger.seconds - entry.seconds);
    uncommitted.set(entry.attempt, [...(uncommitted.get(entry.attempt) ?? []), frame]);
    table.set(frame, left(entry));
  }
  for (const [attempt, its] of uncommitted) discard(t, attempt, its);
  noteStored(ledger, bytes);
  dropWarnings(t, warned);
}

/** What was uploaded of these frames under this attempt is no result; other frames of the attempt stay. */
export function discard(t: Transition, attempt: number, frames: readonly number[]): void {
  if (t.terms.filesPerFrame === 0) return;
  const garbage = { attempt, frames: setOf(frames), only: true as const, due_ms: lastGrantEndMs(t) };
  t.ledger.sweeps = [...t.ledger.sweeps, garbage];
}
