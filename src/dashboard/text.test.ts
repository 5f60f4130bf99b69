import { expect, it } from "vitest";
import { spread } from "./text.ts";

it("an estimate shows its range, its unit once, and one value where both ends read the same", () => {
  const at = (low: number, high: number): string => spread(low * 1_000, high * 1_000, 0);
  expect([at(0, 0.5), at(40, 100), at(125, 200), at(40, 50), at(300, 310)]).toEqual([
    "any moment",
    "40 s – 2 min",
    "2–3 min",
    "40–50 s",
    "about 5 min",
  ]);
});
