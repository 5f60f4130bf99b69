/**
 * P10: what a bad body costs, measured in `JSON.parse` of the same text in the same process, so that
 * neither the machine nor its other load matters.
 */
import { describe, expect, it } from "vitest";
import { hostileValues } from "../../../test/support/schema-walk.ts";
import { loadRoutes } from "../../../scripts/api-table.ts";
import { checkPreset, COMPILERS, compileSubmission } from "../../compilers/index.ts";
import { MAX_BODY_BYTES, MAX_INPUTS } from "../../protocol/constants.ts";
import { taskSubmitSchema } from "../../protocol/task.ts";
import type { Result } from "../../lib/result.ts";
import { problemOf } from "../../platform/problem-response.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { parseBody } from "./input.ts";

/** The promise: a bad body costs at most so many times the `JSON.parse` of it. */
const MAX_RATIO = 3;
/**
 * The same where thousands of good paths are as long as they may be and one of them is wrong, or where 1,000 arguments
 * name inputs. The paths are brought to one form of Unicode and compared, which `JSON.parse` does not do: 4 to 17 times
 * as measured, and 53 times for letters with dozens of accents. That is 30 ms for the largest body.
 */
const MAX_RATIO_OF_PATHS = 100;
/** What an answer with fifty mistakes costs, whatever the size of the body. */
const ANSWER_MS = 1;
/** The most characters of an answer: fifty mistakes of a few hundred characters. */
const MAX_ANSWER_CHARS = 40_000;
/** Other load makes single runs slow, so the fastest of these counts. */
const RUNS = 60;

/** Reads one body; a refusal is the expected result. */
type Read = (text: string) => Result<unknown, Refusal>;

function submit(text: string): Result<unknown, Refusal> {
  const body = parseBody("application/json", text, taskSubmitSchema);
  return body.ok ? compileSubmission(body.value) : body;
}

function milliseconds(work: () => unknown): number {
  const from = performance.now();
  work();
  return performance.now() - from;
}

/** `JSON.parse` of a text, and of settings that are a JSON string inside of it. */
function parseAll(text: string): void {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "settings" in value && typeof value.settings === "string")
      JSON.parse(value.settings);
  } catch {
    // The time counts all the same.
  }
}

/** How much too expensive a body is: 0 when it keeps the promise. */
function excess(read: Read, text: string, maxRatio: number): number {
  let [parse, whole] = [Infinity, Infinity];
  for (let run = 0; run < RUNS; run++) {
    parse = Math.min(
      parse,
      milliseconds(() => parseAll(text)),
    );
    whole = Math.min(
      whole,
      milliseconds(() => read(text)),
    );
    if (whole <= maxRatio * parse + ANSWER_MS) return 0;
  }
  return whole / parse;
}

/** What is wrong with the reading of a body; undefined when nothing is. */
function complaint(what: string, read: Read, text: string, maxRatio = MAX_RATIO): string | undefined {
  const ratio = excess(read, text, maxRatio);
  if (ratio > 0) return `${what}: ${ratio.toFixed(1)} × JSON.parse`;
  const result = read(text);
  if (result.ok) return undefined;
  const { length } = JSON.stringify(problemOf(result.error));
  return length > MAX_ANSWER_CHARS ? `${what}: an answer of ${length} characters` : undefined;
}

const SIZE = 1_900_000;
const sha256 = "0".repeat(64);
const settingsOf = (type: string, settings: unknown): string => JSON.stringify({ type, settings });
const keys = (length: number, count: number): object =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [String(i).padStart(length, "k"), 1]));
const assets = (one: (index: number) => object, count = MAX_INPUTS): string =>
  settingsOf("blender_render", {
    file: "/shared/a.blend",
    frames: "1",
    assets: Array.from({ length: count }, (_, i) => one(i)),
  });
const good = (index: number): object => ({ path: `textures/wood/${index}.png`, sha256, size: 1_000 });

