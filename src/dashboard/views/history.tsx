/** What happened: events by filter, days, workers; each as CSV and JSON, too. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { DayTotal, HistoryEvent, WorkerTotal } from "../../protocol/history.ts";
import type { DayTotals, HistoryPage, WorkerTotals } from "../lib/answers.ts";
import { get, withQuery } from "../lib/api.ts";
import { allEvents, saveJson } from "../lib/export-json.ts";
import { managerNow, tasks, workerName, workers } from "../lib/farm.ts";
import { ago, count, duration } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import { query, setQuery } from "../lib/router.ts";
import { useList } from "../lib/use-list.ts";
import { Field } from "../parts/controls.tsx";
import { Input, type InputKind } from "../parts/input.tsx";
import { Icon } from "../parts/icons.tsx";
import { attempt } from "../parts/messages.tsx";
import { Tabs } from "../parts/tabs.tsx";
import { text } from "../text.ts";
import { EventRows } from "./event-rows.tsx";
import { nameOfTask } from "./farm-rules.ts";
import "./history.css";

type Tab = "events" | "days" | "workers";
const NAMES = ["kind", "task_id", "worker_id", "type", "since", "until"] as const;
const DAY_MS = 86_400_000;

/** The filter as the API takes it, from the address: so it can be bookmarked and sent. */
function apiQuery(search: URLSearchParams, names: readonly string[]): Record<string, string | null> {
  const values: Record<string, string | null> = {};
  for (const name of names) values[name] = search.get(name);
  // Days of the calendar here, instants there; `until` is the end of its day.
  if (values["since"]) values["since"] = String(Date.parse(`${values["since"]}T00:00`));
  if (values["until"]) values["until"] = String(Date.parse(`${values["until"]}T00:00`) + DAY_MS - 1);
  return values;
}

/** A value and what it is called. */
type Known = readonly [value: string, name: string];

function Choices({ id, of }: { id: string; of: readonly Known[] }) {
  return (
    <datalist id={id}>
      {of.slice(0, 500).map(([value, name]) => (
        <option key={value} value={value}>
          {name}
        </option>
      ))}
    </datalist>
  );
}

