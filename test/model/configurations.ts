/**
 * What the model check explores. Each configuration stresses one part, and is explored completely:
 * the worlds are finitely many, although a run may be of any length. What is bounded is named in
 * the configuration.
 */
import type { TaskAction } from "../../src/protocol/task.ts";
import type { Configuration } from "./world.ts";

export type { Configuration };

const ALL_ACTS: TaskAction[] = ["cancel", "pause", "resume", "requeue", "skip"];

const BASE: Configuration = {
  name: "",
  workers: 2,
  frames: "1-2",
  chunk: 1,
  order: "ascending",
  leaseTicks: 2,
  tickMs: 60_000,
  tries: 3,
  able: [2],
  oldMessages: 0,
  lateReplies: false,
  sharesRows: false,
  next: "always",
  renews: true,
  releases: true,
  failures: 0,
  faults: false,
  refusals: 0,
  acts: { times: 0, kinds: [], frames: [] },
  source: null,
  blender: null,
  flats: 0,
  preemptions: 0,
  lostAlarms: 0,
  objects: false,
  leases: Infinity,
  maxStates: 5_000_000,
};

/** A tick as long as a worker is blocklisted the first time. */
const BLOCKLIST_TICK = { tickMs: 300_000, tries: 2, able: [1, 2] };

/** One of LARGE, in which faults are looked for, too: no smaller one has refusals beside failures. */
const MACHINES_AND_FAILURES: Configuration = {
  ...BASE,
  name: "machines at fault, and a failure, in chunks",
  chunk: 2,
  able: [1, 2],
  tries: 2,
  refusals: 1,
  failures: 1,
  renews: false,
  releases: false,
};

/** One of LARGE, in which faults are looked for, too: no smaller one has a source that takes frames back. */
const FRAMES_TAKEN_BACK: Configuration = {
  ...BASE,
  name: "frame by frame, frames taken back",
  workers: 1,
  able: [1],
  source: { mode: "same", takes: 1 },
  renews: false,
  releases: false,
  acts: { times: 1, kinds: ["requeue"], frames: [1] },
};

/** A few seconds each: part of `npm test`. The smallest come first. */
export const QUICK: Configuration[] = [
  { ...BASE, name: "people, one worker", workers: 1, able: [1], acts: { times: 2, kinds: ALL_ACTS, frames: [1, 2] } },
  { ...BASE, name: "late replies, old messages, one frame", frames: "1", oldMessages: 1, lateReplies: true },
  { ...BASE, name: "three workers", workers: 3, able: [3], renews: false, releases: false },
  {
    ...BASE,
    name: "objects and garbage",
    workers: 1,
    able: [1],
    chunk: 2,
    objects: true,
    leases: 2,
    acts: { times: 1, kinds: ["requeue", "cancel"], frames: [1] },
  },
  { ...BASE, name: "late replies, two frames", lateReplies: true },
  { ...BASE, name: "chunks of two, preview order", frames: "1-3", chunk: 2, order: "preview", releases: false },
  {
    ...BASE,
    name: "people, two workers",
    renews: false,
    releases: false,
    acts: { times: 2, kinds: ALL_ACTS, frames: [1, 2] },
  },
  { ...BASE, name: "preemption", preemptions: 1, releases: false, renews: false, next: "both" },
  { ...BASE, ...BLOCKLIST_TICK, name: "blocklist", frames: "1", tries: 4, failures: 3, renews: false, releases: false },
  { ...BASE, ...BLOCKLIST_TICK, name: "two failures, able workers vary", failures: 2, renews: false, releases: false },
  { ...BASE, ...BLOCKLIST_TICK, name: "failures in chunks", chunk: 2, failures: 2, renews: false, releases: false },
  { ...BASE, name: "machines at fault", frames: "1", able: [1, 2], refusals: 2, renews: false, releases: false },
  { ...BASE, name: "old messages, no renewals", oldMessages: 1, renews: false },
  { ...BASE, name: "group commit, one frame", frames: "1", sharesRows: true, lateReplies: true },
  { ...BASE, name: "group commit, two frames", sharesRows: true, renews: false },
  { ...BASE, name: "files of another task, which change", frames: "1", source: { mode: "input", takes: 1 } },
  {
    ...BASE,
    name: "versions of Blender",
    blender: { need: "4.5+", has: [["4.5.1", "5.0.0"], ["5.0.1"]] },
    acts: { times: 1, kinds: ["requeue"], frames: [1] },
    renews: false,
  },
  { ...BASE, name: "pictures of one colour, strict", tries: 2, able: [1, 2], flats: 2, releases: false, renews: false },
  {
    ...BASE,
    name: "objects, one colour, strict",
    workers: 1,
    able: [1],
    tries: 2,
    chunk: 2,
    objects: true,
    leases: 2,
    flats: 1,
  },
  { ...BASE, name: "lost alarms", frames: "1", lostAlarms: 2, releases: false },
  {
    ...BASE,
    name: "scenes at fault",
    frames: "1-3",
    chunk: 2,
    failures: 1,
    faults: true,
    renews: false,
    releases: false,
  },
];

