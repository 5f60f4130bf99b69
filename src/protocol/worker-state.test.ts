import { expect, test } from "vitest";
import { isDrained } from "./worker-state.ts";

test.each([
  [{ draining: true, status: "enabled", current_task: null }, true],
  [{ draining: true, status: "disabled", current_task: null }, true],
  [{ draining: true, status: "rendering", current_task: 3 }, false],
  [{ draining: true, status: "enabled", current_task: 3 }, false],
  [{ draining: false, status: "enabled", current_task: null }, false],
] as const)("%j is drained: %s", (worker, drained) => {
  expect(isDrained(worker)).toBe(drained);
});
