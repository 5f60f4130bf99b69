import { expect, test } from "vitest";
import { ago, bytes, count, cut, duration, harmless, secondsOf, table, timeLeft } from "./text.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [9_949, "9.9 kB"],
  [12_345, "12 kB"],
  [999_499, "999 kB"],
  [999_500, "1.0 MB"],
  [300_000_000, "300 MB"],
  [5_000_000_000_000, "5.0 TB"],
])("%i bytes are %s", (value, text) => expect(bytes(value)).toBe(text));

test.each([
  [0.44, "0.4 s"],
  [12.4, "12 s"],
  [59.6, "1:00"],
  [187, "3:07"],
  [3_729, "1:02:09"],
])("%f seconds are %s", (value, text) => expect(duration(value)).toBe(text));

test.each([
  [-5, "0 s"],
  [40_000, "40 s"],
  [3 * 60_000, "3 min"],
  [5 * 3_600_000, "5 h"],
  [12 * 86_400_000, "12 d"],
])("%i ms ago is %s", (value, text) => expect(ago(1e12, 1e12 + value)).toBe(text));

test.each([
  [10_000, 20_400, "10–20 s"],
  [50_000, 120_000, "50 s–2 min"],
  [50_000, 50_200, "50 s"],
  [-5_000, 4_000, "0–4 s"],
  [-5_000, -1, null],
])("from %i to %i ms on is %s", (low, high, text) => expect(timeLeft(1e12 + low, 1e12 + high, 1e12)).toBe(text));

test.each([
  ["90", 90],
  ["90s", 90],
  ["15m", 900],
  ["1.5h", 5_400],
  ["30 d", 30 * 86_400],
  ["2w", 14 * 86_400],
])("%s is %i seconds", (text, value) => expect(secondsOf(text)).toBe(value));

test.each(["", "x", "-1h", "1y", "1 h 2"])("'%s' is no span of time", (text) =>
  expect(secondsOf(text)).toBeUndefined(),
);

test("text of other people cannot control the terminal", () => {
  expect(harmless("a\u001b[31mb\u001b]0;title\u0007c\u0000d\re\tf\ng\u009b2Jh")).not.toMatch(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/,
  );
  expect(harmless("a\tb\nc é 漢\u202egnp\u2066")).toBe("a\tb\nc é 漢gnp");
});

test("a table aligns its columns, keeps each row on one line, and cuts the last column only", () => {
  const rows = [
    ["1", "queued", "a name\nwith a line end that is long"],
    ["12", "x", "b"],
  ];
  expect(table(["ID", "STATUS", "NAME"], rows, 24)).toBe(
    ["ID  STATUS  NAME", "1   queued  a name with…", "12  x       b"].join("\n"),
  );
  expect(table(["ID", "STATUS", "NAME"], rows)).toContain("a name with a line end that is long");
});

test("counts and cut texts", () => {
  expect([count(1, "frame"), count(2, "frame"), cut("abcdef", 4), cut("abcd", 4)]).toEqual([
    "1 frame",
    "2 frames",
    "abc…",
    "abcd",
  ]);
});
