/** The command line as a whole: commander throws when two commands have one name. */
import { expect, test } from "vitest";
import { VERSION } from "../protocol/version.ts";
import { program } from "./main.ts";

test("the command line starts, and each command is in it once", () => {
  const tablao = program();
  const names = tablao.commands.map((command) => command.name());
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(["submit", "prune", "storage", "retention", "download", "worker"]));
  expect(tablao.version()).toBe(VERSION);
});
