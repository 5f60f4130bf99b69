/** What happened: `GET /history` and `GET /history/days`. Reads D1 and nothing else. */
import { z } from "zod";
import { decodeCursor, encodeCursor, NEWEST } from "../history/event-page.ts";
import { isAboutFrames } from "../history/outbox.ts";
import { queryDays, queryEvents } from "../history/store.ts";
import { idSchema, instantSchema } from "../protocol/fields.ts";
import { EVENT_KINDS, eventKindSchema, type historyPageSchema, type dayTotalsSchema } from "../protocol/history.ts";
import type { RequestContext } from "./context.ts";
import { readQuery } from "./input.ts";
import { invalidFields, problemResponse } from "./problems.ts";

/** Kinds that are about a task as a whole; `status` takes these, in the words a task's status has. */
const TASK_KINDS = EVENT_KINDS.filter((kind) => !isAboutFrames(kind));

const ORDER = "must not be before `since`";

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
  .strictObject({ since: instantSchema.optional(), until: instantSchema.optional() })
  .refine((query) => (query.since ?? 0) <= (query.until ?? Infinity), { path: ["until"], message: ORDER });

/** `GET /history`: events, newest first. */
export async function getHistory(_request: Request, { env, url }: RequestContext): Promise<Response> {
  const query = readQuery(url, historyQuerySchema);
  if (!query.ok) return problemResponse(query.error);
  const { task_id, worker_id, kind, status, type, since, until, limit, cursor } = query.value;
  const start = cursor === undefined ? NEWEST : decodeCursor(cursor);
  if (!start) return problemResponse(invalidFields([{ field: "cursor", message: "is not a cursor of this list" }]));
  const filter = { task_id, worker_id, kind: kind ?? status, type, sinceMs: since, untilMs: until };
  const { events, next } = await queryEvents(env.HISTORY, filter, start, limit);
  return Response.json({ events, cursor: next && encodeCursor(next) } satisfies z.infer<typeof historyPageSchema>);
}

/** `GET /history/days`: totals of every UTC day that `since` to `until` touches; the last 30 days by default. */
export async function getHistoryDays(_request: Request, { env, url }: RequestContext): Promise<Response> {
  const query = readQuery(url, daysQuerySchema);
  if (!query.ok) return problemResponse(query.error);
  const untilMs = startOfDay(query.value.until ?? Date.now()) + DAY_MS;
  const sinceMs =
    query.value.since === undefined ? Math.max(0, untilMs - DEFAULT_DAYS * DAY_MS) : startOfDay(query.value.since);
  if (untilMs - sinceMs > MAX_DAYS * DAY_MS) {
    return problemResponse(
      invalidFields([{ field: "since", message: `must be at most ${MAX_DAYS} days before \`until\`` }]),
    );
  }
  const days = await queryDays(env.HISTORY, sinceMs, untilMs);
  return Response.json({ days } satisfies z.infer<typeof dayTotalsSchema>);
}

function startOfDay(atMs: number): number {
  return atMs - (atMs % DAY_MS);
}
