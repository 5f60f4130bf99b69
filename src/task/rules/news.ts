/**
 * What a task tells the tasks that wait for it frame by frame: which frames became done, and which it
 * took back. Pure. News is kept until every dependent has taken it, so each message holds all that an
 * earlier one may have brought, and a dependent may ignore what is older than what it knows.
 */
import type { TakenBack } from "../../rpc/task.ts";
import { EMPTY, format, MAX_INTERVALS, minus, setOfText, union, type FrameSet } from "./frame-set.ts";
import type { Transition } from "./ledger.ts";
import type { DeferredState } from "./record.ts";

/**
 * More entries than this become one, of the newest version. They are a part of one row. What is joined
 * may be told twice, which ends leases of the dependent for nothing.
 */
const MAX_ENTRIES = 20;

export type News = Pick<DeferredState, "news" | "taken_back">;

/** What was sent, and of which version of the task. */
export interface SentNews extends News {
  version: number;
}

/**
 * Note what a transition has done, after its version was raised. `skippedBefore`: the frames that were
 * skipped before it. Whether frames were taken back.
 */
export function noteNews(state: News, t: Transition, skippedBefore: FrameSet): boolean {
  let taken = minus(skippedBefore, t.ledger.skipped);
  for (const { kind, frames } of t.effects.events) {
    if (kind === "done" || kind === "skipped") state.news = union(state.news, setOfText(frames));
    if (kind === "requeued") taken = union(taken, setOfText(frames));
  }
  if (taken.length === 0) return false;
  state.news = minus(state.news, taken);
  state.taken_back = bounded([...(state.taken_back ?? []), { version: t.ledger.version, frames: format(taken) }]);
  return true;
}

/** All dependents have taken this. What happened while it was on its way stays. */
export function newsSent(state: News, sent: SentNews): void {
  const later = (state.taken_back ?? []).filter(({ version }) => version > sent.version);
  const takenLater = later.map(({ frames }) => setOfText(frames)).reduce(union, EMPTY);
  state.news = minus(state.news, minus(sent.news, takenLater));
  if (state.taken_back) state.taken_back = later;
}

function bounded(entries: TakenBack[]): TakenBack[] {
  const pieces = entries.reduce((sum, { frames }) => sum + frames.split(",").length, 0);
  if (entries.length <= MAX_ENTRIES && pieces <= MAX_INTERVALS) return entries;
  const all = entries.map(({ frames }) => setOfText(frames)).reduce(union);
  return [{ version: entries.at(-1)!.version, frames: format(all) }];
}
