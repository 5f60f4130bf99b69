import { expect, test } from "vitest";
import { isDrained, otherAgentText, programsOf } from "./worker-state.ts";

test.each([
  [{ draining: true, status: "enabled", current_task: null }, true],
  [{ draining: true, status: "disabled", current_task: null }, true],
  [{ draining: true, status: "rendering", current_task: 3 }, false],
  [{ draining: true, status: "enabled", current_task: 3 }, false],
  [{ draining: false, status: "enabled", current_task: null }, false],
] as const)("%j is drained: %s", (worker, drained) => {
  expect(isDrained(worker)).toBe(drained);
});

test("people are told where another agent with the identity is, and what to do there", () => {
  const agent = { hostname: "copy-of-07", ip_address: "192.0.2.7", seen_ms: 1 };
  expect(otherAgentText(agent)).toMatch(/asks from copy-of-07 \(192\.0\.2\.7\) .*TABLAO_JOIN=TOKEN/);
  expect(otherAgentText({ ...agent, hostname: "" })).toMatch(/asks from 192\.0\.2\.7 /);
});

test("a worker's programs are shown with all versions that it has of them", () => {
  const programs = { blender: "4.5.15", ffmpeg: "7.1", old: "" };
  expect(programsOf({ programs, versions: { blender: ["4.5.15", "3.4.1"] } })).toEqual([
    "blender 4.5.15 and 3.4.1",
    "ffmpeg 7.1",
    "old",
  ]);
  expect(programsOf({ programs: { blender: "4.5.15" } })).toEqual(["blender 4.5.15"]);
});
