import { expect, it } from "vitest";
import { idFrom, prefersMinimal } from "./request.ts";

it.each([
  ["1", 1],
  ["9007199254740991", 9007199254740991],
  ["9007199254740992", null],
  ["99999999999999999", null],
  ["0", null],
  ["01", null],
  ["-1", null],
  ["1.0", null],
  ["", null],
  [undefined, null],
])("the id in %j is %j", (text, id) => {
  expect(idFrom(text)).toBe(id);
});

it.each([
  ["return=minimal", true],
  ["respond-async, Return = minimal", true],
  ['return="minimal"; x=1', true],
  ["return=representation", false],
  ["return=minimalist", false],
])("Prefer: %s asks for a short answer: %j", (header, minimal) => {
  expect(prefersMinimal(new Request("http://manager/", { headers: { Prefer: header } }))).toBe(minimal);
});
