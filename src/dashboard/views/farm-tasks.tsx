/** The farm's tasks, in the order in which they get workers. */
import { useComputed, useSignal } from "@preact/signals";
import type { TaskSummary } from "../../protocol/task.ts";
import { managerNow, tasks, tasksLeftOut } from "../lib/farm.ts";
import { count, percent } from "../lib/format.ts";
import { LongList, title } from "../parts/long-list.tsx";
import { TaskState } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
import { Strip } from "../parts/progress.tsx";
import { spread, text } from "../text.ts";
import { byDispatch, framesPerHour, isOpen, matchesTask, nameOfTask } from "./farm-rules.ts";

const WIDE = "minmax(140px, 2.4fr) 116px minmax(140px, 2fr) 128px 84px 64px 64px";
/** The columns of a phone. */
export const PHONE = "minmax(0, 1fr) auto";

function taskRow(task: TaskSummary) {
  const name = nameOfTask(task);
  const eta = task.eta && isOpen(task) ? spread(task.eta.low_ms, task.eta.high_ms, managerNow.value) : "";
  const done = percent(task.frames.done + task.frames.skipped, task.frames.total);
  if (narrow.value) {
    return (
      <>
        <span role="cell" class="two">
          <a class="name clip" href={`/app/tasks/${task.id}`}>
            {name}
          </a>
          <Strip frames={task.frames} />
        </span>
        <span role="cell" class="two num small">
          <TaskState status={task.status} />
          <span class="quiet">
            {done}
            {eta !== "" && ` · ${eta}`}
          </span>
        </span>
      </>
    );
  }
  const rate = framesPerHour(task);
  return (
    <>
      <span role="cell" class="two">
        <a class="name clip" href={`/app/tasks/${task.id}`} title={name}>
          {name}
        </a>
        <span class="quiet small clip">
          #{task.id} · {task.type}
        </span>
      </span>
      <span role="cell">
        <TaskState status={task.status} />
      </span>
      <span role="cell" class="two">
        <Strip frames={task.frames} />
        <span class="quiet small progress-words">
          <span>
            {count(task.frames.done)} / {count(task.frames.total)}
          </span>
          <span>{done}</span>
        </span>
      </span>
      <span role="cell" class="num">
        {eta === "" ? <span class="quiet">–</span> : eta}
      </span>
      <span role="cell" class="num">
        {rate === null ? <span class="quiet">–</span> : count(rate)}
      </span>
      <span role="cell" class={task.errors > 0 ? "num bad" : "num quiet"}>
        {count(task.errors)}
      </span>
      <span role="cell" class="num">
        {task.priority}
      </span>
    </>
  );
}

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
  const t = text.farm;
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
          columns={narrow.value ? PHONE : WIDE}
          titles={
            narrow.value
              ? [title(t.name), title(t.status, true)]
              : [
                  title(t.name),
                  title(t.status),
                  title(t.progress),
                  title(t.eta, true),
                  title(t.rate, true),
                  title(t.errors, true),
                  title(t.priority, true),
                ]
          }
          row={taskRow}
        />
      )}
      {tasksLeftOut.value > 0 && show.value !== "ended" && <p class="empty">{t.leftOut(tasksLeftOut.value)}</p>}
    </section>
  );
}
