/** The tasks of the farm, in the order in which they get workers. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { TaskSummary } from "../../protocol/task.ts";
import { hasWords, wordsOf } from "../../protocol/task-search.ts";
import { endedLeftOut, managerNow, snapshots, tasks, tasksLeftOut } from "../lib/farm.ts";
import { MoreTasks, type Shown } from "../lib/more-tasks.ts";
import { count, percent } from "../lib/format.ts";
import { LongList, type Column } from "../parts/long-list.tsx";
import { NO_VALUE, TaskStateMark } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
import { Strip } from "../parts/progress.tsx";
import { spread, text } from "../text.ts";
import { byDispatch, framesPerHour, isOpen, nameOfTask } from "./farm-rules.ts";

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

/** So long nobody has typed before the manager is asked: a word then costs one request, not one a letter. */
const TYPED_MS = 300;

/** What the live view has left out of a list, and the button that asks the manager for it. */
function LeftOut({ more, shown, searched }: { more: MoreTasks; shown: Shown; searched: boolean }) {
  const open = shown === "ended" ? 0 : tasksLeftOut.value;
  const ended = shown !== "open" && endedLeftOut.value;
  if (more.complete.value || (open === 0 && !ended)) return null;
  const said = searched
    ? t.searchedPart
    : [open > 0 && t.leftOut(open), ended && t.endedLeftOut].filter(Boolean).join(" ");
  return (
    <div class="empty" role="status">
      <p class={more.wrong.value === null ? "" : "bad"}>{more.wrong.value ?? (more.busy.value ? t.searching : said)}</p>
      <button type="button" class="button" disabled={more.busy.value} onClick={() => void more.more()}>
        {searched ? t.searchOn : text.more}
      </button>
    </div>
  );
}

/** The words of an empty list; none while the manager may know of tasks that belong into it. */
function Nothing({ more, shown, searched }: { more: MoreTasks; shown: Shown; searched: boolean }) {
  const isCut = (shown !== "ended" && tasksLeftOut.value > 0) || (shown !== "open" && endedLeftOut.value);
  if (isCut && !more.complete.value) return null;
  return <p class="empty">{!searched && shown === "open" ? t.noOpen : t.noMatch}</p>;
}

export function Tasks() {
  const show = useSignal<Shown>("open");
  const search = useSignal("");
  const rows = useComputed(() => {
    const words = wordsOf(search.value);
    return [...tasks.value.values()]
      .filter((task) => (show.value === "all" || isOpen(task) === (show.value === "open")) && hasWords(task, words))
      .sort(byDispatch);
  });
  const more = useMemo(() => new MoreTasks(), []);
  useEffect(() => () => more.close(), []);
  useSignalEffect(() => {
    // After a snapshot, what was found is to be asked for again.
    void snapshots.value;
    const [shown, words] = [show.value, search.value.trim()];
    more.ask(shown, words);
    if (words === "") return;
    const timer = setTimeout(() => {
      const isCut = (shown !== "ended" && tasksLeftOut.peek() > 0) || (shown !== "open" && endedLeftOut.peek());
      if (isCut) void more.more();
    }, TYPED_MS);
    return () => clearTimeout(timer);
  });
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
        <Nothing more={more} shown={show.value} searched={search.value.trim() !== ""} />
      ) : (
        <LongList
          items={rows.value}
          keyOf={(task) => task.id}
          height={narrow.value ? 60 : 52}
          label={t.tasks}
          columns={narrow.value ? PHONE_COLUMNS : COLUMNS}
        />
      )}
      <LeftOut more={more} shown={show.value} searched={search.value.trim() !== ""} />
    </section>
  );
}
