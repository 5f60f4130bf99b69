/** A task as a manager answers it, for tests of its clients. */
import type { Task } from "../../src/protocol/task.ts";

/** A completed task of one frame, but for what is given. */
export function taskOf(over: Partial<Task> = {}): Task {
  return {
    id: 7,
    worker_id: 0,
    priority: 50,
    frame_start: 1,
    frame_end: 1,
    frame_current: 1,
    status: "completed",
    format: "PNG",
    name: "shot",
    type: "blender_render",
    parser: "",
    owner: "admin",
    task_id: null,
    error: null,
    created_ms: 1,
    updated_ms: 1,
    seconds: 0,
    errors: 0,
    lost: 0,
    eta: null,
    frames: { total: 1, done: 1, failed: 0, leased: 0, pending: 0, skipped: 0 },
    frame_list: "1",
    settings: {},
    chunk: 1,
    order: "ascending",
    depends_on: [],
    tags: [],
    lease_ms: 60_000,
    tries: 3,
    leases: [],
    kept_off: [],
    waits_for: [],
    ...over,
  };
}
