import { expect, test } from "vitest";
import { blenderNote } from "./blender-note.ts";
import { COMMAND } from "./own-command.ts";

const FARM = [
  { version: "5.0", workers: 1 },
  { version: "3.4", workers: 2 },
];

test("where no worker has the Blender, the submitter is told what there is, and the flags that would take it", () => {
  expect(blenderNote({ task_id: 7, blender: { needs: "4.5", workers: 0, farm: FARM } })).toBe(
    "no worker has Blender 4.5, so task 7 waits: the farm has Blender 5.0 (1 worker) and 3.4 (2 workers). " +
      `To render it with what there is: ${COMMAND} cancel 7, and submit it again with ` +
      "--blender 4.5+ (a newer one, all frames in the same) or --blender any (whatever there is; frames may differ).",
  );
});

test("a newer Blender is offered only where there is one", () => {
  const needs = (need: string) => blenderNote({ task_id: 7, blender: { needs: need, workers: 0, farm: FARM } });
  expect(needs("5.1")).not.toContain("--blender 5.1+");
  expect(needs("5.1")).toContain("--blender any");
  expect(needs("5.1+")).toMatch(/^no worker has Blender 5\.1 or newer, .*submit it again with --blender any/);
});

test("a farm that has told of no Blender offers nothing", () => {
  expect(blenderNote({ task_id: 7, blender: { needs: "4.5", workers: 0, farm: [] } })).toBe(
    "no worker has Blender 4.5, so task 7 waits: no worker of the farm has told of a Blender.",
  );
});

test("where a worker has it, and for tasks that need no version, nothing is said", () => {
  expect(blenderNote({ task_id: 7, blender: { needs: "4.5", workers: 1, farm: FARM } })).toBeNull();
  expect(blenderNote({ task_id: 7 })).toBeNull();
});
