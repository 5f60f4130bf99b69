/**
 * Journeys that fail on a platform today, because the product has a fault. The tests assert that each
 * fails in this way. When the fault is mended, its test fails until the entry is taken out; then
 * `npm run platform -- --table` writes the table of `docs/platform.md` anew.
 */
import type { JourneyName } from "./journeys/index.ts";

export interface Known {
  /** Rows of `rows.ts`. */
  rows: readonly string[];
  journeys: readonly JourneyName[];
  /** How it fails: matches the message of the error. */
  fails: RegExp;
  /** It fails because something never happens; the test waits for it only for a while. */
  never?: true;
  /** Why, for the table. */
  why: string;
}

export const KNOWN: readonly Known[] = [
  {
    rows: ["subrequests-free"],
    journeys: ["many inputs"],
    fails: /500/,
    why: "a submission looks each input up in a call of its own, and the free plan has 1,000 calls",
  },
  {
    rows: ["row-size"],
    journeys: ["many inputs"],
    fails: /500/,
    why: "the definition of a task is one row, and holds each input twice",
  },
  {
    rows: ["latency"],
    journeys: ["many inputs"],
    fails: /tablao submit|submit ended with/,
    why: "2,100 look-ups of 175 ms, six at a time, take longer than the client waits for the answer",
  },
  {
    rows: ["alarms-dropped", "alarms-lost", "all"],
    journeys: ["silent worker"],
    fails: /is not completed/,
    never: true,
    why: "nothing sets the alarm again when an object is read, and nothing looks after tasks that do not report",
  },
  {
    rows: ["alarms-lost", "all"],
    journeys: ["removal"],
    fails: /is not gone/,
    never: true,
    why: "the removal is work of the alarm, and nothing sets it again",
  },
  {
    rows: ["d1-full"],
    journeys: ["removal"],
    fails: /is not gone/,
    never: true,
    why: "the removal waits until the history is written, and a full database never takes it",
  },
  {
    rows: ["quota"],
    journeys: ["render"],
    fails: /answered 500/,
    why: "a quota that is used up is answered as a fault of the manager",
  },
  {
    rows: ["old-object"],
    journeys: ["render", "submit", "upload", "download", "page", "backup"],
    fails: /500/,
    why: "a method that an old object lacks is answered as a fault of the manager",
  },
  {
    rows: ["newer-schema"],
    journeys: ["render"],
    fails: /answered 500/,
    why: "a schema that is too new is answered as a fault of the manager",
  },
  {
    rows: ["cut-streams", "all"],
    journeys: ["zip"],
    fails: /cannot be resumed|did not arrive/,
    why: "a zip that breaks off cannot be resumed",
  },
  {
    rows: ["edge-401", "edge-403", "edge-404"],
    journeys: ["render", "submit", "upload", "download", "backup"],
    fails: /agent|ended with|401|403|404/,
    why: "an answer that is not the manager's ends agents and commands",
  },
];

/** What is known of a journey on a platform. */
export function knownOf(row: string, journey: JourneyName): Known | undefined {
  return KNOWN.find(({ rows, journeys }) => rows.includes(row) && journeys.includes(journey));
}
