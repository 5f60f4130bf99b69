/** One frame: its state, its file, and its attempts with the reasons of their failures. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { indexOfFrame, parseFrameList } from "../../protocol/frame-list.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import type { Frame } from "../../protocol/task.ts";
import type { FramesPage, HistoryPage } from "../lib/answers.ts";
import { get, withQuery } from "../lib/api.ts";
import { managerNow, rememberNames, workerName } from "../lib/farm.ts";
import { ago, bytes, duration, instant } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import type { LiveTask } from "../lib/live-task.ts";
import type { Selection } from "../lib/selection.ts";
import { FrameStateMark } from "../parts/marks.tsx";
import { WorkerLink } from "../parts/worker-link.tsx";
import { text } from "../text.ts";
import { isOpen } from "./farm-rules.ts";

/**
 * The cursor must rest on a frame for this long. Without it, holding an arrow key would send a
 * request for every frame.
 */
const SETTLED_MS = 150;
/**
 * After this time the history has the events of a task, which the manager writes some time after
 * they happen: later for a task that is still open, because its events are collected, than for a
 * task that has ended.
 */
const WRITTEN_MS = { open: 31_000, ended: 3_000 };
const EVENTS = 500;
const FAILURE_PAGES = 10;
/** The type of tasks whose frames name the Blender that rendered them. */
const BLENDER_TYPE = "blender_render";

type Try = Pick<HistoryEvent, "kind" | "attempt" | "worker_id" | "at_ms" | "detail">;

/** What the history says about a frame. */
interface Told {
  tries: Try[];
  /** Failed and lost frames of the whole task. */
  failures: number;
}

/** One frame as the manager answered it. */
interface Answer {
  frame: Frame;
  /** Null when the history cannot be read, or the viewer may not read it. */
  history: Told | null;
}

interface Props {
  live: LiveTask;
  taskId: number;
  selection: Selection;
  /** Whether the viewer is signed in: a share link shows no workers, no history and no logs. */
  full: boolean;
  onLog: (attempt: number) => void;
}

function isAbout(event: HistoryEvent, frame: number): boolean {
  const parsed = parseFrameList(event.frames ?? "");
  return parsed.ok && indexOfFrame(parsed.value, frame) >= 0;
}

/**
 * The newest events of one kind. Failures and losses are few, so all of them are read. Of the
 * `done` events one page is enough: the frame itself says which attempt finished it.
 */
async function eventsOf(taskId: number, kind: "done" | "error" | "lost", signal: AbortSignal): Promise<HistoryEvent[]> {
  const events: HistoryEvent[] = [];
  const pages = kind === "done" ? 1 : FAILURE_PAGES;
  let cursor: string | null = null;
  for (let page = 0; page < pages; page++) {
    const query = { task_id: taskId, kind, limit: EVENTS, cursor };
    const answer: HistoryPage = await get<HistoryPage>(withQuery("/history", query), signal);
    events.push(...answer.events);
    rememberNames(answer.workers);
    cursor = answer.cursor;
    if (cursor === null) break;
  }
  return events;
}

/**
 * The attempts of one frame by the history, oldest first, with the attempt that finished the frame.
 */
async function attemptsOf(taskId: number, frame: Frame, signal: AbortSignal): Promise<Told> {
  const kinds = ["done", "error", "lost"] as const;
  const events = (await Promise.all(kinds.map((kind) => eventsOf(taskId, kind, signal)))).flat();
  const tries: Try[] = events
    .filter((event) => isAbout(event, frame.frame))
    .map(({ kind, attempt, worker_id, at_ms, detail }) => ({ kind, attempt, worker_id, at_ms, detail }));
  // The history may not have that event yet, or may have it on a page that is not read here.
  if (frame.state === "done" && !tries.some((one) => one.kind === "done" && one.attempt === frame.attempt)) {
    const { attempt, worker_id, committed_ms } = frame;
    tries.push({ kind: "done", attempt, worker_id, at_ms: committed_ms ?? 0, detail: null });
  }
  const failures = events.reduce((sum, { kind, frame_count }) => sum + (kind === "done" ? 0 : frame_count), 0);
  return { tries: tries.sort((a, b) => a.at_ms - b.at_ms), failures };
}

