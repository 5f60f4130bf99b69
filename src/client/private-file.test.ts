import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "../../test/support/folders.ts";
import { readPrivateFile, UnreadableFile, writeFileAtomic, writePrivateFile } from "./private-file.ts";

test("a private file is accessible to its owner only, whatever the earlier file allowed", () => {
  const file = path.join(testFolder(), "new", "secret");
  expect(readPrivateFile(file)).toBeUndefined();
  writePrivateFile(file, "one");
  writeFileSync(file, "open to all", { mode: 0o644 });
  writePrivateFile(file, "two");
  expect(readPrivateFile(file)).toBe("two");
  expect(readdirSync(path.dirname(file))).toEqual(["secret"]);
  if (process.platform === "win32") return;
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
});

test("a failed write leaves the earlier file, and no other", () => {
  const folder = testFolder();
  mkdirSync(path.join(folder, "target", "full"), { recursive: true });
  expect(() => writeFileAtomic(path.join(folder, "target"), "x")).toThrow();
  expect(readdirSync(folder)).toEqual(["target"]);
  writeFileAtomic(path.join(folder, "file"), Buffer.from([1, 2]));
  expect([...readFileSync(path.join(folder, "file"))]).toEqual([1, 2]);
});

test("P10: a file that cannot be read is told with its path and the fault", () => {
  const folder = testFolder();
  const unreadable = (file: string): string => {
    try {
      readPrivateFile(file);
    } catch (error) {
      expect(error).toBeInstanceOf(UnreadableFile);
      return (error as Error).message;
    }
    return "";
  };
  expect(unreadable(folder)).toBe(`${folder} cannot be read: it is a folder`);
  const file = path.join(folder, "file");
  writeFileSync(file, "x");
  expect(unreadable(path.join(file, "below"))).toBe(`${file}/below cannot be read: a part of its path is no folder`);
  if (process.platform === "win32") return;
  // Whoever opens a pipe waits for its writer.
  execFileSync("mkfifo", [path.join(folder, "pipe")]);
  expect(unreadable(path.join(folder, "pipe"))).toBe(`${folder}/pipe cannot be read: it is no regular file`);
  if (process.getuid?.() === 0) return;
  chmodSync(file, 0);
  expect(unreadable(file)).toBe(`${file} cannot be read: this account may not read it`);
});
