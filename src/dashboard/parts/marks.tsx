/** Marks of states beside their words. They differ in shape and colour. */
import type { FrameState, TaskStatus } from "../../protocol/task.ts";
import type { LiveWorker } from "../../protocol/live.ts";
import { workerState } from "../../protocol/worker-state.ts";
import { text } from "../text.ts";

export type Kind = FrameState | "paused" | "offline";

/** A mark of 12 × 12 pixels, in the shapes of the frame grid. */
export function Mark({ kind }: { kind: Kind }) {
  return (
    <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
      {SHAPES[kind]}
    </svg>
  );
}

const SHAPES = {
  pending: (
    <rect x="1.75" y="1.75" width="8.5" height="8.5" rx="1.5" fill="none" stroke="var(--edge)" stroke-width="1.5" />
  ),
  leased: (
    <>
      <rect x="1" y="1" width="10" height="10" rx="2" fill="var(--leased)" opacity="0.4" />
      <path d="M1 7 7 1h4L1 11zM5 11l6-6v4l-2 2z" fill="var(--leased)" />
    </>
  ),
  done: <rect x="1" y="1" width="10" height="10" rx="2" fill="var(--done)" />,
  failed: (
    <>
      <rect x="1" y="1" width="10" height="10" rx="2" fill="var(--failed)" />
      <path d="m3.8 3.8 4.4 4.4m0-4.4L3.8 8.2" stroke="var(--sheet)" stroke-width="1.5" />
    </>
  ),
  skipped: <rect x="1" y="5" width="10" height="2" fill="var(--skipped)" />,
  paused: <path d="M2 1h3v10H2zM7 1h3v10H7z" fill="var(--edge)" />,
  offline: (
    <circle cx="6" cy="6" r="4.25" fill="none" stroke="var(--edge)" stroke-width="1.5" stroke-dasharray="2.5 2" />
  ),
};

const TASK_KIND: Record<TaskStatus, Kind> = {
  waiting: "pending",
  queued: "pending",
  rendering: "leased",
  paused: "paused",
  completed: "done",
  failed: "failed",
  canceled: "skipped",
};

const TONE: Record<Kind, string> = {
  pending: "",
  leased: "leased",
  done: "done",
  failed: "failed",
  skipped: "quiet",
  paused: "quiet",
  offline: "quiet",
};

/** Shown in place of a value that does not exist. */
export const NO_VALUE = <span class="quiet">–</span>;

function State({ kind, word }: { kind: Kind; word: string }) {
  return (
    <span class="state" data-kind={TONE[kind]}>
      <Mark kind={kind} />
      {word}
    </span>
  );
}

export function TaskStateMark({ status }: { status: TaskStatus }) {
  return <State kind={TASK_KIND[status]} word={text.taskStatus[status]} />;
}

export function FrameStateMark({ state }: { state: FrameState }) {
  return <State kind={state} word={text.frameState[state]} />;
}

type WorkerState = Pick<LiveWorker, "connection" | "status" | "draining" | "current_task" | "local_state">;
type WorkerWord = keyof typeof text.workerState;

function workerWord(worker: WorkerState): WorkerWord {
  const state = workerState(worker);
  if (state === "offline" && worker.status === "disabled") return "offlineDisabled";
  return state === "enabled" ? "idle" : state;
}

const WORKER_KIND: Record<WorkerWord, Kind> = {
  offline: "offline",
  offlineDisabled: "offline",
  disabled: "paused",
  draining: "paused",
  drained: "paused",
  paused: "paused",
  pausing: "paused",
  rendering: "leased",
  idle: "pending",
};

export function WorkerStateMark({ worker }: { worker: WorkerState }) {
  const word = workerWord(worker);
  return <State kind={WORKER_KIND[word]} word={text.workerState[word]} />;
}
