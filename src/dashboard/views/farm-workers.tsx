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

export function Workers() {
  const search = useSignal("");
  const rows = useComputed(() =>
    [...workers.value.values()].filter((worker) => matchesWorker(worker, search.value)).sort(workersFirst),
  );
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
          columns={narrow.value ? PHONE_COLUMNS : COLUMNS}
        />
      )}
    </section>
  );
}
