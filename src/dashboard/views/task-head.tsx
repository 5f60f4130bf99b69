/** The head of a task: its name, its progress, when it will be ready, and the actions on it. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Task, TaskAction } from "../../protocol/task.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { bytes, count, duration, percent } from "../lib/format.ts";
import { go } from "../lib/router.ts";
import { loadTaskTypes, makesVideo, taskTypes } from "../lib/task-types.ts";
import { Confirm } from "../parts/controls.tsx";
import { Figures, type Figure } from "../parts/figures.tsx";
import { Icon } from "../parts/icons.tsx";
import { TaskStateMark } from "../parts/marks.tsx";
import { attempt } from "../parts/messages.tsx";
import { Strip } from "../parts/progress.tsx";
import { spread, text } from "../text.ts";
import { DownloadDialog } from "./download-dialog.tsx";
import { framesPerHour, isOpen, nameOfTask } from "./farm-rules.ts";
import { HistoryNotes } from "./history-notes.tsx";
import { ShareDialog } from "./share-dialog.tsx";
import { ExpiryNote } from "./task-retention.tsx";
import { WhyDialog } from "./why.tsx";

interface Props {
  task: Task;
  mayChange: boolean;
  /** Whether the viewer is signed in; a share link shows no actions and no priority. */
  full: boolean;
}

function Actions({ task, mayChange }: { task: Task; mayChange: boolean }) {
  const t = text.task;
  const open = useSignal<"share" | "cancel" | "remove" | "why" | "download" | null>(null);
  const close = (): void => {
    open.value = null;
  };
  const act = (status: TaskAction): void =>
    void attempt(() => call("PATCH", `/tasks/${task.id}`, { body: { status } }));
  const remove = (): void =>
    void attempt(async () => {
      await call("DELETE", `/tasks/${task.id}`);
      go("/app");
    }, t.removed);
  const running = isOpen(task);
  const makesFiles = task.format !== "";
  useEffect(() => {
    // If this fails, a video is offered as a download of one file, which works, too.
    if (makesFiles && taskTypes.peek() === null) loadTaskTypes().catch(() => undefined);
  }, [makesFiles]);
  const isVideo = makesVideo(task.type);
  const isReady = task.frames.done > 0;
  return (
    <div class="actions">
      {running && (
        <button type="button" class="button" onClick={() => (open.value = "why")}>
          {t.why}
        </button>
      )}
      {makesFiles &&
        // Until the first frame is done these do nothing, and take their place, so that nothing
        // moves.
        (isVideo ? (
          <a
            class="button"
            {...(isReady
              ? { href: `/tasks/${task.id}/frames/${task.frame_list}/file`, download: true }
              : { "aria-disabled": true })}
            role="link"
          >
            <Icon name="down" />
            {t.video}
          </a>
        ) : (
          <button type="button" class="button" disabled={!isReady} onClick={() => (open.value = "download")}>
            <Icon name="down" />
            {t.download}
          </button>
        ))}
      {mayChange && (
        <>
          <button type="button" class="button" onClick={() => (open.value = "share")}>
            <Icon name="link" />
            {t.share}
          </button>
          {task.status === "paused" ? (
            <button type="button" class="button main" onClick={() => act("resume")}>
              {t.resume}
            </button>
          ) : (
            running && (
              <button type="button" class="button" onClick={() => act("pause")}>
                {t.pause}
              </button>
            )
          )}
          {task.frames.failed > 0 && (
            <button type="button" class="button" onClick={() => act("requeue")}>
              {t.requeue}
            </button>
          )}
          {(task.status === "canceled" || task.status === "failed") && task.frames.failed === 0 && (
            <button type="button" class="button" onClick={() => act("requeue")}>
              {t.requeueAll}
            </button>
          )}
          {running ? (
            <button type="button" class="button danger" onClick={() => (open.value = "cancel")}>
              {t.cancel}
            </button>
          ) : (
            <button type="button" class="button danger" onClick={() => (open.value = "remove")}>
              {t.remove}
            </button>
          )}
        </>
      )}
      {open.value === "download" && <DownloadDialog task={task} frames={null} mayTell={mayChange} onClose={close} />}
      {open.value === "share" && <ShareDialog taskId={task.id} onClose={close} />}
      {open.value === "why" && <WhyDialog of="tasks" id={task.id} onClose={close} />}
      {open.value === "cancel" && (
        <Confirm title={t.cancel} words={t.cancelSure} action={t.cancel} onClose={close} onYes={() => act("cancel")} />
      )}
      {open.value === "remove" && (
        <Confirm title={t.remove} words={t.removeSure} action={t.remove} onClose={close} onYes={remove} />
      )}
    </div>
  );
}

