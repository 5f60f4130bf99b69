/**
 * Log lines on their way to the manager: they ride on renewals and on the call that ends the lease. Bounded: when a process
 * prints faster than the line carries, the middle is left out and a note says so; the beginning and the end tell the most.
 */

/** Far below the 1,000,000 characters a call may carry. */
const MAX_CHARS = 256 * 1024;
/** Beyond this, the log asks for a call of its own … */
const FLUSH_CHARS = 32 * 1024;
/** … and while somebody follows it, after this: calls for the log's sake alone would else outnumber all others. */
const FLUSH_AFTER_MS = 5_000;

export class LogBuffer {
  /** Kept from the beginning of what is unsent; never dropped. */
  #head: string[] = [];
  #headChars = 0;
  /** The newest lines; the oldest of them give way. */
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

  /** When a call should be made for the log's sake alone; undefined when nothing waits. */
  dueMs(nowMs: number, watched: boolean): number | undefined {
    if (this.#oldestMs === undefined) return undefined;
    if (this.#headChars + this.#tailChars > FLUSH_CHARS) return nowMs;
    return watched ? this.#oldestMs + FLUSH_AFTER_MS : undefined;
  }

  /** Everything that waits, as text with a line end after each line; empty when nothing does. */
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

  /** A call that carried this text failed: it goes first again, within the same bounds. */
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