export function FramePanel({ live, taskId, selection, full, onLog }: Props) {
  const answer = useSignal<Answer | null>(null);
  const wrong = useSignal<string | null>(null);
  const wantedFrame = useComputed(() => live.map.value?.frameAt(selection.cursor.value) ?? null);
  /**
   * Read besides `changes`: a message about many frames, or after a break, has only the states of
   * frames.
   */
  const state = useComputed(() => {
    void live.version.value;
    return live.map.value?.stateAt(selection.cursor.value);
  });
  /**
   * Rises when this frame changes. Other frames change all the time; they must not delay the
   * request again and again.
   */
  const changes = useSignal(0);
  useSignalEffect(() => {
    if (live.changed.value.some((changed) => changed.frame === wantedFrame.peek())) changes.value = changes.peek() + 1;
  });
  /** Failures and losses of the task in the history; null when it was not read. */
  const told = useComputed(() => answer.value?.history?.failures ?? null);
  const behind = useComputed(() => {
    const task = live.task.value;
    return task !== null && told.value !== null && told.value < task.errors + task.lost;
  });
  const open = useComputed(() => live.task.value !== null && isOpen(live.task.value));
  // The history lacks failures that the task has counted: ask again when it has them. An answer
  // without a change asks no more.
  useSignalEffect(() => {
    void told.value;
    if (!behind.value) return;
    const timer = setTimeout(() => changes.value++, open.value ? WRITTEN_MS.open : WRITTEN_MS.ended);
    return () => clearTimeout(timer);
  });
  useSignalEffect(() => {
    const wanted = wantedFrame.value;
    void state.value;
    void changes.value;
    wrong.value = null;
    if (wanted === null) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const ask = async (): Promise<void> => {
        const address = withQuery(`/tasks/${taskId}/frames`, { frames: String(wanted) });
        const found = (await get<FramesPage>(address, abort.signal)).frames[0];
        const history = full && found ? await attemptsOf(taskId, found, abort.signal).catch(() => null) : null;
        if (abort.signal.aborted) return;
        answer.value = found ? { frame: found, history } : null;
      };
      ask().catch((thrown: unknown) => {
        if (!abort.signal.aborted) wrong.value = messageOf(thrown);
      });
    }, SETTLED_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  });
  const t = text.task;
  const map = live.map.value;
  void live.version.value;
  if (!map || map.total === 0) return null;
  const index = selection.cursor.value;
  const number = map.frameAt(index);
  // The answer may still be that of the frame where the cursor was before.
  const here = answer.value?.frame.frame === number ? answer.value : null;
  const known = here?.frame ?? null;
  const tries = here?.history?.tries ?? null;
  const file = known?.files.find((one) => one.kind === undefined);
  const lease = live.task.value?.leases.find((one) => {
    const parsed = parseFrameList(one.frames);
    return parsed.ok && indexOfFrame(parsed.value, number) >= 0;
  });
  const worker = lease?.worker_id ?? known?.worker_id ?? null;
  const makesFiles = live.task.value?.format !== "";
  // All rows exist from the start, so that nothing moves when a value arrives.
  return (
    <section class="sheet frame-panel" aria-labelledby="frame-title">
      <div class="sheet-head">
        <h2 id="frame-title">{t.frame(number)}</h2>
        <FrameStateMark state={map.stateAt(index)} />
      </div>
      <div class="sheet-body stack close">
        {wrong.value !== null && <p class="note bad-note">{wrong.value}</p>}
        <dl class="facts">
          {full && (
            <>
              <dt>{t.worker}</dt>
              <dd>
                {worker === null ? "–" : <WorkerLink id={worker} />}
                {lease?.progress != null && ` · ${t.progress(lease.progress)}`}
              </dd>
            </>
          )}
          <dt>{t.attempt}</dt>
          <dd>{known?.attempt ?? "–"}</dd>
          <dt>{t.seconds}</dt>
          <dd>{known?.seconds == null ? "–" : duration(known.seconds)}</dd>
          <dt>{t.committed}</dt>
          {known?.committed_ms == null ? (
            <dd>–</dd>
          ) : (
            <dd title={instant(known.committed_ms)}>{ago(known.committed_ms, managerNow.value)}</dd>
          )}
          {live.task.value?.type === BLENDER_TYPE && (
            <>
              <dt>{t.blender}</dt>
              <dd>{known?.blender ?? "–"}</dd>
            </>
          )}
          {makesFiles && (
            <>
              <dt>{t.file}</dt>
              <dd>
                {file ? (
                  <>
                    <a href={`/tasks/${taskId}/frames/${number}/file`} download={file.name}>
                      {file.name}
                    </a>{" "}
                    <span class="quiet">{bytes(file.size)}</span>
                  </>
                ) : (
                  "–"
                )}
              </dd>
            </>
          )}
        </dl>
        {known?.error && map.stateAt(index) === "pending" && (
          <p class="note">{open.value ? t.triedOpen : t.triedEnded}</p>
        )}
        {known?.error && <pre class="error-text">{known.error}</pre>}
        {known?.warnings?.map((warning) => (
          <p key={warning} class="note warnings">
            {warning}
          </p>
        ))}
        {full && (
          <>
            <h3>{t.attempts}</h3>
            {tries === null ? (
              <p class="quiet">{known ? t.attemptsFail : text.loading}</p>
            ) : tries.length === 0 ? (
              <p class="quiet">{map.stateAt(index) === "leased" ? t.firstTry : t.noAttempts}</p>
            ) : (
              <ul class="attempts">
                {tries.map((event) => (
                  <li key={`${event.attempt}-${event.kind}-${event.at_ms}`}>
                    <span class={event.kind === "error" ? "bad" : ""}>
                      {t.lease(event.attempt)} · {t.kind[event.kind as keyof typeof t.kind]}
                    </span>
                    <span class="quiet attempt-by">
                      {event.worker_id !== null && <span class="clip">{workerName(event.worker_id)}</span>}
                      <span>{ago(event.at_ms, managerNow.value)}</span>
                    </span>
                    {event.detail && event.kind !== "done" && <span class="small attempt-detail">{event.detail}</span>}
                    {event.attempt !== null && (
                      <button type="button" class="button little" onClick={() => onLog(event.attempt!)}>
                        {t.openLog}
                      </button>
                    )}
                  </li>
                ))}
              </ul>
            )}
          </>
        )}
      </div>
    </section>
  );
}
