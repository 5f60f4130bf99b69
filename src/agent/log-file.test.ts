import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "../../test/support/folders.ts";
import { logFileWriter } from "./log-file.ts";

const now = (): Date => new Date(2026, 10, 28, 9, 5);

test("lines have the date in front, and JSON lines are left as they are", () => {
  const file = path.join(testFolder("log"), "new/agent.log");
  const write = logFileWriter(file, { now });
  write("09:05:00 waiting for work");
  write('{"at":"2026-11-28T09:05:00Z"}');
  expect(readFileSync(file, "utf8")).toBe('2026-11-28 09:05:00 waiting for work\n{"at":"2026-11-28T09:05:00Z"}\n');
  expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
});

test("a file is bounded, the last three are kept, and a restart goes on in the one that is there", () => {
  const folder = testFolder("log");
  const file = path.join(folder, "agent.log");
  // Each line has 20 bytes with its date.
  for (let line = 0; line < 20; line++) logFileWriter(file, { now, maxBytes: 60 })(`line-${100 + line}`);
  expect(readdirSync(folder).toSorted()).toEqual(["agent.log", "agent.log.1", "agent.log.2", "agent.log.3"]);
  const sizes = readdirSync(folder).map((name) => statSync(path.join(folder, name)).size);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(60);
  const read = (name: string): string[] => readFileSync(path.join(folder, name), "utf8").match(/\d+$/gm) ?? [];
  expect(["agent.log.3", "agent.log.2", "agent.log.1", "agent.log"].map(read)).toEqual([
    ["109", "110", "111"],
    ["112", "113", "114"],
    ["115", "116", "117"],
    ["118", "119"],
  ]);
});

test("a log that was removed is begun anew, and one that cannot be written ends nothing", () => {
  const folder = testFolder("log");
  const file = path.join(folder, "logs/agent.log");
  const write = logFileWriter(file, { now });
  rmSync(file);
  write("one");
  expect(readFileSync(file, "utf8")).toBe("2026-11-28 one\n");
  rmSync(path.dirname(file), { recursive: true });
  writeFileSync(path.dirname(file), "");
  expect(() => write("two")).not.toThrow();
  // At the start it is an error: somebody looks.
  expect(() => logFileWriter(file)).toThrow(/EEXIST|ENOTDIR/);
});
