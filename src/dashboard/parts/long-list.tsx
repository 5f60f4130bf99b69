/**
 * Rows of one height, of which only those in the window exist: ten thousand workers scroll as ten do. Rows keep their place
 * in the page's own scrolling, so that find, keys and phones behave as they do everywhere.
 */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Below this many, all rows are there. */
const ALL_UP_TO = 60;
const SPARE_ROWS = 8;

interface LongListProps<T> {
  items: readonly T[];
  keyOf: (item: T) => number;
  /** Of a row, in pixels. */
  height: number;
  label: string;
  columns: string;
  titles: readonly ComponentChildren[];
  row: (item: T) => ComponentChildren;
}

/** `row` answers with the row's cells: elements with the role `cell`. */
export function LongList<T>({ items, keyOf, height, label, columns, titles, row }: LongListProps<T>) {
  const body = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState({ from: 0, to: ALL_UP_TO });
  const long = items.length > ALL_UP_TO;
  useEffect(() => {
    if (!long) return;
    let waiting = 0;
    const measure = (): void => {
      waiting = 0;
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const from = Math.max(0, Math.floor(-top / height) - SPARE_ROWS);
      const to = Math.max(0, Math.ceil((innerHeight - top) / height)) + SPARE_ROWS;
      setRange((before) => (before.from === from && before.to === to ? before : { from, to }));
    };
    const later = (): void => {
      waiting ||= requestAnimationFrame(measure);
    };
    measure();
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    return () => {
      cancelAnimationFrame(waiting);
      removeEventListener("scroll", later);
      removeEventListener("resize", later);
    };
  }, [long, height]);
  const from = long ? Math.min(range.from, items.length) : 0;
  const to = long ? Math.min(range.to, items.length) : items.length;
  const style = { gridTemplateColumns: columns };
  return (
    <div
      role="table"
      aria-label={label}
      aria-rowcount={items.length + 1}
      class="rows"
      style={{ "--row": `${height}px` }}
    >
      <div role="rowgroup" class="titles-group">
        <div role="row" class="row titles" aria-rowindex={1} style={style}>
          {titles}
        </div>
      </div>
      <div
        role="rowgroup"
        ref={body}
        style={{ paddingTop: `${from * height}px`, paddingBottom: `${(items.length - to) * height}px` }}
      >
        {items.slice(from, to).map((item, index) => (
          <div role="row" class="row fixed" key={keyOf(item)} aria-rowindex={from + index + 2} style={style}>
            {row(item)}
          </div>
        ))}
      </div>
    </div>
  );
}

/** A column's title. */
export function title(words: string, end = false) {
  return (
    <span role="columnheader" class={end ? "num" : ""} key={words}>
      {words}
    </span>
  );
}
