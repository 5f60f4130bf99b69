/**
 * The emulated platforms, and which journeys are made on each: those that its limit can affect. What
 * is known to fail is in `known.ts`.
 */
import { until } from "../support/wait.ts";
import type { Conditions, Ground } from "./ground.ts";
import type { JourneyName } from "./journeys/index.ts";

/** A row of the table: a platform. */
export interface PlatformRow extends Conditions {
  name: string;
  /** What it does, for the table. */
  what: string;
  /** Whether the limit acts in every journey of this row; others a farm may never meet. */
  acts: boolean;
  /** Journeys of `npm run test:all`. */
  often: readonly JourneyName[];
  /** Journeys that only `npm run platform` makes. */
  seldom: readonly JourneyName[];
  /** Before the journey begins. */
  before?: (ground: Ground) => Promise<void>;
}

const DAY_MS = 86_400_000;

/** Wait until somebody is refused. Agents may have nothing to ask just now, so a person asks, too. */
async function untilRefused({ front, manager, withinMs }: Ground): Promise<void> {
  const from = front.seen.length;
  const headers = { authorization: `Bearer ${manager.token}`, "content-type": "application/json" };
  const body = JSON.stringify({ lease_s: 60 });
  const refused = async (): Promise<boolean> => {
    await (await fetch(`${manager.url}/settings`, { method: "POST", headers, body })).arrayBuffer();
    return front.seen.slice(from).some(({ status = 0 }) => status >= 500);
  };
  await until(refused, { withinMs, what: "a call is refused" });
}

export const ROWS: readonly PlatformRow[] = [
  {
    name: "plain",
    what: "workerd with local storage, nothing emulated",
    limits: [],
    acts: false,
    often: [],
    seldom: [
      "submit",
      "many inputs",
      "render",
      "silent worker",
      "upload",
      "download",
      "zip",
      "page",
      "backup",
      "removal",
    ],
  },
  {
    name: "latency",
    what: "every call of a binding takes 50 to 300 ms",
    limits: ["latency"],
    acts: true,
    often: [],
    seldom: ["submit", "many inputs", "render", "silent worker", "upload", "download", "page", "backup", "removal"],
  },
  {
    name: "connections",
    what: "6 calls wait for the head of their answer",
    limits: ["connections"],
    acts: false,
    often: [],
    seldom: ["submit", "many inputs", "upload", "download", "zip", "backup"],
  },
  {
    name: "subrequests-free",
    what: "1,000 calls of bindings in a request (free plan)",
    limits: ["subrequests-free"],
    acts: false,
    often: ["many inputs"],
    seldom: ["render", "upload", "zip", "backup"],
  },
  {
    name: "subrequests-paid",
    what: "10,000 calls of bindings in a request (paid plan)",
    limits: ["subrequests-paid"],
    acts: false,
    often: [],
    seldom: ["many inputs", "zip"],
  },
  {
    name: "d1-queries",
    what: "50 queries of D1 in a request, or in an event of an object (free plan)",
    limits: ["d1-queries"],
    acts: false,
    often: ["backup"],
    seldom: ["many inputs", "render", "page"],
  },
  {
    name: "write-rate",
    what: "a second put of one R2 key within a second is refused (10058)",
    limits: ["write-rate"],
    acts: false,
    often: [],
    seldom: ["submit", "render", "upload", "backup"],
  },
  {
    name: "frozen-clock",
    what: "`Date.now()` stands still between I/O",
    limits: ["frozen-clock"],
    acts: false,
    often: [],
    seldom: ["submit", "render", "silent worker", "upload", "page"],
  },
  {
    name: "row-size",
    what: "rows above 2 MB are refused",
    limits: ["row-size"],
    acts: false,
    often: ["many inputs"],
    seldom: ["render", "backup"],
  },
  {
    name: "alarms-dropped",
    what: "the first alarm of each object fails 7 times and is dropped",
    limits: ["alarms-dropped"],
    acts: true,
    often: ["silent worker"],
    seldom: ["render", "removal"],
  },
  {
    name: "alarms-lost",
    what: "the first two alarms of each object never ring",
    limits: ["alarms-lost"],
    acts: true,
    often: ["silent worker"],
    seldom: ["render", "removal"],
  },
  {
    name: "d1-full",
    what: "D1 refuses writes for ever: it is full",
    limits: ["d1-full"],
    acts: false,
    often: ["render", "removal"],
    seldom: ["download", "page"],
  },
  {
    name: "d1-stalled",
    what: "D1 answers nothing for 40 s",
    limits: [],
    midway: ({ platform }) => platform.limit("d1-stalled"),
    acts: false,
    often: ["render"],
    seldom: ["backup"],
  },
  {
    name: "quota",
    what: "rows of the day are used up: writes and alarms are refused until midnight",
    limits: [],
    // Noon, so that no midnight comes before the journey has seen refusals.
    before: async ({ platform }) => {
      await platform.setClockForward(((await platform.untilMidnightMs()) + DAY_MS / 2) % DAY_MS);
    },
    midway: async (ground) => {
      await ground.platform.limit("quota");
      await untilRefused(ground);
      await ground.platform.limit();
    },
    acts: true,
    often: ["render"],
    seldom: [],
  },
  {
    name: "cut-streams",
    what: "the first of forty streams from R2 breaks off half way",
    limits: ["cut-streams"],
    acts: true,
    often: ["upload", "zip"],
    seldom: ["download", "backup"],
  },
  {
    name: "old-object",
    what: "objects of the old release lack the methods of the new one",
    limits: ["old-object"],
    acts: true,
    often: ["render"],
    seldom: ["submit", "upload", "download", "page", "backup"],
  },
  {
    name: "newer-schema",
    what: "a rollback: the old release meets rows of the new one, until it is deployed again",
    limits: [],
    midway: async (ground) => {
      await ground.platform.limit("newer-schema");
      await ground.platform.reset();
      await untilRefused(ground);
      await ground.platform.limit();
      await ground.platform.reset();
    },
    acts: true,
    often: ["render"],
    seldom: [],
  },
  ...([401, 403, 404, 429, 503] as const).map((edge): PlatformRow => ({
    name: `edge-${edge}`,
    what: `an edge answers the first request of each kind with HTML and ${edge}`,
    limits: [],
    edge,
    acts: false,
    often: ["render"],
    seldom: ["submit", "upload", "download", "backup"],
  })),
  {
    name: "all",
    what: "everything that a paid account has at once, lost alarms, cut streams and an edge with 503",
    limits: [
      "latency",
      "connections",
      "subrequests-paid",
      "write-rate",
      "frozen-clock",
      "row-size",
      "alarms-lost",
      "cut-streams",
    ],
    edge: 503,
    acts: false,
    often: ["submit", "render", "upload", "download", "page", "backup"],
    seldom: ["silent worker", "zip", "removal"],
  },
];
