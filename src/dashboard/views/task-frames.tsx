/** The frames of a task: the grid, its filter and zoom, and the actions on the selected frames. */
import { useSignal } from "@preact/signals";
import { NamedRequeue } from "../../protocol/named-requeue.ts";
import type { FrameState } from "../../protocol/task.ts";
import { FrameGrid } from "../grid/frame-grid.tsx";
import { STATES } from "../lib/frame-map.ts";
import { fittingPitch, PITCHES } from "../grid/layout.ts";
import type { Selection } from "../lib/selection.ts";
import { call } from "../lib/api.ts";
import { requeueCalls } from "../lib/requeue-calls.ts";
import { count } from "../lib/format.ts";
import type { LiveTask } from "../lib/live-task.ts";
import { Confirm } from "../parts/controls.tsx";
import { Icon } from "../parts/icons.tsx";
import { Mark } from "../parts/marks.tsx";
import { narrow } from "../parts/narrow.ts";
import { attempt, say } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { DownloadDialog } from "./download-dialog.tsx";

interface Props {
  live: LiveTask;
  taskId: number;
  selection: Selection;
  /** Whether the frames may be changed. */
  mayChange: boolean;
  /** Whether the viewer may download many files at once. */
  mayDownload: boolean;
  onOpen: () => void;
}

export function TaskFrames({ live, taskId, selection, mayChange, mayDownload, onOpen }: Props) {
  const t = text.grid;
  const filter = useSignal<ReadonlySet<FrameState>>(new Set());
  const pitch = useSignal<number | null>(null);
  const list = useSignal("");
  /** The frames whose download is open. */
  const downloading = useSignal<readonly string[] | null>(null);
  const map = live.map.value;
  void live.version.value;
  /** The requeue of finished frames that waits for a yes. */
  const asked = useSignal<{ requeue: NamedRequeue; size: number } | null>(null);
  const skip = async (): Promise<void> => {
    if (!map) return;
    const size = selection.size.value;
    const lists = map.lists(selection.mask);
    const done = await attempt(async () => {
      for (const frames of lists) await call("PATCH", `/tasks/${taskId}`, { body: { status: "skip", frames } });
    });
    if (!done) return;
    say(t.skipped(size));
    selection.clear();
  };
  const send = async (requeue: NamedRequeue, size: number): Promise<void> => {
    if (!(await attempt(async () => await requeue.send()))) return;
    say(t.requeued(size));
    selection.clear();
  };
  const requeue = async (): Promise<void> => {
    if (!map) return;
    const size = selection.size.value;
    const lists = map.lists(selection.mask);
    await attempt(async () => {
      // The manager is asked which frames are finished: this page may be older than it looks.
      const requeue = await NamedRequeue.read(requeueCalls(taskId), lists);
      if (requeue.finished > 0) asked.value = { requeue, size };
      else await send(requeue, size);
    });
  };
  const zoom = (step: 1 | -1): void => {
    if (!map) return;
    const width = document.querySelector<HTMLElement>(".grid")?.clientWidth ?? 800;
    const now = pitch.value ?? fittingPitch(map.total, width, 420);
    const at = PITCHES.findIndex((size) => size === now) + step;
    pitch.value = PITCHES[Math.max(0, Math.min(PITCHES.length - 1, at))]!;
  };
  const toggle = (state: FrameState): void => {
    const next = new Set(filter.value);
    if (!next.delete(state)) next.add(state);
    filter.value = next;
  };
  const confirmed = (of: { requeue: NamedRequeue; size: number }) => () => void send(of.requeue, of.size);
  const selected = selection.size.value;
  const hiddenAll =
    filter.value.size > 0 &&
    map !== null &&
    STATES.every((state, byte) => !filter.value.has(state) || map.counts[byte] === 0);
  return (
    <section class="sheet" aria-labelledby="frames-title">
      <div class="sheet-head">
        <h2 id="frames-title">{text.task.frames}</h2>
        <div class="legend" role="group" aria-label={t.filter}>
          {STATES.map((state, byte) => (
            <button
              type="button"
              key={state}
              class="button little"
              aria-pressed={filter.value.has(state)}
              onClick={() => toggle(state)}
            >
              <Mark kind={state} />
              {text.frameState[state]} {count(map?.counts[byte] ?? 0)}
            </button>
          ))}
        </div>
        <div class="zoom">
          <button
            type="button"
            class="button icon little"
            aria-label={t.smaller}
            title={t.smaller}
            onClick={() => zoom(-1)}
          >
            <Icon name="minus" />
          </button>
          <button
            type="button"
            class="button icon little"
            aria-label={t.larger}
            title={t.larger}
            onClick={() => zoom(1)}
          >
            <Icon name="plus" />
          </button>
        </div>
      </div>
      <div class="sheet-body stack close">
        <FrameGrid
          map={live.map}
          version={live.version}
          selection={selection}
          filter={filter}
          pitch={pitch}
          onOpen={onOpen}
        />
        {hiddenAll && <p class="quiet">{t.empty}</p>}
        <p id="grid-keys" class="quiet small">
          <span aria-hidden="true">{narrow.value ? t.keysTouch : t.keysShort}</span>
          <span class="hidden-text">{t.keys}</span>
        </p>
        {(mayChange || mayDownload) && (
          <div class="selection-bar">
            <form
              class="list-field"
              onSubmit={(event) => {
                event.preventDefault();
                if (map && !selection.selectList(map, list.value)) say(t.noSuch);
              }}
            >
              <input
                class="input"
                aria-label={t.list}
                placeholder={t.listHint}
                value={list.value}
                onInput={(event) => (list.value = event.currentTarget.value)}
              />
              <button type="submit" class="button">
                {t.select}
              </button>
            </form>
            {(map?.counts[3] ?? 0) > 0 && (
              <button type="button" class="button" onClick={() => map && selection.selectState(map, "failed")}>
                {t.selectFailed}
              </button>
            )}
            <span class={selected > 0 ? "strong" : "quiet"} role="status">
              {selected > 0 ? t.selected(selected) : t.nothingSelected}
            </span>
            <div class="actions">
              {mayChange && (
                <>
                  <button type="button" class="button" disabled={selected === 0} onClick={() => void requeue()}>
                    {t.requeue}
                  </button>
                  <button type="button" class="button" disabled={selected === 0} onClick={() => void skip()}>
                    {t.skip}
                  </button>
                </>
              )}
              {mayDownload && selected > 0 && map?.anyIn("done", selection.mask) && (
                <button type="button" class="button" onClick={() => (downloading.value = map.lists(selection.mask))}>
                  {t.download}
                </button>
              )}
              {selected > 0 && (
                <button type="button" class="button plain" onClick={() => selection.clear()}>
                  {t.clear}
                </button>
              )}
            </div>
          </div>
        )}
        {asked.value !== null && (
          <Confirm
            title={t.requeueFinished}
            words={t.requeueSure(asked.value.requeue.finished, live.task.value?.format !== "")}
            action={t.requeueAgain}
            onClose={() => (asked.value = null)}
            onYes={confirmed(asked.value)}
          />
        )}
        {downloading.value !== null && live.task.value && (
          <DownloadDialog
            task={live.task.value}
            frames={downloading.value}
            mayTell={false}
            onClose={() => (downloading.value = null)}
          />
        )}
      </div>
    </section>
  );
}