function Priority({ task }: { task: Task }) {
  return (
    <input
      class="input priority"
      type="number"
      aria-label={text.task.priority}
      key={task.priority}
      defaultValue={String(task.priority)}
      onChange={(event) => {
        const priority = event.currentTarget.valueAsNumber;
        if (Number.isInteger(priority)) void attempt(() => call("PATCH", `/tasks/${task.id}`, { body: { priority } }));
      }}
    />
  );
}

/** No longer wait for a task that was deleted. */
function drop(id: number, deleted: number): void {
  void attempt(() => call("PATCH", `/tasks/${id}`, { body: { drop_dependency: deleted } }));
}

/** What renderers said of frames that are done. */
function Warnings({ warnings }: { warnings: NonNullable<Task["warnings"]> }) {
  return (
    <div class="note warnings">
      <strong>{text.task.warnings(warnings.length)}</strong>
      <ul>
        {warnings.map((warning) => (
          <li key={warning.text}>
            {warning.text} <span class="quiet">{text.task.warnedFrames(warning.frames, warning.first_frame)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function TaskHead({ task, mayChange, full }: Props) {
  const t = text.task;
  const rate = framesPerHour(task);
  const { frames } = task;
  const figures: Figure[] = [
    [
      text.farm.progress,
      <>
        {percent(frames.done + frames.skipped, frames.total)}{" "}
        <small>{`${count(frames.done)} / ${count(frames.total)}`}</small>
      </>,
    ],
    [t.eta, task.eta && isOpen(task) ? spread(task.eta.low_ms, task.eta.high_ms, managerNow.value) : "–"],
    [t.rate, rate === null ? "–" : count(rate)],
    [t.perFrame, frames.done > 0 ? duration(task.seconds / frames.done) : "–"],
    [t.elapsed, duration(task.seconds)],
    [
      t.errors,
      <>
        {count(task.errors)} {task.lost > 0 && <small>{text.farm.lost(task.lost)}</small>}
      </>,
    ],
    [t.stored, typeof task.stored_bytes === "number" ? bytes(task.stored_bytes) : "–"],
  ];
  if (full) figures.push([t.priority, mayChange ? <Priority task={task} /> : task.priority]);
  return (
    <>
      <div class="head">
        <h1>{nameOfTask(task)}</h1>
        <TaskStateMark status={task.status} />
        <span class="quiet">
          #{task.id} · {task.type}
        </span>
        {full && <Actions task={task} mayChange={mayChange} />}
      </div>
      <div class="stack close">
        <div class="task-strip">
          <Strip frames={frames} />
        </div>
        <Figures figures={figures} class="changing" />
        {task.waits_for?.length > 0 && (
          <p class="note">
            {t.dependsOn}{" "}
            {task.waits_for.map((id) => (
              <a key={id} href={`/app/tasks/${id}`}>
                #{id}{" "}
              </a>
            ))}
          </p>
        )}
        {!isOpen(task) && frames.pending > 0 && <p class="note">{t.pendingEnded(frames.pending)}</p>}
        {task.deleted_dependencies?.map((deleted) => (
          <p key={deleted} class="note">
            {t.deletedDependency(deleted)}{" "}
            {mayChange && (
              <button type="button" class="button" onClick={() => drop(task.id, deleted)}>
                {t.dropDependency}
              </button>
            )}
          </p>
        ))}
        {task.error && <p class="note bad-note">{task.error}</p>}
        {task.warnings && <Warnings warnings={task.warnings} />}
        {task.outdated_source !== undefined && (
          <p class="note bad-note">{t.outdated(task.outdated_source, task.outdated_frames)}</p>
        )}
        <ExpiryNote task={task} mayChange={mayChange} />
        <HistoryNotes tasks={[task]} />
      </div>
    </>
  );
}
