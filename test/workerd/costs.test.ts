/**
 * What a task costs, in counts: requests, rows written, rows read. The platform bills these, and
 * they are the same on every machine, so this test guards them. `npm run bench` prints the same
 * counts beside its measurements.
 *
 * A change that exceeds a limit for a good reason raises it here, in the commit that gives the
 * reason.
 */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, expect, test } from "vitest";
import worker, { TaskDO, WorkerRegistry } from "../../src/index.ts";
import { billOf, LIGHT, objectRequests, rowsWritten, SLOW, type WholeTask } from "../bench/counts.ts";
import { Meter } from "../bench/workerd/meter.ts";
import { sender } from "../bench/workerd/sender.ts";
import { wholeTask } from "../bench/workerd/whole-task.ts";
import { ADMIN_TOKEN } from "./http-client.ts";

let meter: Meter;

beforeAll(() => {
  // In the morning, so that no new day, with rows of its own, begins during the test.
  meter = new Meter([TaskDO, WorkerRegistry], env, Date.UTC(2026, 10, 2, 9));
  meter.startClock();
});
afterAll(() => meter.stopClock());

/** Costs per frame. */
async function costsOf(work: WholeTask) {
  const send = sender(worker, env, meter, createExecutionContext);
  const { counts } = await wholeTask({ env, meter, send, adminToken: ADMIN_TOKEN }, work);
  return {
    objectRequests: objectRequests(counts) / work.frames,
    requests: counts.requests / work.frames,
    rowsWritten: rowsWritten(counts) / work.frames,
    rowsRead: (counts.rowsRead + counts.d1RowsRead) / work.frames,
    puts: counts.classA / work.frames,
    dollars: billOf(counts, work.frames).dollars,
  };
}

/** The costs above their limit, with their values; those at or below it are left out. */
function above(costs: Record<string, number>, limits: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(costs).filter(([name, value]) => value > limits[name]!));
}

// A put more than one a frame: a farm that begins to work puts the open marker (decision 016).
test.each([
  {
    what: "short frames, one to a lease: at most 1.2 object requests and 4 rows a frame",
    work: { ...LIGHT, chunk: 1 },
    limits: { objectRequests: 1.2, requests: 2.15, rowsWritten: 2.7, rowsRead: 3.4, puts: 1.005, dollars: 8.1 },
  },
  {
    what: "short frames, ten to a lease: at most 1 row a frame, and $8 per million",
    work: { ...LIGHT, chunk: 10 },
    limits: { objectRequests: 0.33, requests: 1.3, rowsWritten: 0.75, rowsRead: 1.5, puts: 1.005, dollars: 6 },
  },
  {
    what: "short frames, as many to a lease as is best",
    work: { ...LIGHT, chunk: "auto" as const },
    limits: { objectRequests: 0.33, requests: 1.3, rowsWritten: 0.75, rowsRead: 1.5, puts: 1.005, dollars: 6 },
  },
  {
    what: "frames of half a minute pay for their renewals, and for nothing else",
    work: { ...SLOW, chunk: 1 },
    limits: { objectRequests: 3.4, requests: 3.8, rowsWritten: 6.9, rowsRead: 16.5, puts: 1.005, dollars: 14 },
  },
])("$what", async ({ work, limits }) => {
  const costs = await costsOf(work);
  expect(above(costs, limits)).toEqual({});
});
