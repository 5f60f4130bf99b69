/** When each worker rendered: one row per worker, one bar per frame. */
import { useComputed } from "@preact/signals";
import { renderedUntilMs, timesByWorker, type WorkerTimes } from "../chart/statistics.ts";
import { StripCanvas } from "../chart/strip.tsx";
import { workerName } from "../lib/farm.ts";
import { clock, count, counted, day } from "../lib/format.ts";
import type { FrameFacts } from "../lib/frame-facts.ts";
import { token } from "../lib/theme.ts";
import { WorkerLink } from "../parts/worker-link.tsx";
import { text } from "../text.ts";
import "../chart/chart.css";

/** Workers that are shown; more would be too many canvases to draw. */
const ROWS = 40;
const HEIGHT = 24;
const TICKS = 4;

interface Props {
  facts: FrameFacts;
  onFrame: (index: number) => void;
}

export function TaskTimeline({ facts, onFrame }: Props) {
  const data = useComputed(() => {
    void facts.version.value;
    const times = timesByWorker(facts.worker, facts.seconds);
    const ends = renderedUntilMs(times, facts.attempt, facts.seconds, facts.committedMs);
    let from = Infinity;
    let to = 0;
    for (const { indexes } of times) {
      for (const index of indexes) {
        const end = ends[index]!;
        to = Math.max(to, end);
        from = Math.min(from, end - facts.seconds[index]! * 1_000);
      }
    }
    return { times, ends, from, span: Math.max(1_000, to - from) };
  });
  const { times, ends, from, span } = data.value;
  const t = text.timeline;
  if (times.length === 0) return <p class="empty">{facts.loading.value ? text.loading : t.none}</p>;
  const draw = (row: WorkerTimes) => (context: CanvasRenderingContext2D, width: number, height: number) => {
    context.fillStyle = token("line");
    for (let tick = 0; tick <= TICKS; tick++)
      context.fillRect(Math.min(width - 1, (tick / TICKS) * width), 0, 1, height);
    const scale = width / span;
    context.fillStyle = token("done");
    for (const index of row.indexes) {
      const end = (ends[index]! - from) * scale;
      const long = facts.seconds[index]! * 1_000 * scale;
      // A gap of one pixel between two frames, where the bars are wide enough.
      context.fillRect(end - long, 4, Math.max(0.5, long > 3 ? long - 1 : long), height - 8);
    }
  };
  const pick = (row: WorkerTimes, x: number, width: number): void => {
    const wanted = from + (x / width) * span;
    const distance = (index: number): number => {
      const end = ends[index]!;
      const begin = end - facts.seconds[index]! * 1_000;
      return wanted < begin ? begin - wanted : wanted > end ? wanted - end : 0;
    };
    onFrame(row.indexes.reduce((best, index) => (distance(index) < distance(best) ? index : best)));
  };
  const long = span > 20 * 3_600_000;
  return (
    <div class="stack close">
      <p class="quiet">{t.lead}</p>
      <div role="table" aria-label={t.chart}>
        <div role="row" class="chart-row time titles">
          <span role="columnheader">{text.times.worker}</span>
          <span role="columnheader" class="num wide">
            {text.times.frames}
          </span>
          <span role="columnheader" class="ticks" aria-label={t.chart}>
            {Array.from({ length: TICKS + 1 }, (_, tick) => (
              <span key={tick} class={tick % 2 === 1 ? "wide" : ""} style={{ left: `${(100 * tick) / TICKS}%` }}>
                {(long ? day : clock)(from + (span * tick) / TICKS)}
              </span>
            ))}
          </span>
        </div>
        {times.slice(0, ROWS).map((row) => {
          const name = workerName(row.worker);
          return (
            <div role="row" class="chart-row time" key={row.worker}>
              <span role="cell" class="clip">
                <WorkerLink id={row.worker} />
              </span>
              <span role="cell" class="num wide">
                {count(row.indexes.length)}
              </span>
              <span role="cell">
                <StripCanvas
                  height={HEIGHT}
                  label={`${name}: ${counted(row.indexes.length, "frame")}`}
                  draw={draw(row)}
                  onPick={(x, width) => pick(row, x, width)}
                />
              </span>
            </div>
          );
        })}
      </div>
      {times.length > ROWS && <p class="quiet">{text.times.more(times.length - ROWS)}</p>}
    </div>
  );
}
