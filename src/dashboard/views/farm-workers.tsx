/** The workers of the farm, those that are online first. */
import { useComputed, useSignal } from "@preact/signals";
import type { LiveWorker } from "../../protocol/live.ts";
import { managerNow, tasks, workers } from "../lib/farm.ts";
import { otherAgentText } from "../../protocol/worker-state.ts";
import { ago } from "../lib/format.ts";
import { isAdmin } from "../lib/session.ts";
import { LongList, type Column } from "../parts/long-list.tsx";
import { NO_VALUE, WorkerStateMark } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
import { text } from "../text.ts";
import { matchesWorker, nameOfTask, workersFirst } from "./farm-rules.ts";
import { SelectedWorkers } from "./selected-workers.tsx";

function nameLink(worker: LiveWorker) {
  const name = worker.name || worker.hostname;
  return (
    <a class="name clip" href={`/app/workers/${worker.id}`} title={name}>
      {name}
    </a>
  );
}

function taskLink(worker: LiveWorker) {
  const id = worker.current_task;
  if (id === null) return NO_VALUE;
  const task = tasks.value.get(id);
  return (
    <a class="clip" href={`/app/tasks/${id}`}>
      {task ? nameOfTask(task) : `#${id}`}
    </a>
  );
}

/** A measurement in words. That of an offline machine is out of date and is not shown. */
function measured(worker: LiveWorker, value: number | null, words: (value: number) => string) {
  return value === null || worker.connection === "offline" ? NO_VALUE : words(value);
}

function seen(worker: LiveWorker): string {
  return worker.connection === "online" ? text.worker.now : ago(worker.last_seen_ms, managerNow.value);
}

const t = text.farm;
const percentage = (value: number): string => `${Math.round(value)} %`;

const COLUMNS: readonly Column<LiveWorker>[] = [
  {
    title: t.worker,
    width: "minmax(140px, 2fr)",
    class: "two",
    cell: (worker) => (
      <>
        {nameLink(worker)}
        <span class="quiet small clip">{worker.tags.join(", ") || worker.system}</span>
      </>
    ),
  },
  { title: t.status, width: "116px", cell: (worker) => <WorkerStateMark worker={worker} /> },
  {
    title: t.doing,
    width: "minmax(140px, 2fr)",
    class: "two",
    cell: (worker) => (
      <>
        {taskLink(worker)}
        {worker.other_agent && (
          <span class="bad small clip" title={otherAgentText(worker.other_agent)}>
            {t.otherAgent}
          </span>
        )}
        {worker.activity && <span class="quiet small clip">{worker.activity}</span>}
      </>
    ),
  },
  {
    title: t.load,
    width: "64px",
    end: true,
    cell: (worker) => measured(worker, worker.load_1min, (load) => load.toFixed(1)),
  },
  {
    title: t.cpu,
    width: "64px",
    end: true,
    cell: (worker) => measured(worker, worker.cpu_percent, percentage),
  },
  {
    title: t.memory,
    width: "72px",
    end: true,
    cell: (worker) => measured(worker, worker.mem_percent, percentage),
  },
  { title: t.seen, width: "104px", end: true, class: "quiet", cell: seen },
];

/** A phone has room for two columns. */
const PHONE_COLUMNS: readonly Column<LiveWorker>[] = [
  {
    title: t.worker,
    width: "minmax(0, 1fr)",
    class: "two",
    cell: (worker) => (
      <>
        {nameLink(worker)}
        <span class="clip small">{taskLink(worker)}</span>
      </>
    ),
  },
  {
    title: t.status,
    width: "auto",
    end: true,
    class: "two small",
    cell: (worker) => (
      <>
        <WorkerStateMark worker={worker} />
        <span class="quiet">
          {worker.cpu_percent === null || worker.connection === "offline"
            ? seen(worker)
            : `${percentage(worker.cpu_percent)} CPU`}
        </span>
      </>
    ),
  },
];

/** A column with a box for each worker. */
function boxes(selected: ReadonlySet<number>, toggle: (id: number, on: boolean) => void): Column<LiveWorker> {
  return {
    title: t.select,
    hideTitle: true,
    width: "16px",
    cell: (worker) => (
      <input
        type="checkbox"
        aria-label={t.selectOne(worker.name || worker.hostname)}
        checked={selected.has(worker.id)}
        onChange={(event) => toggle(worker.id, event.currentTarget.checked)}
      />
    ),
  };
}

export function Workers() {
  const search = useSignal("");
  /** Null while none can be selected. */
  const selected = useSignal<ReadonlySet<number> | null>(null);
  const rows = useComputed(() =>
    [...workers.value.values()].filter((worker) => matchesWorker(worker, search.value)).sort(workersFirst),
  );
  const toggle = (id: number, on: boolean): void => {
    const after = new Set(selected.value);
    if (on) after.add(id);
    else after.delete(id);
    selected.value = after;
  };
  // Only what is listed is changed: a worker that the search hides keeps its box, and nothing else.
  const chosen = rows.value.filter(({ id }) => selected.value?.has(id));
  const columns = narrow.value ? PHONE_COLUMNS : COLUMNS;
  return (
    <section class="sheet" aria-labelledby="workers-title">
      <div class="sheet-head">
        <h2 id="workers-title">{t.workers}</h2>
        {isAdmin.value && (
          <div class="actions">
            {selected.value === null && (
              <button type="button" class="button little" onClick={() => (selected.value = new Set())}>
                {t.select}
              </button>
            )}
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
      {selected.value !== null && (
        <SelectedWorkers
          workers={chosen}
          all={chosen.length > 0 && chosen.length === rows.value.length}
          onAll={(all) => (selected.value = new Set(all ? rows.value.map(({ id }) => id) : []))}
          onEnd={() => (selected.value = null)}
        />
      )}
      {rows.value.length === 0 ? (
        <p class="empty">{t.noMatch}</p>
      ) : (
        <LongList
          items={rows.value}
          keyOf={(worker) => worker.id}
          height={narrow.value ? 60 : 52}
          label={t.workers}
          columns={selected.value === null ? columns : [boxes(selected.value, toggle), ...columns]}
        />
      )}
    </section>
  );
}
