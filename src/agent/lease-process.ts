/**
 * Runs a lease's command and reads its output: log, progress, saved files, errors. Enforces the
 * time limit of a frame.
 */
import type { ParserEvent, ParserFactory } from "../parsers/parser.ts";
import type { LeaseWarnings } from "./lease-warnings.ts";
import type { LogBuffer } from "./log-buffer.ts";
import type { Outputs } from "./outputs.ts";
import { runProcess, type Exit, type RunningProcess } from "./process.ts";

/**
 * After a fatal error the program has this long to print the rest of its message and to end by
 * itself.
 */
const LAST_WORDS_MS = 2_000;
/**
 * Renderers report progress many times a second: all of it would fill the log, and its calls, with
 * nothing else.
 */
const NOISE_EVERY_MS = 2_000;
/** Kept for the text of a failure, which shows the last few that are not blank. */
const LAST_LINES = 20;
/**
 * Errors kept. A program may print one for each of a million faces, and they must not fill the
 * memory.
 */
const MAX_ERRORS = 100;
/** How often the time limit of a frame is checked; limits are whole seconds. */
const WATCH_MS = 500;
const NOISE: readonly ParserEvent["kind"][] = ["progress", "remaining", "activity", "memory"];

export interface LeaseProcessOptions {
  command: readonly [string, ...string[]];
  cwd: string;
  /** The lease's folder, links resolved. */
  folder: string;
  env: NodeJS.ProcessEnv;
  parser: ParserFactory;
  frames: readonly number[];
  frameTimeoutMs: number | null;
  outputs: Outputs;
  log: LogBuffer;
  warnings: LeaseWarnings;
  /** A warning about a picture is an error after which the frame cannot be right. */
  strict: boolean;
  /** Monotonic milliseconds. */
  now: () => number;
}

export class LeaseProcess {
  readonly errors: ParserEvent[] = [];
  readonly lastLines: string[] = [];
  /** The process. */
  readonly running: RunningProcess;
  /**
   * Why the agent ended the process; undefined when it did not, or did because of a fatal error.
   */
  killed: string | undefined;
  /** Progress within the frame, 0 to 1. */
  progress: number | null = null;
  /** The program reported that it cannot go on, or that the result would be wrong. */
  fatal = false;
  /** The program said that a newer version has saved the file: which (null: it did not say); undefined when it did not. */
  newerFile: string | null | undefined;
  readonly #options: LeaseProcessOptions;
  readonly #parser: ReturnType<ParserFactory["create"]>;
  #noiseMs = -Infinity;

  constructor(options: LeaseProcessOptions) {
    this.#options = options;
    this.#parser = options.parser.create(options.frames);
    options.outputs.started();
    this.running = runProcess({
      command: options.command,
      cwd: options.cwd,
      folder: options.folder,
      env: options.env,
      onLine: (line) => this.#line(line),
    });
  }

  /** Resolves when the process has ended, by itself or because a frame took too long. */
  async ended(): Promise<Exit> {
    const { frameTimeoutMs, outputs, now } = this.#options;
    const watch = setInterval(() => {
      if (frameTimeoutMs === null || this.killed !== undefined || now() - outputs.sinceMs < frameTimeoutMs) return;
      const what = outputs.current === undefined ? "loading" : `frame ${outputs.current}`;
      this.killed = `${what} took longer than ${frameTimeoutMs / 1_000} s`;
      void this.running.kill();
    }, WATCH_MS);
    try {
      return await this.running.exit;
    } finally {
      clearInterval(watch);
    }
  }

  #line(line: string): void {
    const { log, now } = this.#options;
    const events = this.#parser.line(line);
    for (const event of events) this.#event(event);
    const noise = events.length > 0 && events.every((event) => NOISE.includes(event.kind));
    if (noise && now() - this.#noiseMs < NOISE_EVERY_MS) return;
    if (noise) this.#noiseMs = now();
    log.add(line, now());
    this.lastLines.push(line);
    if (this.lastLines.length > LAST_LINES) this.lastLines.shift();
  }

  #event(event: ParserEvent): void {
    const { outputs } = this.#options;
    switch (event.kind) {
      case "frame":
        if (this.fatal) return;
        outputs.began(event.frame);
        this.progress = 0;
        return;
      case "saved":
        // A file that is written after a fatal error may be wrong.
        if (!this.fatal) outputs.saved(event.frame, event.path);
        return;
      case "progress":
        this.progress = event.fraction;
        return;
      case "error":
        // People are shown the first fatal error, or the last other one: those in the middle can
        // go.
        if (this.errors.length >= MAX_ERRORS) this.errors.splice(MAX_ERRORS / 2, 1);
        this.errors.push(event);
        if (event.fatal && !this.fatal) {
          this.fatal = true;
          setTimeout(() => void this.running.kill(), LAST_WORDS_MS).unref();
        }
        return;
      case "newer_file":
        this.newerFile = event.version ?? this.newerFile ?? null;
        return;
      case "size":
        outputs.size = { width: event.width, height: event.height };
        return;
      case "warning":
        if (this.#options.strict && event.picture) return this.#event({ kind: "error", text: event.text, fatal: true });
        this.#options.warnings.add(event.text, outputs.working ?? "all");
        return;
      case "remaining":
      case "activity":
      case "memory":
    }
  }
}
