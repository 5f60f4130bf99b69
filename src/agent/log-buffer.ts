/**
 * Log lines that wait for a call to the manager: renewals carry them, and the call that ends the
 * lease. The buffer is bounded: when a process prints faster than calls can carry, lines in the
 * middle are left out, with a note. The beginning and the end of a log tell the most.
 */

/**
 * Well below the 1,000,000 characters that a call may carry: with more, a call would be refused for
 * its log.
 */
const MAX_CHARS = 256 * 1024;
/**
 * Beyond this, a call is due for the log alone: a task that prints much would lose the middle of
 * its log.
 */
const FLUSH_CHARS = 32 * 1024;
/**
 * While the log is watched, a call is due after this; sooner, and calls for the log would outnumber
 * all others.
 */
const FLUSH_AFTER_MS = 5_000;

export class LogBuffer {
  /** The first lines of what waits; never dropped. */
  #head: string[] = [];
  #headChars = 0;
  /** The newest lines; the oldest of them are dropped first. */
  #tail: string[] = [];
  #tailChars = 0;
  #droppedLines = 0;
  #oldestMs: number | undefined;

  add(line: string, nowMs: number): void {
    this.#oldestMs ??= nowMs;
    if (this.#droppedLines === 0 && this.#tail.length === 0 && this.#headChars + line.length < MAX_CHARS / 2) {
      this.#head.push(line);
      this.#headChars += line.length + 1;
      return;
    }
    this.#tail.push(line);
    this.#tailChars += line.length + 1;
    let gone = 0;
    while (this.#tailChars > MAX_CHARS / 2 && gone < this.#tail.length - 1)
      this.#tailChars -= this.#tail[gone++]!.length + 1;
    if (gone > 0) {
      this.#tail.splice(0, gone);
      this.#droppedLines += gone;
    }
  }

  /** When a call is due for the log alone (same clock as `nowMs`); undefined when none is. */
  dueMs(nowMs: number, watched: boolean): number | undefined {
    if (this.#oldestMs === undefined) return undefined;
    if (this.#headChars + this.#tailChars > FLUSH_CHARS) return nowMs;
    return watched ? this.#oldestMs + FLUSH_AFTER_MS : undefined;
  }

  /** Take all that waits, as text with a line end after each line; empty when nothing waits. */
  take(): string {
    if (this.#oldestMs === undefined) return "";
    const note =
      this.#droppedLines > 0
        ? [`[${this.#droppedLines} lines left out: they came faster than they could be sent]`]
        : [];
    const text = [...this.#head, ...note, ...this.#tail, ""].join("\n");
    this.#clear();
    return text;
  }

  /** The call with this text failed: put it before what came since, within the same bounds. */
  putBack(text: string, nowMs: number): void {
    if (text === "") return;
    const newer = this.take();
    for (const line of `${text}${newer}`.split("\n").slice(0, -1)) this.add(line, nowMs);
  }

  #clear(): void {
    this.#head = [];
    this.#tail = [];
    this.#headChars = this.#tailChars = this.#droppedLines = 0;
    this.#oldestMs = undefined;
  }
}
