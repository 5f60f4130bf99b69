/** A task as the protocol shows it, and as the registry is told of it. Pure. */
import { frameAt, indexOfFrame, type FrameList } from "../../protocol/frame-list.ts";
import type { Frame, FrameState, Task, TaskSummary } from "../../protocol/task.ts";
import type { TaskReport } from "../../rpc/registry.ts";
import { deletedDependencies, outdatedFrames, waitsFor } from "../rules/dependencies.ts";
import { boundBlender, needsNow } from "../rules/blender.ts";
import { etaOf } from "../rules/eta.ts";
import { keptOff } from "../rules/failure.ts";
import { format } from "../rules/frame-set.ts";
import {
  claimable,
  countsOf,
  holderOf,
  stateOf,
  type Ledger,
  type TaskWarning,
  type Transition,
} from "../rules/ledger.ts";
import { dueOf, nextWakeMs } from "../rules/next-alarm.ts";
import type { LoadedTask } from "../rules/record.ts";
import { storedBytes } from "../rules/stored-bytes.ts";
import { outdatedSource } from "../rules/input-task.ts";
import { filesVersion } from "../rules/files-version.ts";
import { retained } from "../rules/retention.ts";
import { warningTexts } from "../rules/warnings.ts";
import type { FramesQuery } from "../../rpc/task.ts";

/** A task in lists. The first eight fields are those of the original API. */
function taskSummary({ definition, terms, record }: LoadedTask, nowMs: number): TaskSummary {
  const { ledger, chores } = record;
  const newest = [...ledger.leases].at(-1);
  const start = frameAt(terms.list, 0)!;
  return {
    id: definition.id,
    worker_id: newest?.worker ?? 0,
    priority: definition.priority,
    frame_start: start,
    frame_end: frameAt(terms.list, terms.total - 1)!,
    frame_current: ledger.frame_current ?? start,
    ...retainedView({ definition, terms, record }),
    format: definition.format,
    name: definition.name,
    type: definition.type,
    parser: definition.parser,
    owner: definition.owner,
    task_id: definition.task_id,
    frames: countsOf(terms, ledger),
    error:
      ledger.stopped !== null && ledger.error !== null && ledger.error !== ledger.stopped
        ? `${ledger.error} (${ledger.stopped})`
        : (ledger.stopped ?? ledger.error),
    created_ms: chores.created_ms,
    seconds: Math.round(ledger.seconds * 1000) / 1000,
    errors: ledger.tally.errors,
    lost: ledger.tally.lost,
    stored_bytes: storedBytes(ledger),
    eta: etaOf(terms, ledger, nowMs),
    ...(ledger.warnings && ledger.warnings.length > 0 && { warning_count: ledger.warnings.length }),
    ...(chores.history_failure && { history_failure: chores.history_failure }),
  };
}

/** The fields of retention; those that say nothing are left out, because every list has them. */
function retainedView({ definition, terms, record }: LoadedTask): Pick<TaskSummary, "status" | "updated_ms"> {
  const fields = Object.entries(retained(definition, terms, record)).filter(([, value]) => value !== null);
  return Object.fromEntries(fields) as Pick<TaskSummary, "status" | "updated_ms">;
}

/** Everything about a task except its frames. `progressOf`: how far each lease is, by its id. */
export function taskView(task: LoadedTask, nowMs: number, progressOf: ReadonlyMap<string, number>): Task {
  const { definition, terms, record } = task;
  const { ledger } = record;
  const outdated = outdatedSource(terms, ledger);
  const deleted = deletedDependencies(terms, ledger);
  const outdatedPart = outdatedFrames(ledger);
  const bound = boundBlender(ledger);
  return {
    ...taskSummary(task, nowMs),
    frame_list: definition.frame_list,
    settings: definition.settings,
    chunk: definition.chunk,
    order: definition.order,
    depends_on: definition.depends_on,
    tags: definition.needs.tags,
    lease_ms: definition.lease_ms,
    tries: definition.tries,
    leases: [...ledger.leases].map((lease) => ({
      lease_id: lease.lease_id,
      attempt: lease.attempt,
      worker_id: lease.worker,
      frames: format(lease.frames),
      claimed_ms: lease.claimed_ms,
      until_ms: lease.until_ms,
      progress: progressOf.get(lease.lease_id) ?? null,
    })),
    kept_off: keptOffView(ledger, nowMs),
    waits_for: waitsFor(ledger),
    ...(ledger.warnings && ledger.warnings.length > 0 && { warnings: ledger.warnings.map(warningView) }),
    ...(deleted.length > 0 && { deleted_dependencies: deleted }),
    ...(bound !== undefined && { bound_blender: bound }),
    files_version: filesVersion(ledger),
    ...(outdatedPart && { outdated_source: outdatedPart.task, outdated_frames: format(outdatedPart.frames) }),
    ...(outdated !== null && { outdated_source: outdated }),
  };
}

