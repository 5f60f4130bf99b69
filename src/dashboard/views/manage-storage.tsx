/** What is stored, by owner and by task, and what a month of it costs. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { OwnerStorage, Storage } from "../../protocol/storage.ts";
import type { TaskSummary } from "../../protocol/task.ts";
import type { TaskList } from "../lib/answers.ts";
import { get, withQuery } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { ago, bytes, count } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import { useList } from "../lib/use-list.ts";
import { Figures, type Figure } from "../parts/figures.tsx";
import { TaskStateMark } from "../parts/marks.tsx";
import { Table, type TableColumn } from "../parts/table.tsx";
import { text } from "../text.ts";
import { nameOfTask } from "./farm-rules.ts";

const t = text.manage.storage;
/** The largest tasks on a page: about a screen of them. */
const PAGE = 20;

const OWNER_COLUMNS: readonly TableColumn<OwnerStorage>[] = [
  { title: t.owner, cell: ({ owner }) => owner },
  { title: t.stored, end: true, cell: (owner) => bytes(owner.bytes) },
  {
    title: t.tasks,
    end: true,
    cell: ({ tasks, uncounted_tasks }) => (
      <>
        {count(tasks)} {uncounted_tasks > 0 && <small class="quiet">{t.unknown(uncounted_tasks)}</small>}
      </>
    ),
  },
];

const TASK_COLUMNS: readonly TableColumn<TaskSummary>[] = [
  {
    title: t.task,
    cell: (task) => (
      <a class="clip storage-task" href={`/app/tasks/${task.id}`} title={nameOfTask(task)}>
        {nameOfTask(task)} <span class="quiet">#{task.id}</span>
      </a>
    ),
  },
  { title: t.stored, end: true, cell: (task) => bytes(task.stored_bytes ?? 0) },
  { title: t.frames, end: true, cell: (task) => count(task.frames.done) },
  { title: t.status, cell: (task) => <TaskStateMark status={task.status} /> },
  { title: t.owner, cell: (task) => task.owner },
  { title: t.changed, cell: (task) => ago(task.updated_ms, managerNow.value) },
];

/** The largest tasks, page by page. */
function Largest() {
  const tasks = useSignal<readonly TaskSummary[] | null>(null);
  const cursor = useSignal<string | null>(null);
  const wrong = useSignal<string | null>(null);
  const load = async (): Promise<void> => {
    try {
      const page = await get<TaskList>(withQuery("/storage/tasks", { limit: PAGE, cursor: cursor.peek() }));
      tasks.value = [...(tasks.peek() ?? []), ...page.tasks];
      cursor.value = page.cursor;
      wrong.value = null;
    } catch (thrown) {
      wrong.value = messageOf(thrown);
    }
  };
  useEffect(() => void load(), []);
  return (
    <div class="stack close">
      <h2>{t.largest}</h2>
      {wrong.value !== null && <p class="note bad-note">{wrong.value}</p>}
      {tasks.value === null ? (
        wrong.value === null && <p class="quiet">{text.loading}</p>
      ) : tasks.value.length === 0 ? (
        <p class="quiet">{t.nothing}</p>
      ) : (
        <Table label={t.largest} columns={TASK_COLUMNS} items={tasks.value} keyOf={(task) => task.id} />
      )}
      {cursor.value !== null && (
        <p>
          <button type="button" class="button" onClick={() => void load()}>
            {text.more}
          </button>
        </p>
      )}
    </div>
  );
}

function Totals({ storage: { outputs, inputs, inputs_problem, blender_builds, cost } }: { storage: Storage }) {
  const figures: Figure[] = [
    [
      t.outputs,
      <>
        {bytes(outputs.bytes)} <small>{t.inTasks(outputs.tasks)}</small>
      </>,
    ],
    [
      t.inputs,
      inputs === null ? (
        "–"
      ) : (
        <>
          {inputs.complete ? bytes(inputs.bytes) : t.atLeast(bytes(inputs.bytes))}{" "}
          <small>{t.inFiles(inputs.files)}</small>
        </>
      ),
    ],
  ];
  if (blender_builds && blender_builds.builds > 0)
    figures.push([
      text.manage.tabs.blender,
      <>
        {bytes(blender_builds.bytes)} <small>{t.blender(blender_builds.builds)}</small>
      </>,
    ]);
  if (cost) {
    const dollars = `$${cost.month_dollars.toFixed(2)}`;
    figures.push([t.month, cost.is_whole ? dollars : t.atLeast(dollars)]);
  }
  return (
    <div class="stack close">
      <Figures figures={figures} class="storage-figures" />
      {outputs.uncounted_tasks > 0 && <p class="note">{t.uncounted(outputs.uncounted_tasks)}</p>}
      {inputs_problem !== null && <p class="note">{inputs_problem}</p>}
      {inputs?.complete === false && <p class="note">{t.incomplete}</p>}
      <p class="quiet small">
        {t.notCounted} {cost && t.price(cost.dollars_per_gb, cost.free_gb, cost.as_of)}{" "}
        {cost && <a href={cost.source}>{t.prices}</a>}
      </p>
    </div>
  );
}

export function ManageStorage() {
  const { value, wrong } = useList<Storage>("/storage");
  if (!value) return <p class={wrong === null ? "quiet" : "note bad-note"}>{wrong ?? text.loading}</p>;
  return (
    <div class="stack">
      <Totals storage={value} />
      {value.owners.length > 0 && (
        <div class="stack close">
          <h2>{t.owners}</h2>
          <Table label={t.owners} columns={OWNER_COLUMNS} items={value.owners} keyOf={({ owner }) => owner} />
          {value.owners_left_out > 0 && <p class="quiet">{t.leftOut(value.owners_left_out)}</p>}
        </div>
      )}
      <Largest />
    </div>
  );
}
