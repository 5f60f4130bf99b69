import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { isAtLeast, VERSION } from "./version.ts";

it("VERSION is the version of package.json", () => {
  const file: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  expect(file).toMatchObject({ version: VERSION });
});

it.each([
  ["0.2.0", "0.2.0", true],
  ["0.2.1", "0.2.0", true],
  ["0.10.0", "0.9.9", true],
  ["1.0.0", "0.9.9", true],
  ["0.2.0+studio", "0.2.0", true],
  ["0.3.0-rc.1", "0.2.0", true],
  ["0.2.0-rc.1", "0.2.0", false],
  ["0.1.9", "0.2.0", false],
  ["", "0.2.0", false],
  ["0.2", "0.2.0", false],
  ["v0.2.0", "0.2.0", false],
  ["agent 0.2.0", "0.2.0", false],
])("version %j is at least %s: %s", (version, least, is) => {
  expect(isAtLeast(version, least)).toBe(is);
});
