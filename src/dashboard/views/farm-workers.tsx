/** The farm's workers, online ones first. */
import { useComputed, useSignal } from "@preact/signals";
import type { LiveWorker } from "../../protocol/live.ts";
import { managerNow, tasks, workers } from "../lib/farm.ts";
import { ago } from "../lib/format.ts";
import { isAdmin } from "../lib/session.ts";
import { LongList, title } from "../parts/long-list.tsx";
import { WorkerState } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
import { text } from "../text.ts";
import { matchesWorker, nameOfTask, workersFirst } from "./farm-rules.ts";
import { PHONE } from "./farm-tasks.tsx";

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
          <span class="quiet">
            {worker.cpu_percent === null || worker.connection === "offline"
              ? seen
              : `${Math.round(worker.cpu_percent)} % CPU`}
          </span>
        </span>
      </>
    );
  }
  // What an offline machine said last is not how it is now.
  const told = worker.connection === "online";
  const share = (value: number | null) =>
    value === null || !told ? <span class="quiet">–</span> : `${Math.round(value)} %`;
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
        {worker.load_1min === null || !told ? <span class="quiet">–</span> : worker.load_1min.toFixed(1)}
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

export function Workers() {
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
