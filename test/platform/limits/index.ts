/** The limits that act inside the runtime, by name. The edge in front of it is `edge.ts`. */
import { alarmsDropped } from "./alarms-dropped.ts";
import { alarmsLost } from "./alarms-lost.ts";
import { connections } from "./connections.ts";
import { cutStreams } from "./cut-streams.ts";
import { d1Full } from "./d1-full.ts";
import { d1Queries } from "./d1-queries.ts";
import { d1Stalled } from "./d1-stalled.ts";
import { frozenClock } from "./frozen-clock.ts";
import { latency } from "./latency.ts";
import type { Limit, LimitContext } from "./limit.ts";
import { newerSchema } from "./newer-schema.ts";
import { oldObject } from "./old-object.ts";
import { quota } from "./quota.ts";
import { rowSize } from "./row-size.ts";
import { subrequests } from "./subrequests.ts";
import { writeRate } from "./write-rate.ts";

/** Calls of an invocation on the free plan. */
const FREE_CALLS = 1_000;
/** Calls of an invocation on the paid plan, unless its configuration says otherwise. */
const PAID_CALLS = 10_000;

export const LIMITS = {
  latency,
  connections,
  "subrequests-free": (context: LimitContext) => subrequests(FREE_CALLS, context),
  "subrequests-paid": (context: LimitContext) => subrequests(PAID_CALLS, context),
  "write-rate": writeRate,
  "frozen-clock": frozenClock,
  "row-size": rowSize,
  "alarms-dropped": alarmsDropped,
  "alarms-lost": alarmsLost,
  "d1-queries": d1Queries,
  "d1-full": d1Full,
  "d1-stalled": d1Stalled,
  quota,
  "cut-streams": cutStreams,
  "old-object": oldObject,
  "newer-schema": newerSchema,
} satisfies Record<string, (context: LimitContext) => Limit>;

export type LimitName = keyof typeof LIMITS;
