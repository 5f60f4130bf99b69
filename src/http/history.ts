/** What happened: `GET /history`, `/history/days` and `/history/workers`, as JSON or CSV. Reads D1 and nothing else. */
import { z } from "zod";
import { decodeCursor, encodeCursor, NEWEST, type EventKey, type EventPage } from "../history/event-page.ts";
import { isAboutFrames } from "../protocol/history-rows.ts";
import { queryDays, queryEvents, queryWorkers, type EventFilter } from "../history/store.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { idSchema, instantSchema } from "../protocol/fields.ts";
import {
  EVENT_KINDS,
  eventKindSchema,
  type historyPageSchema,
  type dayTotalsSchema,
  type workerTotalsSchema,
} from "../protocol/history.ts";
import type { Refusal } from "../protocol/problem.ts";
import type { RequestContext } from "./context.ts";
import { csvResponse, wantsCsv } from "./csv.ts";
import { readQuery } from "./input.ts";
import { invalidFields, problemResponse } from "../platform/problem-response.ts";

/** Kinds that are about a task as a whole; `status` takes these, in the words a task's status has. */
const TASK_KINDS = EVENT_KINDS.filter((kind) => !isAboutFrames(kind));

const ORDER = "must not be before `since`";

const format = z
  .enum(["json", "csv"])
  .optional()
  .meta({ description: "`csv` for spreadsheets; so does `Accept: text/csv`" });

/** Query of `GET /history`. */
export const historyQuerySchema = z
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
  .refine((query) => (query.since ?? 0) <= (query.until ?? Infinity), { path: ["until"], message: ORDER });

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
/** A leap year; more would read too much of the table at once. */
const MAX_DAYS = 366;

/** Query of `GET /history/days`. */
export const daysQuerySchema = z
  .strictObject({ since: instantSchema.optional(), until: instantSchema.optional(), format })
  .refine((query) => (query.since ?? 0) <= (query.until ?? Infinity), { path: ["until"], message: ORDER });

/** `GET /history`: events, newest first. */
export async function getHistory(request: Request, { env, url }: RequestContext): Promise<Response> {
  const query = readQuery(url, historyQuerySchema);
  if (!query.ok) return problemResponse(query.error);
  const { task_id, worker_id, kind, status, type, since, until, limit, cursor, format } = query.value;
  const start = cursor === undefined ? NEWEST : decodeCursor(cursor);
  if (!start) return problemResponse(invalidFields([{ field: "cursor", message: "is not a cursor of this list" }]));
  const filter = { task_id, worker_id, kind: kind ?? status, type, sinceMs: since, untilMs: until };
  if (wantsCsv(request, format)) {
    if (cursor !== undefined)
      return problemResponse(invalidFields([{ field: "cursor", message: "does not go with CSV, which has it all" }]));
    return csvResponse("history", EVENT_COLUMNS, eventPages(env.HISTORY, filter));
  }
  const { events, next } = await queryEvents(env.HISTORY, filter, start, limit);
  return Response.json({ events, cursor: next && encodeCursor(next) } satisfies z.infer<typeof historyPageSchema>);
}

/** `GET /history/days`: totals of every UTC day that `since` to `until` touches; the last 30 days by default. */
export async function getHistoryDays(request: Request, { env, url }: RequestContext): Promise<Response> {
  const span = readDays(url);
  if (!span.ok) return problemResponse(span.error);
  const days = await queryDays(env.HISTORY, span.value.sinceMs, span.value.untilMs);
  if (wantsCsv(request, span.value.format)) return csvOf("days", DAY_COLUMNS, days);
  return Response.json({ days } satisfies z.infer<typeof dayTotalsSchema>);
}

/** `GET /history/workers`: totals of every worker over the same days. */
export async function getHistoryWorkers(request: Request, { env, url }: RequestContext): Promise<Response> {
  const span = readDays(url);
  if (!span.ok) return problemResponse(span.error);
  const workers = await queryWorkers(env.HISTORY, span.value.sinceMs, span.value.untilMs);
  if (wantsCsv(request, span.value.format)) return csvOf("workers", WORKER_COLUMNS, workers);
  return Response.json({ workers } satisfies z.infer<typeof workerTotalsSchema>);
}

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
] as const;

function csvOf<K extends string>(
  name: string,
  columns: readonly K[],
  rows: readonly Record<K, string | number | null>[],
): Response {
  const pages = [rows.map((row) => columns.map((column) => row[column]))].values();
  return csvResponse(name, columns, { next: async () => pages.next() });
}

/** The whole days between `since` and `until`. */
function readDays(url: URL): Result<{ sinceMs: number; untilMs: number; format?: "json" | "csv" }, Refusal> {
  const query = readQuery(url, daysQuerySchema);
  if (!query.ok) return query;
  const { since, until, format } = query.value;
  const untilMs = startOfDay(until ?? Date.now()) + DAY_MS;
  const sinceMs = since === undefined ? Math.max(0, untilMs - DEFAULT_DAYS * DAY_MS) : startOfDay(since);
  if (untilMs - sinceMs > MAX_DAYS * DAY_MS)
    return err(invalidFields([{ field: "since", message: `must be at most ${MAX_DAYS} days before \`until\`` }]));
  return ok({ sinceMs, untilMs, ...(format && { format }) });
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
] as const;
/** A spreadsheet takes ten times as many; the reading of a page must end. */
const MAX_CSV_EVENTS = 100_000;
const CSV_PAGE = 500;

/** Matching events, newest first, page by page. */
async function* eventPages(db: D1Database, filter: EventFilter): AsyncGenerator<(string | number | null)[][]> {
  let start: EventKey | null = NEWEST;
  for (let count = 0; start !== null && count < MAX_CSV_EVENTS;) {
    const { events, next }: EventPage = await queryEvents(db, filter, start, CSV_PAGE);
    count += events.length;
    start = next;
    yield events.map((event) =>
      EVENT_COLUMNS.map((column) => (column === "at" ? new Date(event.at_ms).toISOString() : event[column])),
    );
  }
}

function startOfDay(atMs: number): number {
  return atMs - (atMs % DAY_MS);
}
