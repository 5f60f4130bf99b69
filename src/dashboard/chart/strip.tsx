/**
 * A canvas of one row. `draw` paints it, again after every change of data, colours or width, in
 * device pixels.
 */
import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { theme } from "../lib/theme.ts";

interface StripProps {
  height: number;
  label: string;
  /** Draw into `width` × `height` CSS pixels. */
  draw: (context: CanvasRenderingContext2D, width: number, height: number) => void;
  /** Called for a click at `x`. */
  onPick?: (x: number, width: number) => void;
}

export function StripCanvas({ height, label, draw, onPick }: StripProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(draw);
  latest.current = draw;
  const paint = (): void => {
    const element = canvas.current;
    const width = element?.parentElement?.clientWidth ?? 0;
    if (!element || width === 0) return;
    element.width = Math.round(width * devicePixelRatio);
    element.height = Math.round(height * devicePixelRatio);
    const context = element.getContext("2d")!;
    context.scale(devicePixelRatio, devicePixelRatio);
    latest.current(context, width, height);
  };
  useEffect(() => {
    const sizes = new ResizeObserver(paint);
    sizes.observe(canvas.current!.parentElement!);
    return () => sizes.disconnect();
  }, []);
  useEffect(paint);
  useSignalEffect(() => {
    void theme.value;
    paint();
  });
  return (
    <span class="strip-canvas" style={{ height: `${height}px` }}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={label}
        onClick={(event) => onPick?.(event.offsetX, event.currentTarget.clientWidth)}
        style={{ cursor: onPick ? "pointer" : "default" }}
      />
    </span>
  );
}
