/** What is wrong with the history of tasks: it is not written, or events of it were lost. */
import type { TaskSummary } from "../../protocol/task.ts";
import { text } from "../text.ts";
import { historyFailureOf } from "./farm-rules.ts";

export function HistoryNotes({ tasks }: { tasks: Iterable<Pick<TaskSummary, "history_failure">> }) {
  const failure = historyFailureOf(tasks);
  if (!failure) return null;
  const t = text.history;
  return (
    <>
      {failure.since_ms !== null && (
        <p class="note bad-note">{t.failing(failure.since_ms, failure.reason ?? text.none)}</p>
      )}
      {failure.dropped > 0 && <p class="note bad-note">{t.dropped(failure.dropped)}</p>}
    </>
  );
}
