import { expect, test } from "vitest";
import { hasWords, wordsOf } from "./task-search.ts";

const TASK = { id: 12, name: "KITE sh010 Fx", type: "blender_render", owner: "ana#3", status: "failed" } as const;

test.each([
  ["", true],
  ["kite", true],
  ["  KITE   failed ", true],
  ["#12", true],
  ["12", true],
  ["ana", true],
  ["blender fx", true],
  ["kite completed", false],
  ["sh020", false],
])("the search %j finds: %s", (search, found) => {
  expect(hasWords(TASK, wordsOf(search))).toBe(found);
});
