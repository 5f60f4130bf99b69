import { expect, it } from "vitest";
import { FrameMap } from "./frame-map.ts";
import { Selection } from "./selection.ts";

function chosen(selection: Selection): number[] {
  return [...selection.mask.entries()].filter(([, on]) => on === 1).map(([index]) => index);
}

it("a range that is drawn back and forth selects the cells between its ends, beside the kept selection", () => {
  const selection = new Selection();
  selection.fit(20);
  selection.begin(15, 15, false);
  selection.extend(16, null);
  selection.begin(5, 5, true);
  selection.extend(9, null);
  selection.extend(3, null);
  expect(chosen(selection)).toEqual([3, 4, 5, 15, 16]);
  expect(selection.size.value).toBe(5);
  expect(selection.cursor.value).toBe(3);
});

it("a range over filtered cells does not select hidden frames", () => {
  const selection = new Selection();
  selection.fit(20);
  selection.moveTo(2, 0);
  selection.extend(2, Uint32Array.from([2, 8, 14, 19]));
  expect(chosen(selection)).toEqual([2, 8, 14]);
  expect(selection.cursor.value).toBe(14);
});

it("selects by list and by state, and reports a list without a frame of the task", () => {
  const map = new FrameMap("10-20");
  map.set("12,19", "failed");
  const selection = new Selection();
  selection.fit(map.total);
  expect(selection.selectList(map, "1-11")).toBe(true);
  expect(chosen(selection)).toEqual([0, 1]);
  expect(selection.selectList(map, "1-9")).toBe(false);
  expect(selection.selectList(map, "x")).toBe(false);
  expect(chosen(selection)).toEqual([0, 1]);
  selection.selectState(map, "failed");
  expect(chosen(selection)).toEqual([2, 9]);
});

it("is cleared when the task has another number of frames", () => {
  const selection = new Selection();
  selection.fit(3);
  selection.begin(0, 0, false);
  selection.extend(2, null);
  selection.fit(4);
  expect(selection.size.value).toBe(0);
});

it("going to a frame is told, also to the one where the cursor is", () => {
  const selection = new Selection();
  selection.fit(9);
  expect(selection.moves.value).toBe(0);
  selection.begin(0, 0, false);
  selection.moveTo(0, 0);
  expect(selection.moves.value).toBe(2);
});
