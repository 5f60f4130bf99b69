/**
 * The grid of frames: a canvas to look at, and a slider for keys and screen readers. The slider's
 * value is the frame with the cursor, and its text says the state of that frame. Shift with an
 * arrow key selects a range.
 */
import { useComputed, useSignalEffect, type ReadonlySignal, type Signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { FrameState } from "../../protocol/task.ts";
import { theme } from "../lib/theme.ts";
import { text } from "../text.ts";
import type { FrameMap } from "../lib/frame-map.ts";
import { GridView } from "./grid-view.ts";
import { cellAt, fittingPitch, moved } from "./layout.ts";
import type { Selection } from "../lib/selection.ts";
import "./grid.css";

interface FrameGridProps {
  map: ReadonlySignal<FrameMap | null>;
  /** Rises when frames of the map changed. */
  version: ReadonlySignal<number>;
  selection: Selection;
  /** The states that are shown; an empty set shows all. */
  filter: ReadonlySignal<ReadonlySet<FrameState>>;
  /** From one cell to the next, in pixels; null for the largest size with which all cells fit. */
  pitch: Signal<number | null>;
  onOpen?: (frame: number) => void;
}

export function FrameGrid({ map, version, selection, filter, pitch, onOpen }: FrameGridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const spacer = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const ring = useRef<HTMLDivElement>(null);
  const view = useRef<GridView | null>(null);
  const visible = useComputed(() => {
    // The filter reads the states, which change in place: `version` says when.
    void version.value;
    return map.value?.filter(filter.value) ?? null;
  });
  const seen = useRef<Uint32Array | null>(null);

  const cellOf = (index: number): number => (seen.current === null ? index : lowerBound(seen.current, index));
  const placeRing = (): void => {
    const grid = view.current;
    if (!ring.current || !grid) return;
    const { columns, pitch: size, cells } = grid.layout;
    const cell = Math.min(cellOf(selection.cursor.peek()), cells - 1);
    ring.current.hidden = cell < 0;
    ring.current.style.transform = `translate(${(cell % columns) * size}px, ${Math.floor(cell / columns) * size}px)`;
    ring.current.style.width = `${size - 1}px`;
    ring.current.style.height = `${size - 1}px`;
  };

  const show = (): void => {
    const frames = map.value;
    const grid = view.current;
    void version.value;
    void selection.version.value;
    if (!frames || !grid) return;
    selection.fit(frames.total);
    seen.current = visible.value;
    const cells = seen.current?.length ?? frames.total;
    const box = scroller.current!;
    const fitting = fittingPitch(frames.total, box.clientWidth, 420);
    grid.show({ map: frames, mask: selection.mask, visible: seen.current, pitch: pitch.value ?? fitting });
    box.dataset["cells"] = String(cells);
    placeRing();
  };
  // A layout effect, because it runs before the browser paints: the views below would jump when the
  // grid gets its height.
  useLayoutEffect(() => {
    const grid = new GridView(scroller.current!, spacer.current!, canvas.current!, placeRing);
    view.current = grid;
    // The end-to-end test of the grid reads layout and painting times from here.
    Object.assign(scroller.current!, { gridView: grid });
    show();
    return () => grid.close();
  }, []);
  useSignalEffect(show);
  useSignalEffect(() => {
    void theme.value;
    view.current?.recolor();
  });
  useSignalEffect(() => {
    void selection.cursor.value;
    placeRing();
  });

  const pointed = (event: PointerEvent, nearest: boolean): number => {
    const box = canvas.current!.getBoundingClientRect();
    const top = scroller.current!.scrollTop;
    return cellAt(view.current!.layout, event.clientX - box.left, event.clientY - box.top + top, nearest);
  };
  const indexOf = (cell: number): number => (seen.current === null ? cell : seen.current[cell]!);

  const onPointerDown = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    const cell = pointed(event, false);
    if (cell < 0) return;
    if (event.shiftKey) {
      selection.extend(cell, seen.current);
      return;
    }
    // A finger scrolls, so it cannot draw a range; a tap moves the cursor.
    if (event.pointerType === "touch") {
      selection.moveTo(indexOf(cell), cell);
      return;
    }
    selection.begin(indexOf(cell), cell, event.ctrlKey || event.metaKey);
    scroller.current!.setPointerCapture(event.pointerId);
    dragged.current = cell;
  };
  const dragged = useRef(-1);
  const onPointerMove = (event: PointerEvent): void => {
    if (dragged.current < 0 || !scroller.current!.hasPointerCapture(event.pointerId)) return;
    const cell = pointed(event, true);
    if (cell < 0 || cell === dragged.current) return;
    dragged.current = cell;
    selection.extend(cell, seen.current);
    view.current!.reveal(cell);
  };
  const onPointerUp = (): void => {
    dragged.current = -1;
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const frames = map.value;
    const grid = view.current;
    if (!frames || !grid || event.altKey || event.ctrlKey || event.metaKey) return;
    const cell = cellOf(selection.cursor.value);
    const page = Math.floor(scroller.current!.clientHeight / grid.layout.pitch);
    const to = moved(grid.layout, cell, event.key, page);
    if (to !== null) {
      if (event.shiftKey) selection.extend(to, seen.current);
      else selection.moveTo(indexOf(to), to);
      grid.reveal(to);
    } else if (event.key === "Escape" && selection.size.value > 0) selection.clear();
    else if (event.key === " ") selection.extend(cell, seen.current);
    else if (event.key === "f" || event.key === "F") jumpToFailed(frames, event.shiftKey ? -1 : 1);
    else if (event.key === "Enter") onOpen?.(frames.frameAt(selection.cursor.value));
    else return;
    event.preventDefault();
  };
  const jumpToFailed = (frames: FrameMap, step: 1 | -1): void => {
    const index = frames.nextIn("failed", selection.cursor.value, step);
    if (index < 0) return;
    selection.moveTo(index, cellOf(index));
    view.current!.reveal(cellOf(index));
  };

  const frames = map.value;
  void version.value;
  const index = selection.cursor.value;
  const frame = frames?.frameAt(index) ?? 0;
  return (
    <div
      ref={scroller}
      class="grid"
      role="slider"
      tabIndex={0}
      aria-label={text.grid.label}
      aria-describedby="grid-keys"
      aria-orientation="horizontal"
      aria-valuemin={frames?.frameAt(0) ?? 0}
      aria-valuemax={frames?.frameAt(frames.total - 1) ?? 0}
      aria-valuenow={frame}
      aria-valuetext={
        frames ? text.grid.value(frame, text.frameState[frames.stateAt(index)], selection.mask[index] === 1) : ""
      }
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerUp}
      onKeyDown={onKeyDown}
      onDblClick={() => onOpen?.(frame)}
    >
      <div ref={spacer} class="grid-space">
        <canvas ref={canvas} aria-hidden="true" />
        <div ref={ring} class="grid-ring" hidden />
      </div>
    </div>
  );
}

/** The position of the first entry that is at least `wanted`, in an ascending list. */
function lowerBound(list: Uint32Array, wanted: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
