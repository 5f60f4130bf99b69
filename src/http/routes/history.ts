/**
 * What happened: `GET /history`, `/history/days` and `/history/workers`, as JSON or CSV. Reads D1,
 * and asks the registry for the names of workers.
 */
import { z } from "zod";
import { decodeCursor, encodeCursor, NEWEST } from "../../history/event-page.ts";
import { queryAllEvents, queryEvents, queryKeptFrom, type EventFilter } from "../../history/store.ts";
import { queryDays, queryWorkers } from "../../history/totals-store.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { invalidFields } from "../../platform/problem-response.ts";
import { idSchema, instantSchema } from "../../protocol/fields.ts";
import { isAboutFrames } from "../../protocol/history-rows.ts";
import {
  dayTotalsSchema,
  EVENT_KINDS,
  eventKindSchema,
  historyPageSchema,
  workerTotalsSchema,
} from "../../protocol/history.ts";
import type { Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { csvResponse, wantsCsv } from "../server/csv.ts";
import { defineRoute, PEOPLE, type Route } from "../server/route.ts";

const common = { method: "GET", tag: "history", who: PEOPLE } as const;

/**
 * Kinds that are about a task as a whole; `status` takes these, in the words a task's status has.
 */
const TASK_KINDS = EVENT_KINDS.filter((kind) => !isAboutFrames(kind));

const ORDER = "must not be before `since`";

const format = z
  .enum(["json", "csv"])
  .optional()
  .meta({ description: "`csv` for spreadsheets; so does `Accept: text/csv`" });

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
/**
 * A leap year. Totals of workers are read with their tasks: with more days, memory would not do.
 */
const MAX_DAYS = 366;

const daysQuery = z
  .strictObject({ since: instantSchema.optional(), until: instantSchema.optional(), format })
  .refine((query) => (query.since ?? 0) <= (query.until ?? Infinity), { path: ["until"], message: ORDER });

export const listHistory = defineRoute({
  ...common,
  path: "/history",
  operationId: "listHistory",
  summary: "What happened, newest first",
  query: z
    .strictObject({
      task_id: idSchema.optional(),
      worker_id: idSchema.optional(),
      kind: eventKindSchema.optional(),
      status: z.enum(TASK_KINDS).optional(),
      type: z
        .string()
        .regex(/^[a-z][a-z0-9_]{0,63}$/, "must be a task type")
        .optional(),
      since: instantSchema.optional(),
      until: instantSchema.optional(),
      limit: z.int().min(1).max(500).default(100),
      cursor: z.string().min(1).max(200).optional(),
      format,
    })
    .refine((query) => query.kind === undefined || query.status === undefined, {
      path: ["status"],
      message: "give `kind` or `status`, not both",
    })
    .refine((query) => (query.since ?? 0) <= (query.until ?? Infinity), { path: ["until"], message: ORDER }),
  answers: { 200: { description: "A page of events", schema: historyPageSchema } },
  handle: async ({ request, env, query }) => {
    const { task_id, worker_id, kind, status, type, since, until, limit, cursor, format } = query;
    const start = cursor === undefined ? NEWEST : decodeCursor(cursor);
    if (!start) return err(invalidFields([{ field: "cursor", message: "is not a cursor of this list" }]));
    const filter = { task_id, worker_id, kind: kind ?? status, type, sinceMs: since, untilMs: until };
    if (wantsCsv(request, format)) {
      if (cursor !== undefined)
        return err(invalidFields([{ field: "cursor", message: "does not go with CSV, which has it all" }]));
      return csvResponse("history", EVENT_COLUMNS, eventPages(env.HISTORY, filter));
    }
    const [{ events, next }, kept_from_ms] = await Promise.all([
      queryEvents(env.HISTORY, filter, start, limit),
      queryKeptFrom(env.HISTORY),
    ]);
    const ids = events.map((event) => event.worker_id).filter((id) => id !== null);
    return ok({ events, cursor: next && encodeCursor(next), workers: await namesOf(env, ids), kept_from_ms });
  },
});

/** Totals of every UTC day that `since` to `until` touches; the last 30 days by default. */
export const listDays = defineRoute({
  ...common,
  path: "/history/days",
  operationId: "listDays",
  summary: "Totals per day (UTC)",
  query: daysQuery,
  answers: { 200: { description: "Days", schema: dayTotalsSchema } },
  handle: async ({ request, env, query }) => {
    const span = wholeDays(query);
    if (!span.ok) return span;
    const days = await queryDays(env.HISTORY, span.value.sinceMs, span.value.untilMs);
    return wantsCsv(request, query.format) ? csvOf("days", DAY_COLUMNS, days) : ok({ days });
  },
});

/** Totals of every worker over the same days. */
export const listWorkerTotals = defineRoute({
  ...common,
  path: "/history/workers",
  operationId: "listWorkerTotals",
  summary: "Totals per worker, the busiest first",
  query: daysQuery,
  answers: { 200: { description: "Workers", schema: workerTotalsSchema } },
  handle: async ({ request, env, query }) => {
    const span = wholeDays(query);
    if (!span.ok) return span;
    const totals = await queryWorkers(env.HISTORY, span.value.sinceMs, span.value.untilMs);
    const names = await namesOf(
      env,
      totals.map((total) => total.worker_id),
    );
    const workers = totals.map((total) => ({ ...total, name: names[total.worker_id] ?? "" }));
    return wantsCsv(request, query.format) ? csvOf("workers", WORKER_COLUMNS, workers) : ok({ workers });
  },
});

const DAY_COLUMNS = ["day", "frames", "errors", "lost", "seconds", "workers", "tasks"] as const;
const WORKER_COLUMNS = [
  "worker_id",
  "frames",
  "errors",
  "lost",
  "seconds",
  "frames_per_hour",
  "tasks",
  "last_ms",
  "name",
] as const;

/** The names of workers by id. Only the registry knows them; without workers it is not asked. */
async function namesOf(env: Env, ids: readonly number[]): Promise<Record<string, string>> {
  const asked = [...new Set(ids)];
  return asked.length === 0 ? {} : await callRegistry(env, (registry) => registry.workerNames(asked));
}

function csvOf<K extends string>(
  name: string,
  columns: readonly K[],
  rows: readonly Record<K, string | number | null>[],
): Response {
  const pages = [rows.map((row) => columns.map((column) => row[column]))].values();
  return csvResponse(name, columns, { next: async () => pages.next() });
}

/**
 * The whole UTC days from `since` to `until`, in milliseconds; `invalid` for more than MAX_DAYS of
 * them.
 */
function wholeDays({
  since,
  until,
}: z.output<typeof daysQuery>): Result<{ sinceMs: number; untilMs: number }, Refusal> {
  const untilMs = startOfDay(until ?? Date.now()) + DAY_MS;
  const sinceMs = since === undefined ? Math.max(0, untilMs - DEFAULT_DAYS * DAY_MS) : startOfDay(since);
  if (untilMs - sinceMs > MAX_DAYS * DAY_MS)
    return err(invalidFields([{ field: "since", message: `must be at most ${MAX_DAYS} days before \`until\`` }]));
  return ok({ sinceMs, untilMs });
}

const EVENT_COLUMNS = [
  "task_id",
  "seq",
  "at",
  "kind",
  "type",
  "worker_id",
  "attempt",
  "frames",
  "frame_count",
  "seconds",
  "detail",
  "blender",
] as const;
/**
 * A spreadsheet takes ten times as many rows. Without a limit, one request could read the whole
 * history.
 */
const MAX_CSV_EVENTS = 100_000;

/** Matching events, newest first, in portions. */
async function* eventPages(db: D1Database, filter: EventFilter): AsyncGenerator<(string | number | null)[][]> {
  let left = MAX_CSV_EVENTS;
  for await (const events of queryAllEvents(db, filter)) {
    const some = events.slice(0, left);
    left -= some.length;
    yield some.map((event) =>
      EVENT_COLUMNS.map((column) => (column === "at" ? new Date(event.at_ms).toISOString() : (event[column] ?? null))),
    );
    if (left === 0) return;
  }
}

function startOfDay(atMs: number): number {
  return atMs - (atMs % DAY_MS);
}

export const historyRoutes: readonly Route[] = [listHistory, listDays, listWorkerTotals];
