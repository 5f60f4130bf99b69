/** One frame: where it stands, who tried it and why that failed, its file. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { indexOfFrame, parseFrameList } from "../../protocol/frame-list.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import type { Frame } from "../../protocol/task.ts";
import type { FramesPage, HistoryPage } from "../lib/answers.ts";
import { get, withQuery } from "../lib/api.ts";
import { managerNow, workerName } from "../lib/farm.ts";
import { ago, bytes, duration, instant } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import type { TaskLive } from "../lib/task-live.ts";
import type { Selection } from "../grid/selection.ts";
import { FrameStateMark } from "../parts/marks.tsx";
import { text } from "../text.ts";

/** While the cursor moves, nothing is asked. */
const SETTLED_MS = 150;
const EVENTS = 200;

interface Props {
  live: TaskLive;
  taskId: number;
  selection: Selection;
  /** Share links see neither workers nor history nor logs. */
  full: boolean;
  onLog: (attempt: number) => void;
}

function isAbout(event: HistoryEvent, frame: number): boolean {
  const parsed = parseFrameList(event.frames ?? "");
  return parsed.ok && indexOfFrame(parsed.value, frame) >= 0;
}

/** What history tells of the tries of one frame, oldest first. */
async function attemptsOf(taskId: number, frame: number, signal: AbortSignal): Promise<HistoryEvent[]> {
  const pages = await Promise.all(
    (["done", "error", "lost"] as const).map((kind) =>
      get<HistoryPage>(withQuery("/history", { task_id: taskId, kind, limit: EVENTS }), signal),
    ),
  );
  return pages
    .flatMap((page) => page.events)
    .filter((event) => isAbout(event, frame))
    .sort((a, b) => a.seq - b.seq);
}

export function FramePanel({ live, taskId, selection, full, onLog }: Props) {
  const frame = useSignal<Frame | null>(null);
  const events = useSignal<HistoryEvent[] | null>(null);
  const wrong = useSignal<string | null>(null);
  useSignalEffect(() => {
    const map = live.map.value;
    if (!map) return;
    const wanted = map.frameAt(selection.cursor.value);
    // Asked again when this very frame changed.
    const again = live.changed.value.some((changed) => changed.frame === wanted);
    const abort = new AbortController();
    if (frame.peek()?.frame === wanted && !again) return;
    const timer = setTimeout(() => {
      const asked = Promise.all([
        get<FramesPage>(withQuery(`/tasks/${taskId}/frames`, { frames: String(wanted) }), abort.signal),
        full ? attemptsOf(taskId, wanted, abort.signal).catch(() => null) : Promise.resolve(null),
      ]);
      asked.then(
        ([page, found]) => {
          frame.value = page.frames[0] ?? null;
          events.value = found;
          wrong.value = null;
        },
        (thrown: unknown) => {
          if (!abort.signal.aborted) wrong.value = messageOf(thrown);
        },
      );
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
  const known = frame.value?.frame === number ? frame.value : null;
  const file = known?.files.find((one) => one.kind === undefined);
  const lease = live.task.value?.leases.find((one) => {
    const parsed = parseFrameList(one.frames);
    return parsed.ok && indexOfFrame(parsed.value, number) >= 0;
  });
  return (
    <section class="sheet frame-panel" aria-labelledby="frame-title">
      <div class="sheet-head">
        <h2 id="frame-title">{t.frame(number)}</h2>
        <FrameStateMark state={map.stateAt(index)} />
      </div>
      <div class="sheet-body stack close">
        {wrong.value !== null && <p class="note bad-note">{wrong.value}</p>}
        <dl class="facts">
          {full && (known?.worker_id || lease) && (
            <>
              <dt>{t.worker}</dt>
              <dd>
                <a href={`/app/workers/${lease?.worker_id ?? known!.worker_id}`}>
                  {workerName(lease?.worker_id ?? known!.worker_id!)}
                </a>
                {lease?.progress != null && ` · ${t.progress(lease.progress)}`}
              </dd>
            </>
          )}
          {known?.attempt != null && (
            <>
              <dt>{t.attempt}</dt>
              <dd>{known.attempt}</dd>
            </>
          )}
          {known?.seconds != null && (
            <>
              <dt>{t.seconds}</dt>
              <dd>{duration(known.seconds)}</dd>
            </>
          )}
          {known?.committed_ms != null && (
            <>
              <dt>{t.committed}</dt>
              <dd title={instant(known.committed_ms)}>{ago(known.committed_ms, managerNow.value)}</dd>
            </>
          )}
          {file && (
            <>
              <dt>{t.file}</dt>
              <dd>
                <a href={`/tasks/${taskId}/frames/${number}/file`} download={file.name}>
                  {file.name}
                </a>{" "}
                <span class="quiet">{bytes(file.size)}</span>
              </dd>
            </>
          )}
        </dl>
        {known?.error && <pre class="error-text">{known.error}</pre>}
        {full && (
          <>
            <h3>{t.attempts}</h3>
            {events.value === null ? (
              <p class="quiet">{known ? t.attemptsFail : text.loading}</p>
            ) : events.value.length === 0 ? (
              <p class="quiet">{t.noAttempts}</p>
            ) : (
              <ul class="attempts">
                {events.value.map((event) => (
                  <li key={event.seq}>
                    <span class={event.kind === "error" ? "bad" : ""}>
                      {event.attempt ?? "–"} · {t.kind[event.kind as keyof typeof t.kind]}
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
