/**
 * The grid's canvas. It paints the cells that are scrolled into view, at most once for each frame
 * of the screen. It uses no framework, because a component that renders for each cell would be too
 * slow for 100,000 frames.
 */
import { token } from "../lib/theme.ts";
import type { FrameMap } from "../lib/frame-map.ts";
import { layoutOf, type Layout } from "./layout.ts";
import { drawSprites, paint, type Palette, type Sprites } from "./sprites.ts";

/** What is painted. */
export interface Scene {
  map: FrameMap;
  /** 1 for selected frames, by index. */
  mask: Uint8Array;
  /** The index of the frame in each cell; null when all frames are shown. */
  visible: Uint32Array | null;
  pitch: number;
}

/**
 * A colour of `tokens.css` as a pixel. Only a canvas converts every form of colour that CSS has.
 */
function color(name: string, context: CanvasRenderingContext2D): number {
  context.fillStyle = token(name);
  context.fillRect(0, 0, 1, 1);
  return new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0]!;
}

function readPalette(): Palette {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
  const read = (name: string): number => color(name, context);
  return {
    sheet: read("sheet"),
    selected: read("selected"),
    states: {
      pending: read("pending"),
      leased: read("leased"),
      done: read("done"),
      failed: read("failed"),
      skipped: read("skipped"),
    },
  };
}

export class GridView {
  layout: Layout = layoutOf(0, 1, 5);
  /** How long the last paint took; the end-to-end test of 100,000 frames reads it. */
  paintMs = 0;
  readonly #scroller: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #spacer: HTMLElement;
  readonly #context: CanvasRenderingContext2D;
  #scene: Scene | null = null;
  #palette: Palette | null = null;
  #sprites: Sprites | null = null;
  #image: ImageData | null = null;
  #waiting = 0;
  readonly #sizes: ResizeObserver;
  readonly #onLayout: () => void;

  constructor(scroller: HTMLElement, spacer: HTMLElement, canvas: HTMLCanvasElement, onLayout: () => void) {
    this.#scroller = scroller;
    this.#spacer = spacer;
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false })!;
    this.#onLayout = onLayout;
    this.#sizes = new ResizeObserver(() => this.#arrange());
    this.#sizes.observe(scroller);
    scroller.addEventListener("scroll", this.repaint, { passive: true });
  }

  close(): void {
    this.#sizes.disconnect();
    this.#scroller.removeEventListener("scroll", this.repaint);
    cancelAnimationFrame(this.#waiting);
  }

  show(scene: Scene): void {
    const before = this.#scene;
    this.#scene = scene;
    const cells = scene.visible?.length ?? scene.map.total;
    if (before?.pitch !== scene.pitch || this.layout.cells !== cells) this.#arrange();
    else this.repaint();
  }

  /** Paint again with new colours, after the theme has changed. */
  recolor(): void {
    this.#palette = null;
    this.#sprites = null;
    this.repaint();
  }

  readonly repaint = (): void => {
    this.#waiting ||= requestAnimationFrame(() => {
      this.#waiting = 0;
      const began = performance.now();
      this.#paint();
      this.paintMs = performance.now() - began;
    });
  };

  /** Scroll so that a cell's row is in view. */
  reveal(cell: number): void {
    const top = Math.floor(cell / this.layout.columns) * this.layout.pitch;
    const { scrollTop, clientHeight } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.layout.pitch > scrollTop + clientHeight)
      this.#scroller.scrollTop = top + this.layout.pitch - clientHeight;
  }

  #arrange(): void {
    const scene = this.#scene;
    if (!scene) return;
    const width = this.#scroller.clientWidth;
    this.layout = layoutOf(scene.visible?.length ?? scene.map.total, width, scene.pitch);
    this.#spacer.style.height = `${this.layout.rows * this.layout.pitch}px`;
    this.#onLayout();
    this.repaint();
  }

  #paint(): void {
    const scene = this.#scene;
    if (!scene) return;
    const ratio = devicePixelRatio;
    const width = Math.max(1, Math.round(this.#scroller.clientWidth * ratio));
    const height = Math.max(
      1,
      Math.round(Math.min(this.#scroller.clientHeight, this.layout.rows * this.layout.pitch) * ratio),
    );
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
      this.#canvas.style.width = `${width / ratio}px`;
      this.#canvas.style.height = `${height / ratio}px`;
      this.#image = null;
    }
    const size = Math.round(scene.pitch * ratio);
    this.#palette ??= readPalette();
    if (this.#sprites?.size !== size) this.#sprites = drawSprites(size, this.#palette);
    this.#image ??= this.#context.createImageData(width, height);
    const image = new Uint32Array(this.#image.data.buffer);
    image.fill(this.#palette.sheet);
    const scrolled = Math.round(this.#scroller.scrollTop * (size / scene.pitch));
    const first = Math.floor(scrolled / size);
    const view = { columns: this.layout.columns, cells: this.layout.cells, first, offset: scrolled - first * size };
    paint(image, width, view, this.#sprites, scene.map.states, scene.mask, scene.visible);
    this.#context.putImageData(this.#image, 0, 0);
  }
}
