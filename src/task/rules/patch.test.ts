import { expect, test } from "vitest";
import { definitionOf } from "../../../test/support/definition.ts";
import { amend } from "./patch.ts";
import { act } from "./user-actions.ts";
import type { CompiledDefinition } from "../../rpc/task.ts";
import { at, newTask, terms, allFrames } from "../../../test/support/rules-farm.ts";

const COMPILED: CompiledDefinition = {
  settings: { frames: "1-20" },
  frame_list: "1-20",
  format: "PNG",
  needs: { type: "demo_render", programs: [], tags: [], allow_exec: false, allow_autoexec: false },
  input_task: null,
  files_per_frame: 1,
};

test("P10: other settings with a refused action change nothing, not even skipped frames", () => {
  const task = newTask(terms("1-10"));
  act(at(task, 0), allFrames(task), "skip", { frames: "2-5" }, "ana");
  const before = JSON.stringify(task.ledger);
  const definition = definitionOf("demo_render", { frames: "1-10" }, { id: 1, owner: "ana" });
  const patch = { settings: { frames: "1-20" }, status: "skip", frames: "999" } as const;
  const refused = amend(at(task, 1), allFrames(task), definition, patch, COMPILED, "ana");
  expect(refused).toMatchObject({ ok: false, error: { code: "invalid" } });
  expect(JSON.stringify(task.ledger)).toBe(before);
});
