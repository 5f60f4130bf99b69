/**
 * Warnings of a task: what renderers and agents said of frames that were committed all the same. The ledger has
 * each text once, and an entry of the frame table names those of its frame by id. A warning is part of the
 * commit: it goes when its frame is given up and rendered anew, and stays when the task has completed. Pure.
 */
import { MAX_WARNINGS, OTHER_WARNINGS } from "../../protocol/constants.ts";
import { frameAt, framesOf, indexOfFrame } from "../../protocol/frame-list.ts";
import type { Ledger, TaskWarning, Transition } from "./ledger.ts";

/** What is said of a picture of one colour beside one of several. */
export const ONE_COLOUR = "the picture has one colour only, and the frame before or after it has several";

/**
 * When a first frame is given up, so many frames after it are looked at for the next one with the same warning.
 * It bounds the rows that one request reads.
 */
const MAX_LOOKED_AT = 20_000;

/** A frame with these warnings is committed. Returns their ids, for its entry. */
export function noteWarnings(ledger: Ledger, frame: number, texts: readonly string[]): number[] {
  const all = [...(ledger.warnings ?? [])];
  const ids = new Set<number>();
  for (const said of texts) {
    let at = all.findIndex(({ text }) => text === said);
    const text = at >= 0 || all.length < MAX_WARNINGS - 1 ? said : OTHER_WARNINGS;
    if (at < 0) at = all.findIndex((one) => one.text === text);
    if (at < 0) at = all.push({ id: nextId(all), text, frames: 0, first_frame: frame }) - 1;
    const one = all[at]!;
    if (ids.has(one.id)) continue;
    ids.add(one.id);
    const first = one.first_frame === null ? null : Math.min(one.first_frame, frame);
    all[at] = { ...one, frames: one.frames + 1, first_frame: first };
  }
  ledger.warnings = all;
  return [...ids];
}

/**
 * These frames were committed, and it is known whether their pictures have one colour. One that has is worth a
 * warning only when a frame beside it is done and has several: a fade ends in black, and a scene may be empty.
 */
export function noteColours(t: Transition, frames: readonly number[]): void {
  for (const frame of frames) {
    for (const other of framesBeside(t, frame)) {
      const [own, its] = [t.table.get(frame)?.one_colour, t.table.get(other)?.one_colour];
      if (own === true && its === false) tellColour(t, frame);
      if (own === false && its === true) tellColour(t, other);
    }
  }
}

/** The frames of the task before and after this one. */
export function framesBeside({ terms }: Transition, frame: number): number[] {
  const index = indexOfFrame(terms.list, frame);
  const all = [index === 0 ? undefined : frameAt(terms.list, index - 1), frameAt(terms.list, index + 1)];
  return all.filter((other) => other !== undefined);
}

function tellColour({ ledger, table }: Transition, frame: number): void {
  const entry = table.get(frame)!;
  const ids = noteWarnings(ledger, frame, [ONE_COLOUR]).filter((id) => !entry.warnings?.includes(id));
  table.set(frame, { ...entry, one_colour: "told", warnings: [...(entry.warnings ?? []), ...ids] });
}

function nextId(all: readonly TaskWarning[]): number {
  return all.reduce((highest, { id }) => Math.max(highest, id), 0) + 1;
}

/** These committed frames are given up; `ids` are the warnings of each. Call when their entries are gone. */
export function dropWarnings(t: Transition, gone: readonly (readonly [frame: number, ids: readonly number[]])[]): void {
  const { ledger } = t;
  if (gone.length === 0 || !ledger.warnings) return;
  const taken = new Map<number, number[]>();
  for (const [frame, ids] of gone) for (const id of ids) taken.set(id, [...(taken.get(id) ?? []), frame]);
  ledger.warnings = ledger.warnings.flatMap((one) => {
    const frames = taken.get(one.id) ?? [];
    const left = one.frames - frames.length;
    if (left <= 0) return [];
    const isFirstGone = one.first_frame !== null && frames.includes(one.first_frame);
    return [{ ...one, frames: left, first_frame: isFirstGone ? nextWith(t, one) : one.first_frame }];
  });
}

/** All committed frames are given up. */
export function dropAllWarnings(ledger: Ledger): void {
  // Not removed: a delta of the write-ahead log can only say what a field is now.
  if (ledger.warnings) ledger.warnings = [];
}

/** The next frame with the warning after its first one, which is given up; null when none is near. */
function nextWith({ terms, table }: Transition, { id, first_frame }: TaskWarning): number | null {
  let looked = 0;
  for (const range of terms.list) {
    if (range.end <= first_frame!) continue;
    const from = Math.max(0, Math.floor((first_frame! - range.start) / range.step) + 1);
    for (const frame of framesOf([{ ...range, start: range.start + from * range.step }])) {
      if (looked++ >= MAX_LOOKED_AT) return null;
      if (table.get(frame)?.warnings?.includes(id)) return frame;
    }
  }
  return null;
}

/** The texts of warnings that an entry names. */
export function warningTexts(ledger: Pick<Ledger, "warnings">, ids: readonly number[]): string[] {
  return (ledger.warnings ?? []).filter(({ id }) => ids.includes(id)).map(({ text }) => text);
}
