/** Runs a lease's command and listens to it: log, progress, saved files, errors, the time limit of a frame. */
import type { ParserEvent, ParserFactory } from "../parsers/parser.ts";
import type { LogBuffer } from "./log-buffer.ts";
import type { Outputs } from "./outputs.ts";
import { runProcess, type Exit, type RunningProcess } from "./process.ts";

/** After a fatal error the program gets this long to say the rest and end by itself. */
const LAST_WORDS_MS = 2_000;
/** Renderers report progress many times a second; a log needs less. */
const NOISE_EVERY_MS = 2_000;
const LAST_LINES = 20;
const NOISE: readonly ParserEvent["kind"][] = ["progress", "remaining", "activity", "memory"];

export interface LeaseProcessOptions {
  command: readonly [string, ...string[]];
  cwd: string;
  env: NodeJS.ProcessEnv;
  parser: ParserFactory;
  frames: readonly number[];
  frameTimeoutMs: number | null;
  outputs: Outputs;
  log: LogBuffer;
  /** Monotonic milliseconds. */
  now: () => number;
}

export class LeaseProcess {
  readonly errors: ParserEvent[] = [];
  readonly lastLines: string[] = [];
  /** The process, once started. */
  readonly running: RunningProcess;
  /** Set when the agent ended it for a reason of its own. */
  killed: string | undefined;
  /** Progress within the frame, 0 to 1. */
  progress: number | null = null;
  /** It reported that it cannot go on, or that the result would be wrong. */
  fatal = false;
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
      env: options.env,
      onLine: (line) => this.#line(line),
    });
  }

  /** Until it has ended, by itself or for having taken too long over a frame. */
  async ended(): Promise<Exit> {
    const { frameTimeoutMs, outputs, now } = this.#options;
    const watch = setInterval(() => {
      if (frameTimeoutMs === null || this.killed !== undefined || now() - outputs.sinceMs < frameTimeoutMs) return;
      const what = outputs.current === undefined ? "loading" : `frame ${outputs.current}`;
      this.killed = `${what} took longer than ${frameTimeoutMs / 1_000} s`;
      void this.running.kill();
    }, 500);
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
        // What is written after a fatal error is not the result.
        if (!this.fatal) outputs.saved(event.frame, event.path);
        return;
      case "progress":
        this.progress = event.fraction;
        return;
      case "error":
        // The first fatal error and the last other one are what people are shown; a flood of them must not fill the memory.
        if (this.errors.length >= 100) this.errors.splice(50, 1);
        this.errors.push(event);
        if (event.fatal && !this.fatal) {
          this.fatal = true;
          setTimeout(() => void this.running.kill(), LAST_WORDS_MS).unref();
        }
        return;
      case "remaining":
      case "activity":
      case "memory":
    }
  }
}
