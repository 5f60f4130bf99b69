/**
 * The player of previews. It never loads full frames, and follows the newest preview until the
 * viewer scrubs, plays, or goes to a frame elsewhere on the page.
 */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "../parts/icons.tsx";
import { PreviewStore } from "../lib/previews.ts";
import type { LiveTask } from "../lib/live-task.ts";
import type { Selection } from "../lib/selection.ts";
import { text } from "../text.ts";
import "./preview-player.css";

const RATES = [6, 12, 24, 30] as const;
/**
 * Previews that are fetched ahead while it plays. With fewer, a slow line would make it stutter.
 */
const AHEAD = 8;

interface Props {
  live: LiveTask;
  taskId: number;
  selection: Selection;
}

export function PreviewPlayer({ live, taskId, selection }: Props) {
  const t = text.viewer;
  const canvas = useRef<HTMLCanvasElement>(null);
  const store = useRef<PreviewStore | null>(null);
  store.current ??= new PreviewStore(taskId);
  const follow = useSignal(true);
  const playing = useSignal(false);
  const rate = useSignal<number>(12);
  /** The frame to show. It is drawn once its preview has arrived, and `shown` follows then. */
  const wanted = useSignal<number | null>(null);
  const shown = useSignal<number | null>(null);
  const frames = useComputed(() => {
    void live.version.value;
    const map = live.map.value;
    const list: number[] = [];
    if (map) for (const [index, on] of live.previews.entries()) if (on) list.push(map.frameAt(index));
    return list;
  });

  // The frame that the viewer goes to in the grid, the charts or by keys is the one that is shown.
  useSignalEffect(() => {
    const map = live.map.value;
    if (selection.moves.value === 0 || !map) return;
    const frame = map.frameAt(selection.cursor.peek());
    if (playing.peek()) playing.value = false;
    follow.value = false;
    wanted.value = frame;
  });
  const isMissing = useComputed(() => {
    const frame = wanted.value;
    return frame !== null && frame !== shown.value && !frames.value.includes(frame);
  });
  useSignalEffect(() => {
    for (const frame of live.changed.value) store.current!.forget(frame.frame, frame.attempt);
  });
  useSignalEffect(() => {
    if (follow.value && live.newest.value !== null) wanted.value = live.newest.value;
  });
  useSignalEffect(() => {
    const frame = wanted.value;
    if (frame === null || isMissing.value) return;
    void store.current!.get(frame).then((image) => {
      // A preview that arrives late must not be drawn over the one that was wanted after it.
      if (!image || wanted.peek() !== frame || !canvas.current) return;
      canvas.current.width = image.naturalWidth;
      canvas.current.height = image.naturalHeight;
      canvas.current.getContext("2d")!.drawImage(image, 0, 0);
      shown.value = frame;
    });
  });
  useSignalEffect(() => {
    if (!playing.value) return;
    const timer = setInterval(() => {
      const list = frames.peek();
      const at = list.indexOf(wanted.peek() ?? -1);
      // Wait for a preview that is still being loaded, so that requests do not pile up.
      if (list.length === 0 || shown.peek() !== wanted.peek()) return;
      wanted.value = list[(at + 1) % list.length]!;
      for (let i = 2; i <= AHEAD; i++) void store.current!.get(list[(at + i) % list.length]!);
    }, 1_000 / rate.value);
    return () => clearInterval(timer);
  });
  useEffect(() => () => store.current!.close(), []);

  const list = frames.value;
  const at = Math.max(0, list.indexOf(wanted.value ?? -1));
  const scrub = (index: number): void => {
    follow.value = false;
    wanted.value = list[index] ?? null;
  };
  return (
    <section class="sheet viewer" aria-labelledby="viewer-title">
      <div class="sheet-head">
        <h2 id="viewer-title">{t.title}</h2>
        <span class="quiet">{list.length > 0 && wanted.value !== null ? t.frame(wanted.value, list.length) : ""}</span>
      </div>
      <div class="viewer-stage">
        <canvas
          ref={canvas}
          role="img"
          aria-label={shown.value === null ? t.none : t.alt(shown.value)}
          data-frame={shown.value ?? ""}
          hidden={shown.value === null || isMissing.value}
        />
        {isMissing.value && <p class="quiet">{t.noneOf(wanted.value!)}</p>}
        {shown.value === null && !isMissing.value && (
          <p class="quiet">
            {t.none}
            <br />
            {t.noneHint}
          </p>
        )}
      </div>
      <div class="viewer-bar">
        <button
          type="button"
          class="button icon"
          disabled={list.length < 2}
          aria-label={playing.value ? t.pause : t.play}
          title={playing.value ? t.pause : t.play}
          onClick={() => {
            playing.value = !playing.value;
            if (playing.value) follow.value = false;
          }}
        >
          <Icon name={playing.value ? "pause" : "play"} />
        </button>
        <input
          type="range"
          min={0}
          max={Math.max(0, list.length - 1)}
          value={at}
          disabled={list.length < 2}
          aria-label={t.scrub}
          aria-valuetext={list[at] === undefined ? t.none : text.task.frame(list[at])}
          onInput={(event) => {
            playing.value = false;
            scrub(Number(event.currentTarget.value));
          }}
        />
        <select
          class="input"
          aria-label={t.fps}
          title={t.fps}
          value={rate.value}
          onChange={(event) => (rate.value = Number(event.currentTarget.value))}
        >
          {RATES.map((value) => (
            <option key={value} value={value}>
              {value} fps
            </option>
          ))}
        </select>
      </div>
      <div class="viewer-bar">
        <label class="check small">
          <input
            type="checkbox"
            checked={follow.value}
            onChange={(event) => (follow.value = event.currentTarget.checked)}
          />
          {t.newest}
        </label>
        {wanted.value !== null && (
          <a class="small" href={`/tasks/${taskId}/frames/${wanted.value}/file`} target="_blank" rel="noreferrer">
            {t.full}
          </a>
        )}
      </div>
    </section>
  );
}
