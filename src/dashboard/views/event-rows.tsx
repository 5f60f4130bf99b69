/** Events of the history as rows. */
import type { HistoryEvent } from "../../protocol/history.ts";
import { tasks, workerName } from "../lib/farm.ts";
import { clock, counted, day, duration } from "../lib/format.ts";
import { Mark, type Kind } from "../parts/marks.tsx";
import { text } from "../text.ts";
import { nameOfTask } from "./farm-rules.ts";
import "./event-rows.css";

const MARKS: Partial<Record<HistoryEvent["kind"], Kind>> = {
  done: "done",
  completed: "done",
  error: "failed",
  failed: "failed",
  lost: "offline",
  paused: "paused",
  skipped: "skipped",
  canceled: "skipped",
};

interface Props {
  events: readonly HistoryEvent[];
  /** Which link each row has: to its task, or to task and worker. */
  about: "task" | "both";
}

function Detail({ event }: { event: HistoryEvent }) {
  const frames = event.frames !== null && event.frames.length > 40 ? counted(event.frame_count, "frame") : event.frames;
  const parts = [frames, event.seconds === null ? null : duration(event.seconds), event.detail].filter(
    (part) => part !== null && part !== "",
  );
  return (
    <span role="cell" class="quiet clip" title={parts.join(" · ")}>
      {parts.join(" · ")}
    </span>
  );
}

export function EventRows({ events, about }: Props) {
  const t = text.history;
  return (
    <div role="table" aria-label={t.events} class={`rows events ${about}`}>
      <div role="rowgroup">
        <div role="row" class="row titles">
          <span role="columnheader">{t.at}</span>
          <span role="columnheader">{t.what}</span>
          <span role="columnheader">{text.farm.name}</span>
          {about === "both" && <span role="columnheader">{text.farm.worker}</span>}
          <span role="columnheader">{t.detail}</span>
        </div>
      </div>
      <div role="rowgroup">
        {events.map((event) => {
          const task = tasks.value.get(event.task_id);
          return (
            <div role="row" class="row" key={`${event.task_id}-${event.seq}`}>
              <span role="cell" class="event-at">
                {clock(event.at_ms)} <span class="quiet small">{day(event.at_ms)}</span>
              </span>
              <span role="cell" class="state">
                <Mark kind={MARKS[event.kind] ?? "pending"} />
                {t.kinds[event.kind]}
              </span>
              <span role="cell" class="clip">
                <a href={`/app/tasks/${event.task_id}`}>{task ? nameOfTask(task) : `#${event.task_id}`}</a>
              </span>
              {about === "both" && (
                <span role="cell" class="clip">
                  {event.worker_id === null ? (
                    <span class="quiet">–</span>
                  ) : (
                    <a href={`/app/workers/${event.worker_id}`}>{workerName(event.worker_id)}</a>
                  )}
                </span>
              )}
              <Detail event={event} />
            </div>
          );
        })}
      </div>
    </div>
  );
}
