/** When a task is deleted by a rule, and what a person can say about it. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { isEnded } from "../../protocol/constants.ts";
import { daysOfText, FOREVER, type RetentionDays } from "../../protocol/retention.ts";
import type { Task } from "../../protocol/task.ts";
import { call, get } from "../lib/api.ts";
import { day, instant } from "../lib/format.ts";
import { TextField } from "../parts/fields.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";

type Expiry = Required<Pick<Task, "expires_ms" | "expires_by">>;

/**
 * When a rule deletes the task; null while none does. The task's socket does not know the farm's rule,
 * so the task is read once when it has ended, and again when something changes by which it expires.
 */
function useExpiry(task: Task): Expiry | null {
  const expiry = useSignal<Expiry | null>(null);
  const state = [task.ended_ms, task.downloaded_ms, task.retention_days, task.retention_after_download_days].join();
  const ended = isEnded(task.status);
  useEffect(() => {
    const abort = new AbortController();
    if (!ended) expiry.value = null;
    else
      get<Task>(`/tasks/${task.id}`, abort.signal).then(
        ({ expires_ms, expires_by }) =>
          (expiry.value = expires_ms == null ? null : { expires_ms, expires_by: expires_by ?? "farm" }),
        // The head shows no instant that is not known; the manager's trouble is shown elsewhere.
        () => undefined,
      );
    return () => abort.abort();
  }, [task.id, ended, state]);
  return expiry.value;
}

async function change(id: number, body: Record<string, RetentionDays | null>): Promise<void> {
  await call("PATCH", `/tasks/${id}`, { body });
}

/** A line in the head of a task that a rule will delete. */
export function ExpiryNote({ task, mayChange }: { task: Task; mayChange: boolean }) {
  const t = text.retention;
  const expiry = useExpiry(task);
  if (expiry?.expires_ms == null) return null;
  const keep = (): void =>
    void attempt(() => change(task.id, { retention_days: FOREVER, retention_after_download_days: FOREVER }), t.keptNow);
  return (
    <p class="note expiry" title={instant(expiry.expires_ms)}>
      <span>{t.expires(day(expiry.expires_ms), expiry.expires_by === "task")}</span>
      {mayChange && (
        <button type="button" class="button little" onClick={keep}>
          {t.keep}
        </button>
      )}
    </p>
  );
}

/**
 * A button with which a person says that all files are on a disk: of an archive, the browser does not
 * tell the page whether it was saved. `version`: of the files that were offered.
 */
export function HaveFiles({ task, version }: { task: Task; version: string | undefined }) {
  const t = text.retention;
  if (version === undefined || task.frames.done === 0 || task.format === "") return null;
  if (task.downloaded_ms != null) return <p class="quiet small">{t.downloaded(instant(task.downloaded_ms))}</p>;
  return (
    <div class="stack close">
      <div class="actions">
        <button
          type="button"
          class="button"
          onClick={() => void attempt(() => tellDownloaded(task.id, version), t.told)}
        >
          {t.haveFiles}
        </button>
      </div>
      <p class="quiet small">{t.haveFilesLead}</p>
    </div>
  );
}

/** Tell the manager that all files of this version are on a disk. Throws `ApiError`. */
export async function tellDownloaded(id: number, version: string): Promise<void> {
  await call("POST", `/tasks/${id}/downloaded`, { body: { files_version: version } });
}

function textOf(days: RetentionDays | null | undefined): string {
  return days == null ? "" : String(days);
}

/** The task's own rule, for its owner and admins. */
export function TaskRetention({ task }: { task: Task }) {
  const t = text.retention;
  const [days, after] = [useSignal(textOf(task.retention_days)), useSignal(textOf(task.retention_after_download_days))];
  const wrong = (value: string): string | undefined =>
    daysOfText(value) === undefined ? text.retention.rule : undefined;
  const save = async (): Promise<void> => {
    const [own, ownAfter] = [daysOfText(days.value), daysOfText(after.value)];
    if (own === undefined || ownAfter === undefined) return;
    await attempt(() => change(task.id, { retention_days: own, retention_after_download_days: ownAfter }), t.saved);
  };
  return (
    <div class="stack close">
      <h3>{t.title}</h3>
      <form
        class="stack close"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div class="fields">
          <TextField label={t.days} value={days} hint={t.hint} error={wrong(days.value)} class="input" />
          <TextField label={t.afterDownload} value={after} hint={t.hint} error={wrong(after.value)} class="input" />
        </div>
        <div class="actions">
          <button type="submit" class="button">
            {text.save}
          </button>
        </div>
      </form>
      <HaveFiles task={task} version={task.files_version} />
    </div>
  );
}
