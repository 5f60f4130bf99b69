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
    rows: ["d1-full"],
    journeys: ["removal"],
    fails: /is not gone/,
    never: true,
    why: "a removed task waits a day for a full database before it drops the events that wait (decision 016)",
  },
];

/** What is known of a journey on a platform. */
export function knownOf(row: string, journey: JourneyName): Known | undefined {
  return KNOWN.find(({ rows, journeys }) => rows.includes(row) && journeys.includes(journey));
}
