/** The worlds in which the sweep of inputs is explored: seconds each. */
import type { Named } from "./actor.ts";
import { DAY, HOUR, MINUTE, SECOND, type Configuration } from "./world.ts";

const OLD = { usedDaysAgo: 10 };
const GIVEN_UP = { usedDaysAgo: 10, givenUp: true };
/** A list, and its piece; see `names.ts`. */
const LISTED = { twice: { usedDaysAgo: 10, asList: true }, zero: OLD };
const A: Named = { input: "a", asList: false };
const LIST: Named = { input: "twice", asList: true };
/** The file that has the text of the list. */
const TEXT: Named = { input: "twice", asList: false };
const PIECE: Named = { input: "zero", asList: false };
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
  { ...NOTHING, name: "a task is removed", inputs: { a: OLD }, tasks: [[A]], removals: 1, steps: 2 },
  { ...NOTHING, name: "a submission while a run deletes", inputs: { a: OLD }, submitters: [[A]], isDeleting: true },
  {
    ...NOTHING,
    name: "a piece list that a task names",
    inputs: LISTED,
    tasks: [[LIST], [PIECE]],
    removals: 2,
    steps: 2,
    stepsMs: [2 * MINUTE, 8 * DAY],
  },
  {
    ...NOTHING,
    name: "a deletion that was given up",
    inputs: { a: GIVEN_UP },
    submitters: [[A]],
    isDeleting: true,
    sweeps: 1,
    faults: 1,
    stepsMs: [25 * HOUR],
  },
  {
    ...NOTHING,
    name: "an answer that is slow while a run deletes",
    inputs: { a: OLD },
    submitters: [[A]],
    isDeleting: true,
    sweeps: 1,
    slow: 1,
    stepsMs: [50 * SECOND, 25 * HOUR],
  },
  {
    ...NOTHING,
    name: "a piece list that was given up, and comes again",
    inputs: { twice: { ...LISTED.twice, givenUp: true }, zero: OLD },
    submitters: [[LIST]],
    isDeleting: true,
    stepsMs: [6 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a piece list whose row D1 did not take",
    inputs: { twice: { ...LISTED.twice, marked: true }, zero: OLD },
    tasks: [[LIST]],
    removals: 1,
    steps: 2,
    stepsMs: [2 * MINUTE, 8 * DAY],
  },
  {
    ...NOTHING,
    name: "a piece list whose row names no pieces",
    inputs: { twice: OLD, zero: OLD },
    tasks: [[LIST]],
    removals: 1,
    steps: 2,
    stepsMs: [2 * MINUTE, 8 * DAY],
  },
];

/** Further ones of `npm run test:all`. */
export const LARGE: readonly Configuration[] = [
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
    name: "a submission, two sweeps",
    inputs: { a: OLD },
    submitters: [[A]],
    steps: 2,
    stepsMs: [2 * MINUTE, 8 * DAY],
  },
  {
    ...NOTHING,
    name: "a sweep that dies",
    inputs: { a: OLD },
    submitters: [[A]],
    isDeleting: true,
    crashes: 1,
    stepsMs: [50 * SECOND, 6 * MINUTE, 25 * HOUR],
  },
  {
    ...NOTHING,
    name: "two sweeps at once",
    inputs: { a: OLD },
    submitters: [[A]],
    isDeleting: true,
    sweepsAtOnce: 2,
    stepsMs: [6 * MINUTE],
  },
  {
    ...NOTHING,
    name: "two submissions",
    inputs: { a: OLD },
    submitters: [[A], [A]],
    sweeps: 1,
    isDeleting: true,
    stepsMs: [6 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a call that fails",
    inputs: { a: OLD },
    submitters: [[A]],
    faults: 1,
    stepsMs: [2 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a call that fails while a run deletes",
    inputs: { a: OLD },
    submitters: [[A]],
    isDeleting: true,
    faults: 1,
    stepsMs: [6 * MINUTE, 25 * HOUR],
  },
  {
    ...NOTHING,
    name: "a piece list of two pieces",
    inputs: { pair: LISTED.twice, one: OLD, two: OLD },
    submitters: [[{ input: "pair", asList: true }]],
    isDeleting: true,
    sweeps: 1,
    crashes: 1,
    stepsMs: [6 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a piece list that was deleted, and its text has come again",
    inputs: {
      twice: { ...LISTED.twice, deleted: true, cameAgain: true },
      zero: { ...OLD, deleted: true },
      a: OLD,
    },
    submitters: [[TEXT]],
    faults: 1,
    stepsMs: [2 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a piece list that comes, and a call that fails",
    inputs: { zero: OLD },
    submitters: [[LIST]],
    faults: 1,
    stepsMs: [2 * MINUTE],
  },
  {
    ...NOTHING,
    name: "a piece list that comes while a run deletes, and a call that fails",
    inputs: LISTED,
    submitters: [[LIST]],
    isDeleting: true,
    sweeps: 1,
    faults: 1,
    stepsMs: [25 * HOUR],
  },
  {
    ...NOTHING,
    name: "a piece list, and an upload of its text",
    inputs: LISTED,
    submitters: [[LIST], [TEXT]],
    isDeleting: true,
    sweeps: 1,
    stepsMs: [6 * MINUTE],
  },
];

/** Where planted faults are looked for, the smaller worlds first. */
export const HUNT: readonly Configuration[] = [...QUICK, ...LARGE];
