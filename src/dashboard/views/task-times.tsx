/** Seconds per frame: one row per worker, one dot per frame, and the outliers as buttons. */
import { useComputed } from "@preact/signals";
import { outliersOf, ticksTo, timesByWorker, type WorkerTimes } from "../chart/statistics.ts";
import { StripCanvas } from "../chart/strip.tsx";
import { workerName } from "../lib/farm.ts";
import { count, duration } from "../lib/format.ts";
import type { FrameFacts } from "../lib/frame-facts.ts";
import { token } from "../lib/theme.ts";
import { WorkerLink } from "../parts/worker-link.tsx";
import { text } from "../text.ts";
import "../chart/chart.css";

/** Workers that are shown; more would be too many canvases to draw. */
const ROWS = 24;
const OUTLIERS = 12;
const HEIGHT = 28;

interface Props {
  facts: FrameFacts;
  onFrame: (index: number) => void;
}

/**
 * A vertical offset for the dot of a frame, always the same, so that dots of equal times do not
 * hide each other.
 */
function jitter(index: number): number {
  return ((index * 0.618_034) % 1) - 0.5;
}

export function TaskTimes({ facts, onFrame }: Props) {
  const data = useComputed(() => {
    void facts.version.value;
    const times = timesByWorker(facts.worker, facts.seconds);
    const slowest = times.reduce((most, row) => Math.max(most, row.slowest), 0);
    return { times, ticks: ticksTo(slowest, 5), outliers: outliersOf(times, facts.seconds, OUTLIERS) };
  });
  const { times, ticks, outliers } = data.value;
  const end = ticks.at(-1)!;
  const far = new Set(outliers.map((outlier) => outlier.index));
  const t = text.times;
  if (times.length === 0) return <p class="empty">{facts.loading.value ? text.loading : t.none}</p>;
  const draw = (row: WorkerTimes) => (context: CanvasRenderingContext2D, width: number, height: number) => {
    context.fillStyle = token("line");
    for (const tick of ticks) context.fillRect(Math.min(width - 1, (tick / end) * width), 0, 1, height);
    context.fillStyle = token("done");
    context.globalAlpha = Math.max(0.15, Math.min(0.8, 60 / row.indexes.length));
    for (const index of row.indexes) {
      if (far.has(index)) continue;
      context.fillRect((facts.seconds[index]! / end) * width - 1, height / 2 + jitter(index) * (height - 10) - 1, 3, 3);
    }
    context.globalAlpha = 1;
    context.fillStyle = token("ink");
    context.fillRect((row.median / end) * width - 1, 3, 2, height - 6);
    context.strokeStyle = token("failed");
    context.lineWidth = 2;
    for (const index of row.indexes) {
      if (!far.has(index)) continue;
      context.beginPath();
      context.arc((facts.seconds[index]! / end) * width, height / 2, 4, 0, 7);
      context.stroke();
    }
  };
  const pick = (row: WorkerTimes, x: number, width: number): void => {
    const wanted = (x / width) * end;
    const near = row.indexes.reduce((best, index) =>
      Math.abs(facts.seconds[index]! - wanted) < Math.abs(facts.seconds[best]! - wanted) ? index : best,
    );
    onFrame(near);
  };
  return (
    <div class="stack close">
      <p class="quiet">{t.lead}</p>
      <div role="table" aria-label={t.chart}>
        <div role="row" class="chart-row titles">
          <span role="columnheader">{t.worker}</span>
          <span role="columnheader" class="num wide">
            {t.frames}
          </span>
          <span role="columnheader" class="num wide">
            {t.median}
          </span>
          <span role="columnheader" class="ticks" aria-label={t.chart}>
            {ticks.map((tick) => (
              <span key={tick} style={{ left: `${(100 * tick) / end}%` }}>
                {tick === 0 ? "0" : `${tick} s`}
              </span>
            ))}
          </span>
          <span role="columnheader" class="num">
            {t.slowest}
          </span>
        </div>
        {times.slice(0, ROWS).map((row) => {
          const name = workerName(row.worker);
          return (
            <div role="row" class="chart-row" key={row.worker}>
              <span role="cell" class="clip">
                <WorkerLink id={row.worker} />
              </span>
              <span role="cell" class="num wide">
                {count(row.indexes.length)}
              </span>
              <span role="cell" class="num wide">
                {duration(row.median)}
              </span>
              <span role="cell">
                <StripCanvas
                  height={HEIGHT}
                  label={`${name}: ${t.median} ${duration(row.median)}`}
                  draw={draw(row)}
                  onPick={(x, width) => pick(row, x, width)}
                />
              </span>
              <span role="cell" class="num">
                {duration(row.slowest)}
              </span>
            </div>
          );
        })}
      </div>
      {times.length > ROWS && <p class="quiet">{t.more(times.length - ROWS)}</p>}
      <h3>{t.outliers}</h3>
      {outliers.length === 0 ? (
        <p class="quiet">{t.noOutliers}</p>
      ) : (
        <div class="outliers">
          {outliers.map(({ index, worker, seconds }) => (
            <button type="button" class="button little" key={index} onClick={() => onFrame(index)}>
              {t.outlier(facts.map.frameAt(index), seconds, workerName(worker))}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
