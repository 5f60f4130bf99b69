/** The farm at a glance: what the day brought, tasks by priority, workers. */
import { useComputed, useSignal } from "@preact/signals";
import type { TaskSummary } from "../../protocol/task.ts";
import type { LiveWorker } from "../../protocol/live.ts";
import { CopyBox, JoinMaker } from "../parts/controls.tsx";
import { LongList } from "../parts/long-list.tsx";
import { TaskState, WorkerState } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
import { Strip } from "../parts/progress.tsx";
import { ago, count, duration, percent } from "../lib/format.ts";
import { known, managerNow, tasks, tasksLeftOut, today, workers } from "../lib/farm.ts";
import { isAdmin, maySubmit } from "../lib/session.ts";
import { spread, text } from "../text.ts";
import {
  byDispatch,
  framesPerHour,
  isOpen,
  matchesTask,
  matchesWorker,
  nameOfTask,
  workersFirst,
} from "./farm-rules.ts";
import "./farm.css";

function Figures() {
  const all = [...workers.value.values()];
  const online = all.filter((worker) => worker.connection === "online");
  const rendering = online.filter((worker) => worker.status === "rendering").length;
  const open = [...tasks.value.values()].filter(isOpen).length + tasksLeftOut.value;
  const day = today.value;
  const figures = [
    [text.farm.figures.workers, count(online.length), text.farm.of(all.length)],
    [text.farm.figures.rendering, count(rendering), null],
    [text.farm.figures.open, count(open), null],
    [text.farm.figures.frames, count(day?.frames ?? 0), null],
    [text.farm.figures.hours, duration(day?.seconds ?? 0), null],
    [text.farm.figures.errors, count(day?.errors ?? 0), day && day.lost > 0 ? text.farm.lost(day.lost) : null],
  ] as const;
  return (
    <dl class="figures">
      {figures.map(([label, value, more]) => (
        <div class="figure" key={label}>
          <dt>{label}</dt>
          <dd>
            {value} {more !== null && <small>{more}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

const WIDE = "minmax(140px, 2.4fr) 116px minmax(140px, 2fr) 128px 84px 64px 64px";
const PHONE = "minmax(0, 1fr) auto";

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

function title(words: string, end = false) {
  return (
    <span role="columnheader" class={end ? "num" : ""} key={words}>
      {words}
    </span>
  );
}

function Tasks() {
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

function workerRow(worker: LiveWorker) {
  const name = worker.name || worker.hostname;
  const task = worker.current_task === null ? undefined : tasks.value.get(worker.current_task);
  const rest = worker.tags.join(", ");
  const doing =
    worker.current_task === null ? (
      <span class="quiet">–</span>
    ) : (
      <a class="clip" href={`/app/tasks/${worker.current_task}`}>
        {task ? nameOfTask(task) : `#${worker.current_task}`}
      </a>
    );
  const seen = worker.connection === "online" ? text.worker.now : ago(worker.last_seen_ms, managerNow.value);
  if (narrow.value) {
    return (
      <>
        <span role="cell" class="two">
          <a class="name clip" href={`/app/workers/${worker.id}`}>
            {name}
          </a>
          <span class="clip small">{doing}</span>
        </span>
        <span role="cell" class="two num small">
          <WorkerState worker={worker} />
          <span class="quiet">{worker.cpu_percent === null ? seen : `${Math.round(worker.cpu_percent)} % CPU`}</span>
        </span>
      </>
    );
  }
  const share = (value: number | null) => (value === null ? <span class="quiet">–</span> : `${Math.round(value)} %`);
  return (
    <>
      <span role="cell" class="two">
        <a class="name clip" href={`/app/workers/${worker.id}`} title={name}>
          {name}
        </a>
        <span class="quiet small clip">{rest === "" ? worker.system : rest}</span>
      </span>
      <span role="cell">
        <WorkerState worker={worker} />
      </span>
      <span role="cell" class="two">
        {doing}
        {worker.activity && <span class="quiet small clip">{worker.activity}</span>}
      </span>
      <span role="cell" class="num">
        {worker.load_1min === null ? <span class="quiet">–</span> : worker.load_1min.toFixed(1)}
      </span>
      <span role="cell" class="num">
        {share(worker.cpu_percent)}
      </span>
      <span role="cell" class="num">
        {share(worker.mem_percent)}
      </span>
      <span role="cell" class="num quiet">
        {seen}
      </span>
    </>
  );
}

function Workers() {
  const search = useSignal("");
  const rows = useComputed(() =>
    [...workers.value.values()].filter((worker) => matchesWorker(worker, search.value)).sort(workersFirst),
  );
  const t = text.farm;
  return (
    <section class="sheet" aria-labelledby="workers-title">
      <div class="sheet-head">
        <h2 id="workers-title">{t.workers}</h2>
        {isAdmin.value && (
          <div class="actions">
            <a class="button little" href="/app/manage?view=workers">
              {text.manage.joinTitle}
            </a>
          </div>
        )}
        <input
          class="input search"
          type="search"
          placeholder={t.searchWorkers}
          aria-label={t.searchWorkers}
          value={search.value}
          onInput={(event) => (search.value = event.currentTarget.value)}
        />
      </div>
      {rows.value.length === 0 ? (
        <p class="empty">{t.noMatch}</p>
      ) : (
        <LongList
          items={rows.value}
          keyOf={(worker) => worker.id}
          height={narrow.value ? 60 : 52}
          label={t.workers}
          columns={narrow.value ? PHONE : "minmax(140px, 2fr) 116px minmax(140px, 2fr) 64px 64px 72px 104px"}
          titles={
            narrow.value
              ? [title(t.worker), title(t.status, true)]
              : [
                  title(t.worker),
                  title(t.status),
                  title(t.doing),
                  title(t.load, true),
                  title(t.cpu, true),
                  title(t.memory, true),
                  title(t.seen, true),
                ]
          }
          row={workerRow}
        />
      )}
    </section>
  );
}

/** What to do next where there is nothing yet. */
function FirstSteps() {
  const t = text.farm;
  const joined = workers.value.size;
  return (
    <section class="sheet steps" aria-labelledby="steps-title">
      <h2 id="steps-title">{t.emptyTitle}</h2>
      <p class="quiet">{t.emptyLead}</p>
      <ol>
        <li>
          <h3>{t.step1}</h3>
          {joined > 0 ? (
            <p>{t.step1Done(joined)}</p>
          ) : isAdmin.value ? (
            <>
              <p class="quiet">{t.step1Admin}</p>
              <JoinMaker />
            </>
          ) : (
            <p class="quiet">{t.step1Other}</p>
          )}
        </li>
        <li>
          <h3>{t.step2}</h3>
          <p class="quiet">{t.step2Lead}</p>
          <CopyBox value={t.submitCommand} label={t.step2} />
          {maySubmit.value && (
            <p>
              <a class="button" href="/app/submit">
                {t.submitButton}
              </a>
            </p>
          )}
        </li>
      </ol>
    </section>
  );
}

export function Farm() {
  const empty = known.value && (tasks.value.size === 0 || workers.value.size === 0);
  return (
    <div class="stack">
      <h1 class="hidden-text">{text.farm.title}</h1>
      <Figures />
      {empty && <FirstSteps />}
      {tasks.value.size > 0 && <Tasks />}
      {workers.value.size > 0 && <Workers />}
    </div>
  );
}
