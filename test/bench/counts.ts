/**
 * Counts of what the platform bills, and their price. Pure: both sides of the runtime import it.
 */
import { PRICES } from "../../src/protocol/prices.ts";

export interface Counts {
  /** Requests of the Worker. */
  requests: number;
  /** Calls of task objects, and of the registry. */
  taskCalls: number;
  registryCalls: number;
  /** Calls of both, by method. */
  calls: Record<string, number>;
  /** Alarms that ran: each is a request. */
  alarms: number;
  /** Alarms that were set: each is a written row, and part of `rowsWritten`. */
  alarmsSet: number;
  /** Rows of all objects, counted by their cursors. */
  rowsRead: number;
  rowsWritten: number;
  d1RowsRead: number;
  d1RowsWritten: number;
  /** R2 operations: puts and lists, gets and heads. */
  classA: number;
  classB: number;
}

/** Requests to Durable Objects. */
export function objectRequests(counts: Counts): number {
  return counts.taskCalls + counts.registryCalls + counts.alarms;
}

/** Rows written, by objects and in D1. */
export function rowsWritten(counts: Counts): number {
  return counts.rowsWritten + counts.d1RowsWritten;
}

/** A task to be counted. */
export interface WholeTask {
  frames: number;
  chunk: number | "auto";
  workers: number;
  /** Milliseconds of a frame, and of loading the scene before the first frame of a lease. */
  frameMs: number;
  loadMs: number;
  /** Agents with ffmpeg upload a small picture beside each frame. */
  previews: boolean;
}

/** The cost of the task, and how long it took on the meter's clock. */
export interface TaskCounts {
  counts: Counts;
  leases: number;
  tookMs: number;
}

/**
 * A Blender scene that loads in 2 s and renders in 2 s; and one that takes half a minute a frame.
 */
export const LIGHT: Omit<WholeTask, "chunk"> = {
  frames: 1_000,
  workers: 8,
  frameMs: 2_000,
  loadMs: 2_000,
  previews: false,
};
export const SLOW: Omit<WholeTask, "chunk"> = { ...LIGHT, frames: 200, frameMs: 30_000 };

/** CPU milliseconds of a Worker request: above what `npm run bench` measures. */
const CPU_MS = 2;
/** An object is billed for 128 MB while it works; a call of ours takes about 1 ms. */
const OBJECT_GB_S = 0.125 * 0.001;

export interface Bill {
  /** Dollars per million frames. */
  dollars: number;
  items: { what: string; dollars: number }[];
}

/** The cost of a million frames like these. */
export function billOf(counts: Counts, frames: number): Bill {
  const each = (count: number, price: number): number => (count / frames) * price;
  const items = [
    { what: "R2 writes", dollars: each(counts.classA, PRICES.classA) },
    { what: "R2 reads", dollars: each(counts.classB, PRICES.classB) },
    { what: "rows written", dollars: each(rowsWritten(counts), PRICES.rowsWritten) },
    { what: "rows read", dollars: each(counts.rowsRead + counts.d1RowsRead, PRICES.rowsRead) },
    { what: "Worker requests", dollars: each(counts.requests, PRICES.requests + CPU_MS * PRICES.cpuMs) },
    {
      what: "object requests",
      dollars: each(objectRequests(counts), PRICES.objectRequests + OBJECT_GB_S * PRICES.objectGbS),
    },
  ];
  return { dollars: items.reduce((sum, item) => sum + item.dollars, 0), items };
}
