/**
 * The dialog that says why a task does not run, or why a worker has no task: which rule applies,
 * and to which workers.
 */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { TaskWhy, WorkerWhy } from "../../protocol/why.ts";
import { get } from "../lib/api.ts";
import { count } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import { Dialog } from "../parts/controls.tsx";
import { text } from "../text.ts";
import "./why.css";

function TaskAnswer({ why }: { why: TaskWhy }) {
  const t = text.why;
  return (
    <>
      <p class="why-text">{why.text}</p>
      {why.would_fit > 0 && <p>{t.fit(why.would_fit)}</p>}
      {why.waits_for.length > 0 && (
        <ul class="why-list">
          {why.waits_for.map(({ task_id, status }) => (
            <li key={task_id}>
              <a href={`/app/tasks/${task_id}`}>{t.task(task_id)}</a>
              <span class="quiet">{status === null ? text.task.gone : text.taskStatus[status]}</span>
            </li>
          ))}
        </ul>
      )}
      {why.counts.length > 0 && (
        <div class="legend">
          {why.counts.map(({ rule, workers }) => (
            <span class="why-count" key={rule}>
              <b>{count(workers)}</b> {t.rule[rule]}
            </span>
          ))}
        </div>
      )}
      {why.workers.length > 0 && (
        <ul class="why-list">
          {why.workers.map((worker) => (
            <li key={worker.worker_id}>
              <a class="clip" href={`/app/workers/${worker.worker_id}`}>
                {worker.name}
              </a>
              <span class="quiet">{worker.text}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function WorkerAnswer({ why }: { why: WorkerWhy }) {
  const t = text.why;
  return (
    <>
      <p class="why-text">{why.text}</p>
      {why.task_id !== null && (
        <p>
          <a href={`/app/tasks/${why.task_id}`}>{t.task(why.task_id)}</a>
        </p>
      )}
      {why.passed_over.length > 0 && (
        <>
          <h3>{t.passed}</h3>
          <ul class="why-list">
            {why.passed_over.map((task) => (
              <li key={task.task_id}>
                <a href={`/app/tasks/${task.task_id}`}>{t.task(task.task_id)}</a>
                <span class="quiet">{task.text}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

export function WhyDialog({ of, id, onClose }: { of: "tasks" | "workers"; id: number; onClose: () => void }) {
  const why = useSignal<TaskWhy | WorkerWhy | null>(null);
  const wrong = useSignal<string | null>(null);
  const ask = (): void => {
    get<TaskWhy | WorkerWhy>(`/${of}/${id}/why`).then(
      (answer) => {
        why.value = answer;
        wrong.value = null;
      },
      (thrown: unknown) => (wrong.value = messageOf(thrown)),
    );
  };
  useEffect(ask, [of, id]);
  return (
    <Dialog title={text.task.whyTitle} onClose={onClose}>
      {wrong.value !== null && <p class="note bad-note">{wrong.value}</p>}
      <div class="stack close why-answer" aria-live="polite">
        {why.value === null ? (
          <p class="quiet">{text.loading}</p>
        ) : "waits_for" in why.value ? (
          <TaskAnswer why={why.value} />
        ) : (
          <WorkerAnswer why={why.value} />
        )}
      </div>
      <div class="actions">
        <button type="button" class="button main" onClick={onClose}>
          {text.close}
        </button>
        <button type="button" class="button" onClick={ask}>
          {text.why.reload}
        </button>
      </div>
    </Dialog>
  );
}