function warningView({ text, frames, first_frame }: TaskWarning): NonNullable<Task["warnings"]>[number] {
  return { text, frames, first_frame };
}

/** Workers that are blocklisted or held off, under the protocol's name `kept_off`. */
function keptOffView(ledger: Ledger, nowMs: number): Task["kept_off"] {
  return keptOff(ledger, nowMs).map(({ worker, untilMs, reason }) => ({
    worker_id: worker,
    until_ms: untilMs,
    ...(reason !== null && { reason }),
  }));
}

/** The report to the registry. A task that is being removed has no work and no workers. */
export function taskReport(task: LoadedTask, nowMs: number): TaskReport {
  const { definition, terms, record } = task;
  const { ledger } = record;
  const gone = record.chores.remove !== null;
  return {
    version: ledger.version,
    summary: taskSummary(task, nowMs),
    needs: needsNow(definition.needs, ledger),
    claimable: gone ? 0 : claimable(terms, ledger),
    live_workers: gone ? [] : [...new Set([...ledger.leases].map((lease) => lease.worker))],
    kept_off: keptOffView(ledger, nowMs),
    tally: {
      done: ledger.tally.done,
      errors: ledger.tally.errors,
      lost: ledger.tally.lost,
      seconds: Math.round(ledger.tally.seconds * 1000) / 1000,
    },
    gone,
    wake_ms: nextWakeMs({ ...dueOf(record), reportMs: null, countMs: null }),
  };
}

/** One frame as it stands. */
export function frameView(transition: Pick<Transition, "ledger" | "table">, frame: number): Frame {
  const state = stateOf(transition, frame);
  const entry = transition.table.get(frame);
  const done = state === "done" && entry;
  const lease = state === "leased" ? holderOf(transition.ledger, frame) : undefined;
  return {
    frame,
    state,
    attempt: lease?.attempt ?? entry?.attempt ?? null,
    worker_id: lease?.worker ?? entry?.worker ?? null,
    seconds: done ? entry.seconds : null,
    committed_ms: done ? entry.at_ms : null,
    failures: entry?.failures.reduce((sum, [, count]) => sum + count, 0) ?? 0,
    error: entry?.error ?? null,
    ...(done && entry.blender !== undefined && { blender: entry.blender }),
    ...(done && entry.warnings && { warnings: warningTexts(transition.ledger, entry.warnings) }),
    files: done ? entry.files : [],
  };
}

/**
 * The most frames that one request reads. A page may be short because of it, and its cursor says
 * that there are more.
 */
export const SCAN_LIMIT = 20_000;

/**
 * A page of frames, ascending. `wanted`: the frame list asked for, or null for all; `after`: the
 * last frame seen.
 */
export function framesPage(
  transition: Pick<Transition, "ledger" | "table" | "terms">,
  wanted: FrameList | null,
  query: Pick<FramesQuery, "states" | "limit">,
  after: number | null,
): { frames: Frame[]; cursor: string | null } {
  const { terms } = transition;
  const states: readonly FrameState[] | undefined = query.states;
  const frames: Frame[] = [];
  let index = after === null ? 0 : firstIndexAfter(terms.list, after);
  for (let scanned = 0; index < terms.total; index++, scanned++) {
    const frame = frameAt(terms.list, index)!;
    const page = { frames, cursor: String(frame - 1) };
    if (scanned >= SCAN_LIMIT) return page;
    if (wanted && indexOfFrame(wanted, frame) < 0) {
      // Jump to the next frame asked for, so that the end of a long task is one request away.
      const next = frameAt(wanted, firstIndexAfter(wanted, frame));
      if (next === undefined) break;
      index = firstIndexAfter(terms.list, next - 1) - 1;
      continue;
    }
    if (frames.length >= query.limit) return page;
    const shown = frameView(transition, frame);
    if (!states || states.includes(shown.state)) frames.push(shown);
  }
  return { frames, cursor: null };
}

/** Index of the first frame of the list beyond `frame`. */
function firstIndexAfter(list: FrameList, frame: number): number {
  let before = 0;
  for (const { start, end, step } of list) {
    if (frame < start) return before;
    if (frame < end) return before + Math.floor((frame - start) / step) + 1;
    before += (end - start) / step + 1;
  }
  return before;
}
