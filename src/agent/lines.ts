/**
 * Splits the output of a process into lines. A line ends with LF, CR LF or CR (progress displays
 * overwrite theirs with CR).
 */
import { StringDecoder } from "node:string_decoder";

/** Longer lines are cut: a program that prints without line ends would fill the memory. */
export const MAX_LINE_CHARS = 8_192;

export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder("utf8");
  #line = "";
  #dropped = 0;
  /** The last character was CR: an LF that follows belongs to the same line end. */
  #afterCr = false;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Buffer): void {
    this.#text(this.#decoder.write(bytes));
  }

  /** The stream has ended: the rest is the last line. */
  end(): void {
    this.#text(this.#decoder.end());
    if (this.#line !== "" || this.#dropped > 0) this.#emit();
  }

  #text(text: string): void {
    let start = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code !== 10 && code !== 13) {
        this.#afterCr = false;
        continue;
      }
      const ofCrLf = code === 10 && this.#afterCr;
      this.#afterCr = code === 13;
      if (!ofCrLf) {
        this.#append(text, start, i);
        this.#emit();
      }
      start = i + 1;
    }
    this.#append(text, start, text.length);
  }

  #append(text: string, from: number, to: number): void {
    const room = MAX_LINE_CHARS - this.#line.length;
    const kept = Math.min(to - from, room);
    this.#line += text.slice(from, from + kept);
    this.#dropped += to - from - kept;
  }

  #emit(): void {
    const line = this.#dropped > 0 ? `${this.#line} … [${this.#dropped} characters left out]` : this.#line;
    this.#line = "";
    this.#dropped = 0;
    this.#onLine(line);
  }
}
