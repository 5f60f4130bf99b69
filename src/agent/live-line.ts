/**
 * The last line of a terminal, which always says how the agent is; log lines go above it. Only on a terminal: a
 * pipe, a service's log and `--json` get log lines alone.
 */
import { clearLine, cursorTo } from "node:readline";
import { stripVTControlCharacters } from "node:util";
import { plainText } from "../protocol/fields.ts";

/** How often it is written anew. More often would be seen by nobody, and costs a write each time. */
const EVERY_MS = 1_000;
/** Before this character of Unicode, none takes two columns. */
const FIRST_WIDE = 0x1100;

/** What it uses of a terminal. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): boolean;
}

export class LiveLine {
  readonly #terminal: Terminal;
  readonly #timer: NodeJS.Timeout;
  #text: (() => string) | undefined;
  #shown = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#timer = setInterval(() => this.#draw(), EVERY_MS).unref();
  }

  /** Whether a terminal can show it. */
  static fits(terminal: Terminal, env: NodeJS.ProcessEnv): boolean {
    return terminal.isTTY === true && env["TERM"] !== "dumb";
  }

  /** From now on it says this. */
  show(text: () => string): void {
    this.#text = text;
    this.#draw();
  }

  /** Write a log line above it. */
  log(line: string): void {
    this.#clear();
    this.#terminal.write(`${line}\n`);
    this.#draw();
  }

  /** Clear it for good. Log lines can still be written. */
  end(): void {
    clearInterval(this.#timer);
    this.#text = undefined;
    this.#clear();
  }

  #draw(): void {
    if (!this.#text) return;
    this.#clear();
    this.#terminal.write(fitted(this.#text(), (this.#terminal.columns ?? 80) - 1));
    this.#shown = true;
  }

  #clear(): void {
    if (!this.#shown) return;
    cursorTo(this.#terminal as NodeJS.WritableStream, 0);
    clearLine(this.#terminal as NodeJS.WritableStream, 0);
    this.#shown = false;
  }
}

/**
 * The text on one line of so many columns, with `…` at its end where it was cut: a line that wraps could not be
 * cleared. Characters that may be wide count as two columns. Pure.
 */
export function fitted(text: string, columns: number): string {
  const line = plainText(stripVTControlCharacters(text)).replaceAll(/\s+/g, " ");
  const kept: { character: string; wide: number }[] = [];
  let width = 0;
  for (const character of line) {
    const wide = character.codePointAt(0)! >= FIRST_WIDE ? 2 : 1;
    if (width + wide > columns) {
      while (width > columns - 1 && kept.length > 0) width -= kept.pop()!.wide;
      if (columns > 0) kept.push({ character: "…", wide: 1 });
      break;
    }
    width += wide;
    kept.push({ character, wide });
  }
  return kept.map(({ character }) => character).join("");
}
