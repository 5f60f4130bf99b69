import { expect, test } from "vitest";
import { chunksOf } from "./chunks.ts";

test.each([
  [[], []],
  [[1], [[1]]],
  [[1, 2, 3], [[1, 2, 3]]],
  [
    [1, 2, 3, 4],
    [[1, 2, 3], [4]],
  ],
])("%j in lists of three", (items, chunks) => expect(chunksOf(items, 3)).toEqual(chunks));
