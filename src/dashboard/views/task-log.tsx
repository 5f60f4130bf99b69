/**
 * The log of a task: its end, live, or the lines of one attempt. Lines that read like errors are
 * marked.
 */
import { useComputed, useSignal, useSignalEffect, type Signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { LogPage } from "../../protocol/task.ts";
import { get, withQuery } from "../lib/api.ts";
import { workerName } from "../lib/farm.ts";
import { clock } from "../lib/format.ts";
import type { LogLine, LiveTask } from "../lib/live-task.ts";
import { attempt as tryTo } from "../parts/messages.tsx";
import { text } from "../text.ts";
import "./task-log.css";

/** Entries that are read when the view opens. */
const TAIL = 500;
/** The most entries that the manager sends in one answer. */
const PAGE = 10_000;
/**
 * Characters that are shown at first. The layout of megabytes of text would block the page for
 * seconds.
 */
const SHOWN = 200_000;
/** "Show older lines" shows this many times as many. */
const MORE = 4;
const WRONG = /\b(error|exception|traceback|fatal|failed|killed)\b/i;

/** The lines of one entry; those that read like an error are marked. */
function marked(said: string): VNode[] {
  return said
    .trimEnd()
    .split("\n")
    .map((one, index) => (WRONG.test(one) ? <mark key={index}>{one}</mark> : <div key={index}>{one || " "}</div>));
}

/** Elements of lines that were rendered before: a growing log renders only its new lines. */
const drawn = new WeakMap<LogLine, VNode>();

function lineOf(line: LogLine): VNode {
  const known = drawn.get(line);
  if (known) return known;
  const made = (
    <div class="log-line" key={line.seq}>
      <span class="quiet">{clock(line.at_ms)}</span>
      <span class="quiet clip">{line.worker_id === null ? "" : workerName(line.worker_id)}</span>
      <pre>{WRONG.test(line.text) ? marked(line.text) : line.text.trimEnd()}</pre>
    </div>
  );
  drawn.set(line, made);
  return made;
}

/** The newest lines with at most so many characters in all, but at least one line. */
function newest(lines: readonly LogLine[], characters: number): readonly LogLine[] {
  let from = lines.length;
  for (let left = characters; from > 0; from--) {
    left -= lines[from - 1]!.text.length;
    if (left < 0 && from < lines.length) break;
  }
  return lines.slice(from);
}

/** The lines of one attempt. The whole log is read for that; the manager limits its size. */
async function linesOfAttempt(taskId: number, attempt: number): Promise<LogLine[]> {
  const found: LogLine[] = [];
  let after = 0;
  for (;;) {
    const page = await get<LogPage>(withQuery(`/tasks/${taskId}/log`, { after, limit: PAGE }));
    found.push(...page.lines.filter((line) => line.attempt === attempt));
    if (page.lines.length === 0 || page.next === after) return found;
    after = page.next;
  }
}

interface Props {
  live: LiveTask;
  taskId: number;
  /** The attempt whose lines are shown; null for the whole log. */
  attempt: Signal<number | null>;
}

export function TaskLogView({ live, taskId, attempt }: Props) {
  const t = text.log;
  const box = useRef<HTMLDivElement>(null);
  const follow = useSignal(true);
  const find = useSignal("");
  const dropped = useSignal(false);
  const loaded = useSignal(false);
  const ofAttempt = useSignal<readonly LogLine[] | null>(null);
  const lines = useComputed(() => {
    const all = attempt.value === null ? live.log.value : (ofAttempt.value ?? []);
    const words = find.value.toLowerCase();
    return words === "" ? all : all.filter((line) => line.text.toLowerCase().includes(words));
  });
  const room = useSignal(SHOWN);

  useEffect(() => {
    const abort = new AbortController();
    get<LogPage>(withQuery(`/tasks/${taskId}/log`, { tail: TAIL }), abort.signal).then(
      (page) => {
        live.addLog(page.lines);
        dropped.value = page.dropped;
        loaded.value = true;
      },
      () => (loaded.value = true),
    );
    return () => abort.abort();
  }, [taskId]);
  useSignalEffect(() => {
    const wanted = attempt.value;
    ofAttempt.value = null;
    if (wanted === null) return;
    follow.value = false;
    void tryTo(async () => {
      const found = await linesOfAttempt(taskId, wanted);
      if (attempt.peek() === wanted) ofAttempt.value = found;
    });
  });
  const ready = newest(lines.value, room.value);
  const older = lines.value.length > ready.length;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    if (attempt.value !== null) {
      // The last line that reads like an error is most often the reason why the attempt ended.
      const wrong = [...element.querySelectorAll<HTMLElement>("mark")].at(-1);
      element.scrollTop = wrong ? wrong.offsetTop - element.offsetTop - element.clientHeight / 3 : element.scrollHeight;
    } else if (follow.value) element.scrollTop = element.scrollHeight;
  }, [lines.value, follow.value]);

  const onScroll = (): void => {
    // A last scroll event may come after the element was removed.
    const element = box.current;
    if (!element) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
    if (follow.peek() !== atEnd && attempt.peek() === null) follow.value = atEnd;
  };
  return (
    <div class="stack close">
      <div class="actions">
        <label class="check">
          <input
            type="checkbox"
            checked={follow.value}
            disabled={attempt.value !== null}
            onChange={(event) => (follow.value = event.currentTarget.checked)}
          />
          {t.follow}
        </label>
        <input
          class="input search"
          type="search"
          placeholder={t.find}
          aria-label={t.find}
          value={find.value}
          onInput={(event) => (find.value = event.currentTarget.value)}
        />
        {attempt.value !== null && (
          <>
            <span>{t.ofAttempt(attempt.value)}</span>
            <button type="button" class="button little" onClick={() => (attempt.value = null)}>
              {t.showAll}
            </button>
          </>
        )}
        {dropped.value && <span class="quiet small">{t.dropped}</span>}
      </div>
      <div ref={box} class="log" role="log" aria-label={t.title} aria-live="off" tabIndex={0} onScroll={onScroll}>
        {ready.length === 0 ? (
          <p class="empty">
            {!loaded.value || (attempt.value !== null && ofAttempt.value === null)
              ? text.loading
              : find.value === ""
                ? t.empty
                : t.noMatch}
          </p>
        ) : (
          <>
            {older && (
              <p class="log-older">
                <button type="button" class="button little" onClick={() => (room.value *= MORE)}>
                  {t.older}
                </button>
              </p>
            )}
            {ready.map(lineOf)}
          </>
        )}
      </div>
    </div>
  );
}
