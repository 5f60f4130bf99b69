import { expect, test } from "vitest";
import { storageDollars } from "./prices.ts";

test.each([
  [0, 0],
  [10e9, 0],
  // R2 rounds up to the next GB.
  [10e9 + 1, 0.015],
  [1_000e9, 14.85],
  // A million frames of 10 MB.
  [10e12, 149.85],
])("a month of %i bytes costs $%d", (bytes, dollars) => expect(storageDollars(bytes)).toBe(dollars));
