/**
 * The download of a task's files: one by one into a folder, where the browser can, or as archives,
 * of which each is one link.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { archiveParts, type ArchivePart } from "../../protocol/archive.ts";
import type { Task } from "../../protocol/task.ts";
import { canPickFolder, pickFolder } from "../download/folder.ts";
import { listFiles, type TaskFile } from "../download/list-files.ts";
import { FileSaver, type Saved, type SaveProgress } from "../download/save-files.ts";
import { withQuery } from "../lib/api.ts";
import { messageOf } from "../lib/problem.ts";
import { Dialog } from "../parts/controls.tsx";
import { text } from "../text.ts";
import { HaveFiles, tellDownloaded } from "./task-retention.tsx";
import "./download-dialog.css";

/** Failures that are named; more than these are counted. */
const NAMED_FAILURES = 20;

interface Props {
  task: Task;
  /** Ascending frame lists; null for all frames. */
  frames: readonly string[] | null;
  /** Whether the viewer may say that all files were downloaded. */
  mayTell: boolean;
  onClose: () => void;
}

export function DownloadDialog({ task, frames, mayTell, onClose }: Props) {
  const t = text.download;
  const taskId = task.id;
  // Of the files that are listed below. Those of a part of the frames are never all.
  const version = useRef(mayTell && frames === null ? task.files_version : undefined).current;
  const listed = useSignal(0);
  const files = useSignal<readonly TaskFile[] | null>(null);
  const wrong = useSignal<string | null>(null);
  useEffect(() => {
    const asking = new AbortController();
    listFiles(taskId, frames, (n) => (listed.value = n), asking.signal).then(
      (all) => (files.value = all),
      (thrown: unknown) => {
        if (!asking.signal.aborted) wrong.value = messageOf(thrown);
      },
    );
    return () => asking.abort();
  }, []);
  const all = files.value;
  return (
    <Dialog title={t.title} onClose={onClose}>
      {wrong.value !== null ? (
        <p class="note bad-note" role="alert">
          {wrong.value}
        </p>
      ) : all === null ? (
        <p class="quiet">{t.listing(listed.value)}</p>
      ) : all.length === 0 ? (
        <p>{t.none}</p>
      ) : (
        <div class="stack">
          <p>
            {t.all(
              all.length,
              all.reduce((sum, { size }) => sum + size, 0),
            )}
          </p>
          {canPickFolder() ? (
            <IntoFolder taskId={taskId} files={all} version={version} />
          ) : (
            <p class="quiet small">{isSecureContext ? t.noFolder : t.noFolderPlain}</p>
          )}
          <Archives taskId={taskId} parts={archiveParts(all)} />
          <HaveFiles task={task} version={version} />
        </div>
      )}
      <div class="actions">
        <button type="button" class="button" onClick={onClose}>
          {text.close}
        </button>
      </div>
    </Dialog>
  );
}

/** A button that saves the files into a folder, with the progress and the outcome. */
function IntoFolder({
  taskId,
  files,
  version,
}: {
  taskId: number;
  files: readonly TaskFile[];
  version: string | undefined;
}) {
  const t = text.download;
  const progress = useSignal<SaveProgress | null>(null);
  const outcome = useSignal<Saved | string | null>(null);
  const saver = useRef<FileSaver | null>(null);
  useEffect(() => () => saver.current?.stop(), []);
  const save = async (): Promise<void> => {
    outcome.value = null;
    try {
      const folder = await pickFolder();
      if (!folder) return;
      saver.current = new FileSaver((now) => (progress.value = now));
      const saved = await saver.current.save(folder, taskId, files);
      outcome.value = saved;
      // Files that were there already were not read again, so only a person can say that they are right.
      if (version !== undefined && saved.failures.length === 0 && saved.present === 0)
        await tellDownloaded(taskId, version).catch(() => undefined);
    } catch (thrown) {
      const stopped = thrown instanceof DOMException && thrown.name === "AbortError";
      outcome.value = stopped ? t.stopped : t.broken(messageOf(thrown));
    } finally {
      progress.value = null;
      saver.current = null;
    }
  };
  const now = progress.value;
  return (
    <div class="stack close">
      {now === null ? (
        <div class="actions">
          <button type="button" class="button main" onClick={() => void save()}>
            {t.folder}
          </button>
        </div>
      ) : (
        <div class="transfer-row">
          <div class="transfer">
            <progress aria-label={t.bar} max={Math.max(1, now.total)} value={now.done} />
            <span>
              {t.saving(now.done, now.total, now.files, files.length)}
              {now.retrying && ` · ${t.retrying}`}
            </span>
          </div>
          <button type="button" class="button" onClick={() => saver.current?.stop()}>
            {t.stop}
          </button>
        </div>
      )}
      <p class="quiet small">{t.folderLead}</p>
      <div role="status">{outcome.value !== null && <Outcome outcome={outcome.value} />}</div>
    </div>
  );
}

function Outcome({ outcome }: { outcome: Saved | string }) {
  const t = text.download;
  if (typeof outcome === "string") return <p class="note bad-note">{outcome}</p>;
  const { saved, present, failures } = outcome;
  return (
    <div class="stack close">
      <p>{t.done(saved, present)}</p>
      {failures.length > 0 && (
        <div class="note bad-note">
          <p>{t.failed(failures.length)}</p>
          <ul>
            {failures.slice(0, NAMED_FAILURES).map(({ path, reason }) => (
              <li key={path}>
                {path}: {reason}
              </li>
            ))}
          </ul>
          {failures.length > NAMED_FAILURES && <p>{t.more(failures.length - NAMED_FAILURES)}</p>}
        </div>
      )}
    </div>
  );
}

/** A link for each archive. A part of one file is that file. */
function Archives({ taskId, parts }: { taskId: number; parts: readonly ArchivePart[] }) {
  const t = text.download;
  const address = ({ files, first, frames }: ArchivePart): string =>
    files === 1 ? `/tasks/${taskId}/frames/${first}/file` : withQuery(`/tasks/${taskId}/zip`, { frames });
  const [only] = parts;
  return (
    <div class="stack close">
      {parts.length === 1 && only ? (
        <div class="actions">
          <a class="button" href={address(only)} download>
            {t.archive}
          </a>
        </div>
      ) : (
        <>
          <p>{t.archivesLead(parts.length)}</p>
          <ul class="archives">
            {parts.map((part) => (
              <li key={part.first}>
                <a href={address(part)} download>
                  {t.part(part.first, part.last, part.bytes)}
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
      <p class="quiet small">{t.archiveLead}</p>
    </div>
  );
}
