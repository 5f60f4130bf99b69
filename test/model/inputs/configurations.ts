/** The worlds in which the sweep of inputs is explored: seconds each. */
import { LIST } from "./actor.ts";
import { DAY, HOUR, MINUTE, SECOND, type Configuration } from "./world.ts";

const OLD = { usedDaysAgo: 10 };
const GIVEN_UP = { usedDaysAgo: 10, givenUp: true };
const LISTED = { [LIST]: { usedDaysAgo: 10, pieces: ["piece"] }, piece: OLD };
/** Shorter and longer than a call, the wait for the marker, a lease, the life of a row, the grace. */
const ALL_STEPS = [50 * SECOND, 2 * MINUTE, 6 * MINUTE, 25 * HOUR, 8 * DAY];

const NOTHING: Omit<Configuration, "name" | "inputs"> = {
  tasks: [],
  submitters: [],
  sweepsAtOnce: 1,
  sweeps: 2,
  removals: 0,
  crashes: 0,
  faults: 0,
  slow: 0,
  isDeleting: false,
  steps: 1,
  stepsMs: ALL_STEPS,
};

/** Those of `npm test`: seconds. */
export const QUICK: readonly Configuration[] = [
  { ...NOTHING, name: "a task is removed", inputs: { a: OLD }, tasks: [["a"]], removals: 1, steps: 2 },
  { ...NOTHING, name: "a submission while a run deletes", inputs: { a: OLD }, submitters: [["a"]], isDeleting: true },
  {
    ...NOTHING,
    name: "a piece list that a task names",
    inputs: LISTED,
    tasks: [[LIST], ["piece"]],
    removals: 2,
    steps: 2,
    stepsMs: [2 * MINUTE, 8 * DAY],
  },
  {
    ...NOTHING,
    name: "a piece list, and a sweep that dies",
    inputs: LISTED,
    submitters: [[LIST]],
    isDeleting: true,
    crashes: 1,
    stepsMs: [6 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a deletion that was given up",
    inputs: { a: GIVEN_UP },
    submitters: [["a"]],
    isDeleting: true,
    sweeps: 1,
    faults: 1,
    stepsMs: [25 * HOUR],
  },
  {
    ...NOTHING,
    name: "an answer that is slow while a run deletes",
    inputs: { a: OLD },
    submitters: [["a"]],
    isDeleting: true,
    sweeps: 1,
    slow: 1,
    stepsMs: [50 * SECOND, 25 * HOUR],
  },
];

/** Further ones of `npm run test:all`. */
export const LARGE: readonly Configuration[] = [
  {
    ...NOTHING,
    name: "a submission, two sweeps",
    inputs: { a: OLD },
    submitters: [["a"]],
    steps: 2,
    stepsMs: [2 * MINUTE, 8 * DAY],
  },
  {
    ...NOTHING,
    name: "a sweep that dies",
    inputs: { a: OLD },
    submitters: [["a"]],
    isDeleting: true,
    crashes: 1,
    stepsMs: [50 * SECOND, 6 * MINUTE, 25 * HOUR],
  },
  {
    ...NOTHING,
    name: "two sweeps at once",
    inputs: { a: OLD },
    submitters: [["a"]],
    isDeleting: true,
    sweepsAtOnce: 2,
    stepsMs: [6 * MINUTE],
  },
  {
    ...NOTHING,
    name: "two submissions",
    inputs: { a: OLD },
    submitters: [["a"], ["a"]],
    sweeps: 1,
    isDeleting: true,
    stepsMs: [6 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a call that fails",
    inputs: { a: OLD },
    submitters: [["a"]],
    faults: 1,
    stepsMs: [2 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a call that fails while a run deletes",
    inputs: { a: OLD },
    submitters: [["a"]],
    isDeleting: true,
    faults: 1,
    stepsMs: [6 * MINUTE, 25 * HOUR],
  },
];

/** Where planted faults are looked for, the smaller worlds first. */
export const HUNT: readonly Configuration[] = [...QUICK, ...LARGE];
