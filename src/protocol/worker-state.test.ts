import { expect, test } from "vitest";
import { isDrained, otherAgentText, programsOf, workerState } from "./worker-state.ts";

test.each([
  [{ draining: true, status: "enabled", current_task: null }, true],
  [{ draining: true, status: "disabled", current_task: null }, true],
  [{ draining: true, status: "rendering", current_task: 3 }, false],
  [{ draining: true, status: "enabled", current_task: 3 }, false],
  [{ draining: false, status: "enabled", current_task: null }, false],
] as const)("%j is drained: %s", (worker, drained) => {
  expect(isDrained(worker)).toBe(drained);
});

const FREE = { connection: "online", status: "enabled", draining: false, current_task: null } as const;
test.each([
  [{}, "enabled"],
  [{ local_state: null }, "enabled"],
  [{ status: "rendering", current_task: 3 }, "rendering"],
  [{ draining: true }, "drained"],
  [{ draining: true, status: "rendering", current_task: 3 }, "draining"],
  [{ draining: true, local_state: "paused" }, "drained"],
  [{ local_state: "paused" }, "paused"],
  [{ local_state: "paused", status: "rendering", current_task: 3 }, "pausing"],
  [{ local_state: "paused", status: "rendering" }, "pausing"],
  [{ local_state: "draining" }, "draining"],
  [{ status: "disabled", local_state: "paused" }, "disabled"],
  [{ connection: "offline", local_state: "paused", status: "disabled" }, "offline"],
] as const)("a worker with %j is %s", (fields, state) => {
  expect(workerState({ ...FREE, ...fields })).toBe(state);
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