/** Up to a minute each: part of `npm run test:all`. */
export const LARGE: Configuration[] = [
  { ...BASE, name: "two old messages, one frame", frames: "1", oldMessages: 2, lateReplies: true },
  { ...BASE, name: "longer leases", leaseTicks: 3, oldMessages: 1, frames: "1" },
  MACHINES_AND_FAILURES,
  FRAMES_TAKEN_BACK,
  { ...BASE, name: "people, all calls", acts: { times: 1, kinds: ALL_ACTS, frames: [1, 2] } },
  { ...BASE, ...BLOCKLIST_TICK, name: "three failures", failures: 3, renews: false, releases: false },
  { ...BASE, name: "three workers, all calls", workers: 3, able: [3] },
  { ...BASE, name: "preemption, all calls", preemptions: 1, next: "both" },
];

/** Minutes each: part of `npm run test:long`, for changes of the lease rules. */
export const DEEP: Configuration[] = [
  { ...BASE, name: "old messages, all calls", oldMessages: 1 },
  { ...BASE, name: "old messages, chunks of two", frames: "1-3", chunk: 2, oldMessages: 1 },
  {
    ...BASE,
    name: "people, old messages, one frame",
    frames: "1",
    oldMessages: 1,
    acts: { times: 2, kinds: ALL_ACTS, frames: [1] },
  },
  { ...BASE, ...BLOCKLIST_TICK, name: "failures in chunks, all calls", chunk: 2, failures: 2 },
  {
    ...BASE,
    ...BLOCKLIST_TICK,
    name: "failures and people",
    failures: 2,
    renews: false,
    releases: false,
    acts: { times: 1, kinds: ["requeue", "skip"], frames: [1] },
  },
  { ...BASE, name: "files of another task, which change twice", frames: "1", source: { mode: "input", takes: 2 } },
  {
    ...BASE,
    name: "frame by frame, two workers",
    source: { mode: "same", takes: 1 },
    renews: false,
    acts: { times: 1, kinds: ["requeue"], frames: [1] },
  },
  {
    ...BASE,
    name: "objects, three leases",
    workers: 1,
    able: [1],
    chunk: 2,
    objects: true,
    leases: 3,
    acts: { times: 1, kinds: ["requeue", "cancel"], frames: [1] },
  },
  {
    ...BASE,
    name: "objects, two workers",
    chunk: 2,
    objects: true,
    leases: 2,
    acts: { times: 1, kinds: ["requeue"], frames: [1] },
  },
];

/** What is explored with a mutation planted: a little of each world first, because most are found in a few moves. */
export const HUNT: Configuration[] = [500, 5_000, 50_000].flatMap((maxStates) =>
  [...QUICK, MACHINES_AND_FAILURES, FRAMES_TAKEN_BACK].map((configuration) => ({ ...configuration, maxStates })),
);