describe("P10: a bad body costs at most three times the JSON.parse of it", () => {
  const BODIES: [string, string][] = [
    ["28,000 unknown settings of 64 characters", settingsOf("blender_render", keys(64, 26_000))],
    ["150,000 short unknown settings", settingsOf("print_string", keys(6, 150_000))],
    ["28,000 unknown fields of 64 characters", JSON.stringify({ type: "x", ...keys(64, 26_000) })],
    ["a setting's name of 1.9 MB", settingsOf("print_string", { ["k".repeat(SIZE)]: 1 })],
    ["a field's name of 1.9 MB", JSON.stringify({ ["k".repeat(SIZE)]: 1 })],
    ["a type of 1.9 MB", settingsOf("t".repeat(SIZE), {})],
    ["deep lists", `{"type":"exec","settings":{"a":${"[".repeat(SIZE / 2)}${"]".repeat(SIZE / 2)}}}`],
    [
      "many deep lists",
      settingsOf("exec", { a: Array.from({ length: 9_000 }, () => JSON.parse(`${"[".repeat(60)}${"]".repeat(60)}`)) }),
    ],
    [
      "deep objects as a string",
      JSON.stringify({ type: "exec", settings: `{"a":${"[".repeat(400_000)}${"]".repeat(400_000)}}` }),
    ],
    ["a list of 900,000 numbers", settingsOf("exec", { args: Array.from({ length: 900_000 }, () => 1) })],
    ["10,000 empty assets", assets(() => ({}))],
    ["10,000 assets with unknown fields", assets((i) => ({ ...good(i), a: 1, b: 2, c: 3 }))],
    ["10,000 assets with bad paths", assets((i) => ({ ...good(i), path: `..\\${i}` }))],
    ["10,000 good assets and one bad", assets((i) => (i === MAX_INPUTS - 1 ? {} : good(i)))],
    ["10,000 good assets and a wrong priority", assets(good).replace(/^\{/, '{"priority":"high",')],
    ["10,000 good assets and an unknown setting", assets(good).replace('"frames"', '"framez"')],
    ["the same path 10,000 times", assets((i) => ({ ...good(i), path: i < MAX_INPUTS - 1 ? `${i}` : "0" }))],
    ["2 MB of blanks", " ".repeat(SIZE)],
    ["2 MB of blanks round a body", `${" ".repeat(SIZE)}{}`],
    ["a text that is no JSON at its end", `{"name":"${"x".repeat(SIZE)}`],
  ];

  const twice = (letters: string, names: number, count: number): string =>
    assets((i) => ({ ...good(i), path: `${`${letters}/`.repeat(names)}${i === count - 1 ? 0 : i}` }), count);

  /** Their paths are compared with each other and with the arguments before the mistake is known. */
  const WITH_LONG_PATHS: [string, string][] = [
    ["3,200 long paths, one of them twice", twice("b".repeat(80), 6, 3_200)],
    ["1,200 long paths of Japanese letters, one of them twice", twice("漢".repeat(80), 6, 1_200)],
    ["1,500 paths of a letter with 78 accents, one of them twice", twice(`e${"\u0301\u0323".repeat(39)}`, 1, 1_500)],
    [
      "3,500 assets in 250 folders each, one of them a folder and a file",
      assets((i) => ({ ...good(i), path: i === 0 ? "a" : `${"a/".repeat(200)}${i}` }), 3_500),
    ],
    [
      "1,000 arguments that are in none of 10,000 assets",
      JSON.stringify({
        type: "exec",
        settings: {
          program: "x",
          args: Array.from({ length: 1_000 }, (_, i) => (i < 999 ? `{in:textures/wood/${i}.png}` : "{in:no}")),
          assets: Array.from({ length: MAX_INPUTS }, (_, i) => good(i)),
        },
      }),
    ],
  ];

  it.each(WITH_LONG_PATHS)("or a small multiple: %s", (what, text) => {
    expect(text.length).toBeLessThan(MAX_BODY_BYTES);
    expect(complaint(what, submit, text, MAX_RATIO_OF_PATHS)).toBeUndefined();
    expect(submit(text).ok).toBe(false);
  });

  it.each(BODIES)("%s", (what, text) => {
    expect(text.length).toBeLessThan(MAX_BODY_BYTES);
    expect(complaint(what, submit, text)).toBeUndefined();
    expect(submit(text).ok).toBe(false);
  });

  it("bodies made from the schema of each route, with a mistake in each place", async () => {
    const readers = (await loadRoutes()).flatMap(
      ({ method, path, body }): [string, Read, ReturnType<typeof hostileValues>][] =>
        body
          ? [[`${method} ${path}`, (text) => parseBody("application/json", text, body), hostileValues(body, SIZE / 4)]]
          : [],
    );
    const complaints = readers.flatMap(([name, read, values]) =>
      values.flatMap(({ what, value }) => complaint(`${name} ${what}`, read, JSON.stringify(value)) ?? []),
    );
    expect(readers.length).toBeGreaterThan(15);
    expect(complaints).toEqual([]);
  });

  it("settings made from the schema of each task type, with a mistake in each place", () => {
    const complaints = COMPILERS.flatMap(({ type, settings }) =>
      hostileValues(settings, SIZE / 4).flatMap(
        ({ what, value }) => complaint(`${type} ${what}`, submit, settingsOf(type, value)) ?? [],
      ),
    );
    expect(complaints).toEqual([]);
  });

  it("render presets", () => {
    const read: Read = (text) => {
      const preset: unknown = JSON.parse(text);
      return typeof preset === "object" ? checkPreset(preset) : refuse("invalid", "no preset");
    };
    const complaints = hostileValues(COMPILERS[0]!.settings, SIZE / 4).flatMap(
      ({ what, value }) => complaint(what, read, JSON.stringify(value)) ?? [],
    );
    expect(complaints).toEqual([]);
  });
});
