import { afterEach, expect, test, vi } from "vitest";
import { fitted, LiveLine, type Terminal } from "./live-line.ts";

afterEach(() => vi.useRealTimers());

/** What a person sees: lines, of which the last may be without an end. Knows the two sequences that are used. */
class Screen implements Terminal {
  readonly isTTY = true;
  columns = 40;
  lines = [""];
  write(text: string): boolean {
    for (const part of text.replaceAll("\u001B", "ESC").split(/(\n|ESC\[\d*[A-Z])/)) {
      if (part === "\n") this.lines.push("");
      else if (part === "ESC[1G") this.#column = 0;
      else if (part === "ESC[2K") this.lines[this.lines.length - 1] = "";
      else this.lines[this.lines.length - 1] = this.lines.at(-1)!.slice(0, this.#column ?? undefined) + part;
      if (part !== "ESC[1G") this.#column = undefined;
    }
    return true;
  }
  #column: number | undefined;
}

test("the last line says what is true now; log lines stay above it, and it is gone at the end", () => {
  vi.useFakeTimers();
  const screen = new Screen();
  const live = new LiveLine(screen);
  live.log("12:00:00 registered");
  let text = "waiting for work";
  live.show(() => text);
  live.log("12:00:01 connected");
  expect(screen.lines).toEqual(["12:00:00 registered", "12:00:01 connected", "waiting for work"]);
  text = "paused";
  vi.advanceTimersByTime(1_000);
  expect(screen.lines.at(-1)).toBe("paused");
  text = "a status that is longer than the terminal is wide";
  vi.advanceTimersByTime(1_000);
  expect(screen.lines.at(-1)).toBe("a status that is longer than the termi…");
  live.end();
  live.log("12:00:09 stopped");
  vi.advanceTimersByTime(5_000);
  expect(screen.lines).toEqual(["12:00:00 registered", "12:00:01 connected", "12:00:09 stopped", ""]);
});

test.each([
  ["short", 10, "short"],
  ["exactly 10", 10, "exactly 10"],
  ["more than 10", 10, "more than…"],
  ["日本語のファイル", 9, "日本語の…"],
  ["two\nlines\tand \u001B[31mred", 40, "two lines and red"],
  ["nothing", 0, ""],
])("%j on %i columns is %j", (text, columns, line) => {
  expect(fitted(text, columns)).toBe(line);
});

test("it is shown on terminals only, and not on dumb ones", () => {
  expect(LiveLine.fits({ isTTY: true, write: () => true }, {})).toBe(true);
  expect(LiveLine.fits({ isTTY: true, write: () => true }, { TERM: "dumb" })).toBe(false);
  expect(LiveLine.fits({ write: () => true }, {})).toBe(false);
});
