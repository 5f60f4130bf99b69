/**
 * Progress on stderr: a moving bar on a terminal; a plain line now and then in a pipe, or nothing
 * there with `--json`.
 */
import { MultiBar, Presets } from "cli-progress";
import { count, harmless } from "./text.ts";

/** In a pipe, a line at most this often: more would fill a log. */
const LINE_EVERY_MS = 5_000;

export interface Progress {
  /** `text` stands after the bar, or in the plain line. */
  update(done: number, total: number, text: string): void;
  /** Clear the bar, so that text can follow. */
  end(): void;
}

export interface ProgressOptions {
  /** Show nothing outside a terminal. */
  quiet: boolean;
  /** Outside a terminal, write the first line at once; else only after `LINE_EVERY_MS`. */
  eager?: boolean;
}

/** A progress display on stderr. */
export function showProgress(label: string, { quiet, eager = false }: ProgressOptions): Progress {
  if (process.stderr.isTTY) return new BarProgress(label);
  return quiet ? { update: () => undefined, end: () => undefined } : new LineProgress(label, eager);
}

/** The text may quote what a manager has said; a second line would break the bar. */
function oneHarmlessLine(text: string): string {
  return harmless(text).replaceAll(/\s+/g, " ");
}

class BarProgress implements Progress {
  readonly #bars: MultiBar;
  readonly #bar;

  constructor(label: string) {
    const wide = (process.stderr.columns ?? 80) >= 70;
    this.#bars = new MultiBar(
      {
        stream: process.stderr,
        format: `${label} {bar} {percentage}% {text}`,
        barsize: wide ? 28 : 12,
        hideCursor: true,
        clearOnComplete: true,
        linewrap: false,
        fps: 10,
        gracefulExit: false,
        autopadding: true,
      },
      Presets.shades_classic,
    );
    this.#bar = this.#bars.create(1, 0, { text: "" });
  }

  update(done: number, total: number, text: string): void {
    this.#bar.setTotal(Math.max(total, 1));
    this.#bar.update(total === 0 ? 1 : done, { text: oneHarmlessLine(text) });
  }

  end(): void {
    this.#bars.stop();
  }
}

class LineProgress implements Progress {
  readonly #label: string;
  #shown = "";
  #atMs: number;

  constructor(label: string, eager: boolean) {
    this.#label = label;
    this.#atMs = eager ? -Infinity : performance.now();
  }

  update(_done: number, _total: number, text: string): void {
    const line = `${this.#label}: ${oneHarmlessLine(text)}`;
    const now = performance.now();
    if (line === this.#shown || now - this.#atMs < LINE_EVERY_MS) return;
    this.#shown = line;
    this.#atMs = now;
    process.stderr.write(`${line}\n`);
  }

  end(): void {
    // There is no bar to clear.
  }
}

/** `12/24 frames, 2 workers, 30–50 s left`. */
export function framesText(
  frames: { done: number; total: number; failed: number },
  workers: number,
  left: string | null,
): string {
  return [
    `${frames.done}/${count(frames.total, "frame")}`,
    ...(frames.failed > 0 ? [`${frames.failed} failed`] : []),
    ...(workers > 0 ? [count(workers, "worker")] : []),
    ...(left === null ? [] : [`${left} left`]),
  ].join(", ");
}
