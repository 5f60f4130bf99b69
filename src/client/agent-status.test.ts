/** The line that says how an agent is: always true, also when nothing works. */
import { expect, test } from "vitest";
import { agentName, agentStatusSchema, statusLine, type AgentStatus, type LeaseStatus } from "./agent-status.ts";

const AGENT: AgentStatus = {
  name: "render-01",
  pid: 4,
  version: "0.2.0",
  worker_id: 3,
  manager: "https://farm.example",
  connection: "connected",
  connection_since_ms: 0,
  paused: false,
  drained: false,
  stopping: false,
  disk_full_until_ms: null,
  leases: [],
  cache_bytes: 1_234_000_000,
};
const LEASE: LeaseStatus = { task_id: 12, phase: "rendering", frame: 7, progress: 0.436, done: 3, total: 10 };
const clock = (ms: number): string => `T${ms}`;

test.each([
  ["idle", {}, "waiting for work · connected"],
  ["rendering", { leases: [LEASE] }, "task 12 frame 7, 43 %, 3 of 10 done · connected"],
  [
    "rendering one frame, of which the program says nothing",
    { leases: [{ ...LEASE, progress: null, done: 0, total: 1 }] },
    "task 12 frame 7 · connected",
  ],
  ["fetching", { leases: [{ ...LEASE, phase: "fetching", frame: null }] }, "task 12: fetching its inputs · connected"],
  ["loading", { leases: [{ ...LEASE, frame: null, done: 0 }] }, "task 12: starting, 0 of 10 done · connected"],
  ["delivering", { leases: [{ ...LEASE, phase: "delivering" }] }, "task 12: delivering, 3 of 10 done · connected"],
  ["paused", { paused: true }, "paused on this machine · connected"],
  [
    "pausing",
    { paused: true, leases: [LEASE] },
    "pausing on this machine: the last is · task 12 frame 7, 43 %, 3 of 10 done · connected",
  ],
  ["drained by an admin", { drained: true }, "drained by an admin: no work until it is enabled · connected"],
  [
    "both",
    { drained: true, paused: true },
    "paused on this machine · drained by an admin: no work until it is enabled · connected",
  ],
  [
    "draining by an admin",
    { drained: true, leases: [LEASE] },
    "draining, as an admin asked · task 12 frame 7, 43 %, 3 of 10 done · connected",
  ],
  [
    "told to end",
    { stopping: true, leases: [LEASE] },
    "draining: it ends after · task 12 frame 7, 43 %, 3 of 10 done · connected",
  ],
  ["ending", { stopping: true, paused: true }, "stopping · connected"],
  ["disk full", { disk_full_until_ms: 5 }, "disk full: no work until T5 · connected"],
  [
    "not connected, and idle",
    { connection: "none", connection_since_ms: 9 },
    "no work without a connection · no connection since T9",
  ],
  [
    "not connected, and rendering",
    { connection: "none", connection_since_ms: 9, leases: [LEASE] },
    "task 12 frame 7, 43 %, 3 of 10 done · no connection since T9",
  ],
  ["without a socket", { connection: "http" }, "waiting for work · connected over plain HTTP since T0"],
  ["starting", { connection: "starting", worker_id: null }, "starting · no answer from the manager yet"],
  [
    "with many slots",
    { leases: [1, 2, 3, 4, 5].map((task_id) => ({ ...LEASE, task_id, total: 1, progress: null })) },
    "task 1 frame 7 · task 2 frame 7 · task 3 frame 7 · and 2 more · connected",
  ],
] satisfies [string, Partial<AgentStatus>, string][])("%s", (_, fields, text) => {
  const status = { ...AGENT, ...fields };
  expect(agentStatusSchema.parse(status)).toEqual(status);
  expect(statusLine(status, clock)).toBe(`${text} · cache 1.2 GB`);
});

test("a progress out of its range, and an empty cache, make no nonsense", () => {
  const lease = { ...LEASE, total: 1, progress: 1.7 };
  expect(statusLine({ ...AGENT, leases: [lease], cache_bytes: 0 })).toBe(
    "task 12 frame 7, 100 % · connected · cache 0 B",
  );
});

test("an agent is named with its worker and its manager, once it has them", () => {
  expect(agentName(AGENT)).toBe("render-01 (worker 3 at https://farm.example)");
  expect(agentName({ ...AGENT, worker_id: null, manager: null })).toBe("render-01 (not registered yet)");
});
