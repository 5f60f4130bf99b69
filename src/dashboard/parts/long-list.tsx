/**
 * A table of rows of one height, of which only those near the window exist: ten thousand workers
 * scroll as easily as ten. The rows keep their place in the page's own scrolling, so that "find",
 * keys and phones behave as everywhere.
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** One column of a list. A new column is one new entry in the list of columns. */
export interface Column<T> {
  title: string;
  /** The title is for screen readers: the column is too narrow for it. */
  hideTitle?: boolean;
  /** A track of `grid-template-columns`. */
  width: string;
  /** Align title and cells at the end, for numbers. */
  end?: boolean;
  /** Further classes of the cells. */
  class?: string;
  cell: (item: T) => ComponentChildren;
}

/** A list of up to this many rows has all of them, and measures nothing while the page scrolls. */
const ALL_UP_TO = 60;
/** Rows that exist above and below the window. With fewer, fast scrolling would show blank rows. */
const SPARE_ROWS = 8;

interface LongListProps<T> {
  items: readonly T[];
  keyOf: (item: T) => number;
  /** Of a row, in pixels. */
  height: number;
  label: string;
  columns: readonly Column<T>[];
}

/** Tracks of a row for these columns. */
export function tracksOf(columns: readonly { width: string }[]): string {
  return columns.map((column) => column.width).join(" ");
}

/** The titles of these columns, for a row with the role `row`. */
export function titlesOf(columns: readonly Pick<Column<never>, "title" | "end" | "hideTitle">[]) {
  return columns.map(({ title, end, hideTitle }) => (
    <span role="columnheader" class={end ? "num" : ""} key={title}>
      {hideTitle ? <span class="hidden-text">{title}</span> : title}
    </span>
  ));
}

/**
 * The cells of one item, for a row with the role `row`. A function and no component, as the cells
 * should be: a component for each cell would make fast scrolling stutter.
 */
export function cellsOf<T>(columns: readonly Column<T>[], item: T) {
  return columns.map(({ title, end, class: more = "", cell }) => (
    <span role="cell" class={end ? `${more} num` : more} key={title}>
      {cell(item)}
    </span>
  ));
}

export function LongList<T>({ items, keyOf, height, label, columns }: LongListProps<T>) {
  const body = useRef<HTMLDivElement>(null);
  const first = useSignal(0);
  const end = useSignal(ALL_UP_TO);
  const long = items.length > ALL_UP_TO;
  useEffect(() => {
    if (!long) return;
    let waiting = 0;
    const measure = (): void => {
      waiting = 0;
      const top = body.current?.getBoundingClientRect().top ?? 0;
      first.value = Math.max(0, Math.floor(-top / height) - SPARE_ROWS);
      end.value = Math.max(0, Math.ceil((innerHeight - top) / height)) + SPARE_ROWS;
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
  const from = long ? Math.min(first.value, items.length) : 0;
  const to = long ? Math.min(end.value, items.length) : items.length;
  const style = { gridTemplateColumns: tracksOf(columns) };
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
          {titlesOf(columns)}
        </div>
      </div>
      <div
        role="rowgroup"
        ref={body}
        style={{ paddingTop: `${from * height}px`, paddingBottom: `${(items.length - to) * height}px` }}
      >
        {items.slice(from, to).map((item, index) => (
          <div role="row" class="row fixed" key={keyOf(item)} aria-rowindex={from + index + 2} style={style}>
            {cellsOf(columns, item)}
          </div>
        ))}
      </div>
    </div>
  );
}
