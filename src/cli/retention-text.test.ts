/** What `tablao retention` says after a change. */
import { expect, test } from "vitest";
import type { Task } from "../protocol/task.ts";
import { retentionText } from "./retention-text.ts";

const said = (task: Partial<Task>): string => retentionText(task as Task);

test("P14: a task that a rule may still delete is never called kept for ever", () => {
  // Before its end, nobody says whether a rule of the farm will count.
  for (const status of ["paused", "queued", "rendering"] as const)
    expect(said({ status })).toBe("no rule of its own; the farm's rules count when it has ended");
  // A rule of the farm may count from the download.
  expect(said({ status: "completed", expires_ms: null })).toBe("no rule deletes it at present");
  expect(said({ status: "completed", expires_ms: null, downloaded_ms: 0 })).toBe(
    "downloaded 1970-01-01 00:00:00 UTC; no rule deletes it at present",
  );
});

test("own rules and the instant are said", () => {
  expect(said({ status: "paused", retention_days: 1 })).toBe("retention deleted 1 day after its end");
  expect(said({ status: "failed", retention_days: "forever", expires_ms: null })).toBe(
    "retention not deleted for its age; no rule deletes it at present",
  );
  expect(said({ status: "canceled", expires_ms: 86_400_000, expires_by: "farm" })).toBe(
    "deleted after 1970-01-02 00:00:00 UTC, by the farm's rule",
  );
});
