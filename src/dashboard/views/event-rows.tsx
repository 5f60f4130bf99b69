/** Events of the history as rows of a table. */
import type { HistoryEvent } from "../../protocol/history.ts";
import { tasks, workerName } from "../lib/farm.ts";
import { clock, counted, day, duration } from "../lib/format.ts";
import { cellsOf, titlesOf, tracksOf, type Column } from "../parts/long-list.tsx";
import { Mark, NO_VALUE, type Kind } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
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

/** Frames, seconds, detail and Blender of an event, without those that it lacks. */
function detailsOf(event: HistoryEvent): string {
  const long = event.frames !== null && event.frames.length > 40;
  const frames = long ? counted(event.frame_count, "frame") : event.frames;
  const seconds = event.seconds === null ? null : duration(event.seconds);
  const blender = event.blender === undefined ? null : text.task.blenderVersion(event.blender);
  return [frames, seconds, event.detail, blender].filter((part) => part !== null && part !== "").join(" · ");
}

const t = text.history;

const COLUMNS: readonly Column<HistoryEvent>[] = [
  {
    title: t.at,
    width: "160px",
    class: "event-at",
    cell: (event) => (
      <>
        {clock(event.at_ms)} <span class="quiet small">{day(event.at_ms)}</span>
      </>
    ),
  },
  {
    title: t.what,
    width: "132px",
    class: "state",
    cell: (event) => (
      <>
        <Mark kind={MARKS[event.kind] ?? "pending"} />
        {t.kinds[event.kind]}
      </>
    ),
  },
  {
    title: text.farm.name,
    width: "minmax(80px, 1.2fr)",
    class: "clip",
    cell: (event) => {
      const task = tasks.value.get(event.task_id);
      return <a href={`/app/tasks/${event.task_id}`}>{task ? nameOfTask(task) : `#${event.task_id}`}</a>;
    },
  },
  {
    title: text.farm.worker,
    width: "minmax(80px, 1fr)",
    class: "clip",
    cell: (event) =>
      event.worker_id === null ? (
        NO_VALUE
      ) : (
        <a href={`/app/workers/${event.worker_id}`}>{workerName(event.worker_id)}</a>
      ),
  },
  {
    title: t.detail,
    width: "minmax(0, 2fr)",
    class: "quiet clip",
    cell: (event) => <span title={detailsOf(event)}>{detailsOf(event)}</span>,
  },
];
/** For the view of one worker: all events are its own. */
const COLUMNS_OF_WORKER = COLUMNS.filter((column) => column.title !== text.farm.worker);

interface Props {
  events: readonly HistoryEvent[];
  /** Show a column with the worker of each event. */
  withWorker?: boolean;
}

export function EventRows({ events, withWorker = false }: Props) {
  const columns = withWorker ? COLUMNS : COLUMNS_OF_WORKER;
  // On a phone the layout is that of event-rows.css: two columns, and as many lines as needed.
  const style = narrow.value ? {} : { gridTemplateColumns: tracksOf(columns) };
  return (
    <div role="table" aria-label={t.events} class="rows events">
      <div role="rowgroup">
        <div role="row" class="row titles" style={style}>
          {titlesOf(columns)}
        </div>
      </div>
      <div role="rowgroup">
        {events.map((event) => (
          <div role="row" class="row" key={`${event.task_id}-${event.seq}`} style={style}>
            {cellsOf(columns, event)}
          </div>
        ))}
      </div>
    </div>
  );
}
