/**
 * The history: events by a filter, totals by day, totals by worker. Each can be saved as CSV and
 * JSON.
 */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { DayTotal, HistoryEvent, WorkerTotal } from "../../protocol/history.ts";
import type { DayTotals, HistoryPage, WorkerTotals } from "../lib/answers.ts";
import { get, withQuery } from "../lib/api.ts";
import { allEvents, saveJson } from "../lib/export-json.ts";
import { managerNow, rememberNames, tasks, workerName, workers } from "../lib/farm.ts";
import { ago, count, duration } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import { query, setQuery } from "../lib/router.ts";
import { useList } from "../lib/use-list.ts";
import { Field } from "../parts/controls.tsx";
import { InputOfKind, type InputKind } from "../parts/input.tsx";
import { Icon } from "../parts/icons.tsx";
import { attempt } from "../parts/messages.tsx";
import { Table, type TableColumn } from "../parts/table.tsx";
import { Tabs } from "../parts/tabs.tsx";
import { text } from "../text.ts";
import { EventRows } from "./event-rows.tsx";
import { nameOfTask } from "./farm-rules.ts";
import { HistoryNotes } from "./history-notes.tsx";
import "./history.css";

type Tab = "events" | "days" | "workers";
const NAMES = ["kind", "task_id", "worker_id", "type", "since", "until"] as const;
const DAY_MS = 86_400_000;

/**
 * The filter for the API, from the query of the page's address: so a filtered view can be
 * bookmarked and sent.
 */
function apiQuery(search: URLSearchParams, names: readonly string[]): Record<string, string | null> {
  const values: Record<string, string | null> = {};
  for (const name of names) values[name] = search.get(name);
  // The fields have days and the API takes instants. `until` includes its whole day.
  if (values["since"]) values["since"] = String(Date.parse(`${values["since"]}T00:00`));
  if (values["until"]) values["until"] = String(Date.parse(`${values["until"]}T00:00`) + DAY_MS - 1);
  return values;
}

/** A value of a filter and its name. */
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
  const events = useSignal<readonly HistoryEvent[] | null>(null);
  const cursor = useSignal<string | null>(null);
  const keptFromMs = useSignal<number | null>(null);
  const wrong = useSignal<string | null>(null);
  /** What is typed into the fields and not entered yet. */
  const typed = useSignal<Partial<Record<(typeof NAMES)[number], string>>>({});
  const filter = useComputed(() => JSON.stringify(apiQuery(query.value, NAMES)));
  const load = async (more: boolean, signal?: AbortSignal): Promise<void> => {
    const values = JSON.parse(filter.peek()) as Record<string, string | null>;
    try {
      const page = await get<HistoryPage>(
        withQuery("/history", { ...values, limit: 100, cursor: more ? cursor.peek() : null }),
        signal,
      );
      rememberNames(page.workers);
      events.value = more ? [...(events.peek() ?? []), ...page.events] : page.events;
      cursor.value = page.cursor;
      keptFromMs.value = page.kept_from_ms ?? null;
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
        <InputOfKind
          {...attributes}
          kind={kind}
          min={kind === "number" ? 1 : undefined}
          list={known ? `known-${name}` : undefined}
          value={typed.value[name] ?? query.value.get(name) ?? ""}
          // Each delta of the farm draws the view anew: what is typed must be in a signal, or it is gone.
          onInput={(event) => (typed.value = { ...typed.value, [name]: event.currentTarget.value })}
          onChange={(event) => {
            const said = event.currentTarget.value;
            const named = known?.find(([, words]) => words.toLowerCase() === said.toLowerCase());
            const { [name]: _, ...others } = typed.value;
            typed.value = others;
            setQuery({ [name]: named?.[0] ?? said });
          }}
        />
      )}
    </Field>
  );
  // Suggestions: the browser searches them by name while the viewer types.
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
      {cursor.value === null && keptFromMs.value !== null && <p class="note">{t.keptFrom(keptFromMs.value)}</p>}
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

const t = text.history;

/** A column of numbers. */
function numbers<T>(title: string, cell: (item: T) => string, bad?: (item: T) => boolean): TableColumn<T> {
  return { title, end: true, cell, class: (item) => (bad?.(item) ? "bad" : "") };
}

/** The columns of days; `most` is the number of frames of the day with the longest bar. */
function dayColumns(most: number): readonly TableColumn<DayTotal>[] {
  return [
    { title: t.day, cell: (day) => day.day },
    {
      title: t.frames,
      end: true,
      class: () => "bar-cell",
      cell: (day) => (
        <>
          <span class="day-bar" style={{ width: `${(100 * day.frames) / most}%` }} />
          <span>{count(day.frames)}</span>
        </>
      ),
    },
    numbers(t.time, (day) => duration(day.seconds)),
    numbers(
      t.errors,
      (day) => count(day.errors),
      (day) => day.errors > 0,
    ),
    numbers(t.lost, (day) => count(day.lost)),
    numbers(t.tasks, (day) => count(day.tasks)),
    numbers(t.workers, (day) => count(day.workers)),
  ];
}

function Days() {
  const { value, wrong } = useList<DayTotals>("/history/days");
  if (!value) return <p class="empty">{wrong ?? text.loading}</p>;
  if (value.days.length === 0) return <p class="empty">{t.empty}</p>;
  const most = value.days.reduce((max, day) => Math.max(max, day.frames), 1);
  const days = [...value.days].sort((a, b) => b.day.localeCompare(a.day));
  return <Table label={t.days} columns={dayColumns(most)} items={days} keyOf={(day) => day.day} />;
}

const WORKER_COLUMNS: readonly TableColumn<WorkerTotal>[] = [
  {
    title: text.farm.worker,
    cell: (total) => <a href={`/app/workers/${total.worker_id}`}>{total.name || workerName(total.worker_id)}</a>,
  },
  numbers(t.frames, (total) => count(total.frames)),
  numbers(t.time, (total) => duration(total.seconds)),
  numbers(t.rate, (total) => (total.frames_per_hour === null ? "–" : count(total.frames_per_hour))),
  numbers(
    t.errors,
    (total) => count(total.errors),
    (total) => total.errors > 0,
  ),
  numbers(t.lost, (total) => count(total.lost)),
  numbers(t.tasks, (total) => count(total.tasks)),
  numbers(t.last, (total) => ago(total.last_ms, managerNow.value)),
];

function Workers() {
  const { value, wrong } = useList<WorkerTotals>("/history/workers");
  if (!value) return <p class="empty">{wrong ?? text.loading}</p>;
  if (value.workers.length === 0) return <p class="empty">{t.empty}</p>;
  return <Table label={t.workers} columns={WORKER_COLUMNS} items={value.workers} keyOf={(total) => total.worker_id} />;
}

export function History() {
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
      <HistoryNotes tasks={tasks.value.values()} />
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
