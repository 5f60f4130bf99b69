import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LineSplitter, MAX_LINE_CHARS } from "./lines.ts";
import { LogBuffer } from "./log-buffer.ts";
import { oneLine, createLogger } from "./log.ts";

function split(chunks: Buffer[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

describe("lines", () => {
  test("LF, CR LF and CR end a line, and a rest without one is a line", () => {
    expect(split([Buffer.from("a\nb\r\nc\rd\r\r\n\ne")])).toEqual(["a", "b", "c", "d", "", "", "e"]);
    expect(split([])).toEqual([]);
  });

  test("are the same however the chunks are cut, also inside a character or a line end", () => {
    const text = fc
      .array(fc.constantFrom("a", "é", "🎬", "\n", "\r", "\r\n"), { maxLength: 40 })
      .map((parts) => Buffer.from(parts.join("")));
    fc.assert(
      fc.property(text, fc.array(fc.nat(60)), (bytes, cuts) => {
        const at = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].toSorted(
          (a, b) => a - b,
        );
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        expect(split(chunks)).toEqual(split([bytes]));
      }),
    );
  });

  test("of 10 MB are cut, and say so", () => {
    const piece = Buffer.alloc(100_000, "x");
    const [line, next] = split([...Array<Buffer>(100).fill(piece), Buffer.from("\nnext\n")]);
    expect(line!.length).toBeLessThan(MAX_LINE_CHARS + 60);
    expect(line).toContain(`[${10_000_000 - MAX_LINE_CHARS} characters left out]`);
    expect(next).toBe("next");
  });
});

describe("log buffer", () => {
  test("asks for a call when it is large, or 5 s old and being followed; not when it is empty", () => {
    const log = new LogBuffer();
    expect(log.dueMs(0, true)).toBeUndefined();
    log.add("a", 1_000);
    expect(log.dueMs(2_000, true)).toBe(6_000);
    expect(log.dueMs(2_000, false)).toBeUndefined();
    log.add("x".repeat(33_000), 2_000);
    expect(log.dueMs(2_000, false)).toBe(2_000);
    expect(log.take()).toBe(`a\n${"x".repeat(33_000)}\n`);
    expect(log.dueMs(9_000, true)).toBeUndefined();
    expect(log.take()).toBe("");
  });

  test("sends the lines of a failed call first again", () => {
    const log = new LogBuffer();
    log.add("one", 0);
    const text = log.take();
    log.add("two", 1);
    log.putBack(text, 2);
    expect(log.take()).toBe("one\ntwo\n");
  });

  test("of a flood keeps the beginning and the end, within bounds, with a note", () => {
    const log = new LogBuffer();
    for (let i = 0; i < 100_000; i++) log.add(`line ${i}`, 0);
    const text = log.take();
    expect(text.length).toBeLessThan(300_000);
    const lines = text.trimEnd().split("\n");
    const note = lines.findIndex((line) => line.startsWith("["));
    expect(lines[0]).toBe("line 0");
    expect(lines.at(-1)).toBe("line 99999");
    expect(lines[note]).toBe(
      `[${100_000 - (lines.length - 1)} lines left out: they came faster than they could be sent]`,
    );
    expect(lines[note - 1]).toBe(`line ${note - 1}`);
  });
});

describe("the log", () => {
  test("P9: is one line without control characters and without our secrets", () => {
    expect(oneLine("a\nb\u001b[31m tablao_join_0123456789abcdef-_ ?")).toBe("a b[31m tablao_… ?");
  });

  test("json has the time, the text and the details", () => {
    const lines: string[] = [];
    createLogger(
      "json",
      (line) => lines.push(line),
      () => new Date(0),
    )("hello", { task: 3 });
    expect(JSON.parse(lines[0]!)).toEqual({ at: "1970-01-01T00:00:00.000Z", text: "hello", task: 3 });
  });
});
