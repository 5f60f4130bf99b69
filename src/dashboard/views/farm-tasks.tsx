/** The tasks of the farm, in the order in which they get workers. */
import { useComputed, useSignal } from "@preact/signals";
import type { TaskSummary } from "../../protocol/task.ts";
import { managerNow, tasks, tasksLeftOut } from "../lib/farm.ts";
import { count, percent } from "../lib/format.ts";
import { LongList, type Column } from "../parts/long-list.tsx";
import { NO_VALUE, TaskStateMark } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
import { Strip } from "../parts/progress.tsx";
import { spread, text } from "../text.ts";
import { byDispatch, framesPerHour, isOpen, matchesTask, nameOfTask } from "./farm-rules.ts";

function nameLink(task: TaskSummary) {
  const name = nameOfTask(task);
  return (
    <a class="name clip" href={`/app/tasks/${task.id}`} title={name}>
      {name}
    </a>
  );
}

function shareDone({ frames }: TaskSummary): string {
  return percent(frames.done + frames.skipped, frames.total);
}

/** The estimate of when the task is ready; empty when it has ended or has no estimate. */
function readyIn(task: TaskSummary): string {
  return task.eta && isOpen(task) ? spread(task.eta.low_ms, task.eta.high_ms, managerNow.value) : "";
}

const t = text.farm;

const COLUMNS: readonly Column<TaskSummary>[] = [
  {
    title: t.name,
    width: "minmax(140px, 2.4fr)",
    class: "two",
    cell: (task) => (
      <>
        {nameLink(task)}
        <span class="quiet small clip">
          #{task.id} · {task.type}
        </span>
      </>
    ),
  },
  { title: t.status, width: "116px", cell: (task) => <TaskStateMark status={task.status} /> },
  {
    title: t.progress,
    width: "minmax(140px, 2fr)",
    class: "two",
    cell: (task) => (
      <>
        <Strip frames={task.frames} />
        <span class="quiet small progress-words">
          <span>
            {count(task.frames.done)} / {count(task.frames.total)}
          </span>
          <span>{shareDone(task)}</span>
        </span>
      </>
    ),
  },
  { title: t.eta, width: "128px", end: true, cell: (task) => readyIn(task) || NO_VALUE },
  {
    title: t.rate,
    width: "84px",
    end: true,
    cell: (task) => {
      const rate = framesPerHour(task);
      return rate === null ? NO_VALUE : count(rate);
    },
  },
  {
    title: t.errors,
    width: "64px",
    end: true,
    cell: (task) => <span class={task.errors > 0 ? "bad" : "quiet"}>{count(task.errors)}</span>,
  },
  { title: t.priority, width: "64px", end: true, cell: (task) => task.priority },
];

/** A phone has room for two columns. */
const PHONE_COLUMNS: readonly Column<TaskSummary>[] = [
  {
    title: t.name,
    width: "minmax(0, 1fr)",
    class: "two",
    cell: (task) => (
      <>
        {nameLink(task)}
        <Strip frames={task.frames} />
      </>
    ),
  },
  {
    title: t.status,
    width: "auto",
    end: true,
    class: "two small",
    cell: (task) => (
      <>
        <TaskStateMark status={task.status} />
        <span class="quiet">{[shareDone(task), readyIn(task)].filter(Boolean).join(" · ")}</span>
      </>
    ),
  },
];

export function Tasks() {
  const show = useSignal<"open" | "ended" | "all">("open");
  const search = useSignal("");
  const rows = useComputed(() =>
    [...tasks.value.values()]
      .filter(
        (task) => (show.value === "all" || isOpen(task) === (show.value === "open")) && matchesTask(task, search.value),
      )
      .sort(byDispatch),
  );
  return (
    <section class="sheet" aria-labelledby="tasks-title">
      <div class="sheet-head">
        <h2 id="tasks-title">{t.tasks}</h2>
        <div class="actions" role="group" aria-label={t.show}>
          {(["open", "ended", "all"] as const).map((which) => (
            <button
              type="button"
              key={which}
              class="button little"
              aria-pressed={show.value === which}
              onClick={() => (show.value = which)}
            >
              {t[which]}
            </button>
          ))}
        </div>
        <input
          class="input search"
          type="search"
          placeholder={t.search}
          aria-label={t.search}
          value={search.value}
          onInput={(event) => (search.value = event.currentTarget.value)}
        />
      </div>
      {rows.value.length === 0 ? (
        <p class="empty">{search.value === "" && show.value === "open" ? t.noOpen : t.noMatch}</p>
      ) : (
        <LongList
          items={rows.value}
          keyOf={(task) => task.id}
          height={narrow.value ? 60 : 52}
          label={t.tasks}
          columns={narrow.value ? PHONE_COLUMNS : COLUMNS}
        />
      )}
      {tasksLeftOut.value > 0 && show.value !== "ended" && <p class="empty">{t.leftOut(tasksLeftOut.value)}</p>}
    </section>
  );
}