function Events() {
  const t = text.history;
  const events = useSignal<readonly HistoryEvent[] | null>(null);
  const cursor = useSignal<string | null>(null);
  const wrong = useSignal<string | null>(null);
  const filter = useComputed(() => JSON.stringify(apiQuery(query.value, NAMES)));
  const load = async (more: boolean, signal?: AbortSignal): Promise<void> => {
    const values = JSON.parse(filter.peek()) as Record<string, string | null>;
    try {
      const page = await get<HistoryPage>(
        withQuery("/history", { ...values, limit: 100, cursor: more ? cursor.peek() : null }),
        signal,
      );
      events.value = more ? [...(events.peek() ?? []), ...page.events] : page.events;
      cursor.value = page.cursor;
      wrong.value = null;
    } catch (thrown) {
      if (!signal?.aborted) wrong.value = messageOf(thrown);
    }
  };
  useSignalEffect(() => {
    void filter.value;
    const abort = new AbortController();
    void load(false, abort.signal);
    return () => abort.abort();
  });
  const field = (name: (typeof NAMES)[number], label: string, kind: InputKind, known?: readonly Known[]) => (
    <Field label={label}>
      {(attributes) => (
        <Input
          {...attributes}
          kind={kind}
          min={kind === "number" ? 1 : undefined}
          list={known ? `known-${name}` : undefined}
          value={query.value.get(name) ?? ""}
          onChange={(event) => {
            const said = event.currentTarget.value;
            const named = known?.find(([, words]) => words.toLowerCase() === said.toLowerCase());
            setQuery({ [name]: named?.[0] ?? said });
          }}
        />
      )}
    </Field>
  );
  // Found by name: the browser searches in these while one types.
  const knownTasks = [...tasks.value.values()].map((task) => [String(task.id), nameOfTask(task)] as const);
  const knownWorkers = [...workers.value.keys()].map((id) => [String(id), workerName(id)] as const);
  const knownTypes = [...new Set([...tasks.value.values()].map((task) => task.type))].map(
    (type) => [type, ""] as const,
  );
  return (
    <div class="stack">
      <Choices id="known-task_id" of={knownTasks} />
      <Choices id="known-worker_id" of={knownWorkers} />
      <Choices id="known-type" of={knownTypes} />
      <div class="fields history-fields">
        <Field label={t.kind}>
          {(attributes) => (
            <select
              {...attributes}
              class="input"
              value={query.value.get("kind") ?? ""}
              onChange={(event) => setQuery({ kind: event.currentTarget.value })}
            >
              <option value="">{t.any}</option>
              {Object.entries(t.kinds).map(([kind, words]) => (
                <option key={kind} value={kind}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
        {field("task_id", t.task, "text", knownTasks)}
        {field("worker_id", t.worker, "text", knownWorkers)}
        {field("type", t.type, "text", knownTypes)}
        {field("since", t.since, "date")}
        {field("until", t.until, "date")}
      </div>
      {wrong.value !== null && <p class="note bad-note">{wrong.value}</p>}
      {events.value === null ? (
        <p class="empty">{text.loading}</p>
      ) : events.value.length === 0 && cursor.value === null ? (
        <p class="empty">{t.empty}</p>
      ) : (
        <EventRows events={events.value} withWorker />
      )}
      {cursor.value !== null && (
        <p class="empty">
          <button type="button" class="button" onClick={() => void load(true)}>
            {text.more}
          </button>
        </p>
      )}
    </div>
  );
}

function columns(names: readonly string[]) {
  return (
    <thead>
      <tr>
        {names.map((name, index) => (
          <th key={name} scope="col" class={index === 0 ? "" : "num"}>
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function DayRow({ day, most }: { day: DayTotal; most: number }) {
  return (
    <tr>
      <th scope="row">{day.day}</th>
      <td class="bar-cell">
        <span class="day-bar" style={{ width: `${(100 * day.frames) / most}%` }} />
        <span>{count(day.frames)}</span>
      </td>
      <td class="num">{duration(day.seconds)}</td>
      <td class={day.errors > 0 ? "num bad" : "num"}>{count(day.errors)}</td>
      <td class="num">{count(day.lost)}</td>
      <td class="num">{count(day.tasks)}</td>
      <td class="num">{count(day.workers)}</td>
    </tr>
  );
}

function Days() {
  const t = text.history;
  const { value, wrong } = useList<DayTotals>("/history/days");
  if (!value) return <p class="empty">{wrong ?? text.loading}</p>;
  if (value.days.length === 0) return <p class="empty">{t.empty}</p>;
  const most = value.days.reduce((max, day) => Math.max(max, day.frames), 1);
  const days = [...value.days].sort((a, b) => b.day.localeCompare(a.day));
  return (
    <div class="table-box" tabIndex={0} role="group" aria-label={t.days}>
      <table>
        {columns([t.day, t.frames, t.time, t.errors, t.lost, t.tasks, t.workers])}
        <tbody>
          {days.map((day) => (
            <DayRow key={day.day} day={day} most={most} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function WorkerRow({ total }: { total: WorkerTotal }) {
  return (
    <tr>
      <th scope="row">
        <a href={`/app/workers/${total.worker_id}`}>{workerName(total.worker_id)}</a>
      </th>
      <td class="num">{count(total.frames)}</td>
      <td class="num">{duration(total.seconds)}</td>
      <td class="num">{total.frames_per_hour === null ? "–" : count(total.frames_per_hour)}</td>
      <td class={total.errors > 0 ? "num bad" : "num"}>{count(total.errors)}</td>
      <td class="num">{count(total.lost)}</td>
      <td class="num">{count(total.tasks)}</td>
      <td class="num">{ago(total.last_ms, managerNow.value)}</td>
    </tr>
  );
}

function Workers() {
  const t = text.history;
  const { value, wrong } = useList<WorkerTotals>("/history/workers");
  if (!value) return <p class="empty">{wrong ?? text.loading}</p>;
  if (value.workers.length === 0) return <p class="empty">{t.empty}</p>;
  return (
    <div class="table-box" tabIndex={0} role="group" aria-label={t.workers}>
      <table>
        {columns([text.farm.worker, t.frames, t.time, t.rate, t.errors, t.lost, t.tasks, t.last])}
        <tbody>
          {value.workers.map((total) => (
            <WorkerRow key={total.worker_id} total={total} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function History() {
  const t = text.history;
  const tab = useSignal<Tab>((query.value.get("view") as Tab | null) ?? "events");
  const saving = useSignal(false);
  const csv = useComputed(() => {
    if (tab.value !== "events") return `/history/${tab.value}?format=csv`;
    return withQuery("/history", { ...apiQuery(query.value, NAMES), format: "csv" });
  });
  const saveAsJson = async (): Promise<void> => {
    const which = tab.value;
    saving.value = true;
    await attempt(async () => {
      const rows =
        which === "events"
          ? { events: await allEvents(apiQuery(query.value, NAMES)) }
          : await get<DayTotals | WorkerTotals>(`/history/${which}`);
      saveJson(`${which === "events" ? "history" : which}.json`, rows);
    });
    saving.value = false;
  };
  return (
    <>
      <div class="head">
        <h1>{t.title}</h1>
        <div class="actions">
          <a class="button" href={csv.value} download>
            <Icon name="down" />
            {t.csv}
          </a>
          <button type="button" class="button" disabled={saving.value} onClick={() => void saveAsJson()}>
            <Icon name="down" />
            {t.json}
          </button>
        </div>
      </div>
      <div class="sheet">
        <Tabs
          label={t.views}
          chosen={tab}
          tabs={[
            ["events", t.events],
            ["days", t.days],
            ["workers", t.workers],
          ]}
        />
        <div role="tabpanel" id={`panel-${tab.value}`} aria-labelledby={`tab-${tab.value}`} class="history-body">
          {tab.value === "events" ? <Events /> : tab.value === "days" ? <Days /> : <Workers />}
        </div>
      </div>
    </>
  );
}
