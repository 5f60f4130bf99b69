/** History: the events of tasks and frames, as D1 holds them, and totals of them. */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";

/**
 * Kinds of events. They are stored, so events of a kind that is renamed would not be found.
 * - Of a task: submitted, changed, paused, resumed, canceled, requeued, skipped, completed, failed,
 *   deleted.
 * - Of a frame in an attempt: done, error (a render failure), lost (infrastructure: the lease
 *   expired, was released, or was canceled).
 */
export const EVENT_KINDS = [
  "submitted",
  "changed",
  "paused",
  "resumed",
  "canceled",
  "requeued",
  "skipped",
  "completed",
  "failed",
  "deleted",
  "done",
  "error",
  "lost",
] as const;
/** One of those kinds. */
export const eventKindSchema = z.enum(EVENT_KINDS);
/** One of those kinds. */
export type EventKind = z.infer<typeof eventKindSchema>;

/**
 * The most characters of a text of an event. Events have at most about 5,000 (`history-rows.ts`), and
 * those of a backup are refused above this.
 */
const MAX_EVENT_CHARS = 100_000;

/**
 * One event. `seconds` are the render seconds of done frames. `worker_id`, `attempt` and `frames`
 * are null where they do not apply.
 */
export const eventSchema = z
  .object({
    task_id: idSchema,
    seq: z.int().meta({ description: "Rises within a task; (task_id, seq) is the event's key" }),
    at_ms: instantSchema,
    kind: eventKindSchema,
    type: z.string().max(64).meta({ description: "The task's compiler" }),
    worker_id: z.int().nullable(),
    attempt: z.int().nullable(),
    frames: z.string().max(MAX_EVENT_CHARS).nullable().meta({ description: "Frame list the event is about" }),
    frame_count: z.int(),
    seconds: z.number().nullable(),
    detail: z.string().max(MAX_EVENT_CHARS).nullable().meta({ description: "Error text, reason, or who did it" }),
    blender: z.string().max(200).optional().meta({
      description: "Of done frames and errors: the version of Blender that rendered them, where the worker has told it",
    }),
  })
  .meta({ id: "Event" });
/** One event, as it is stored and sent. */
export type HistoryEvent = z.infer<typeof eventSchema>;

/** GET /history: events, newest first; `cursor` is null on the last page. */
export const historyPageSchema = z
  .object({
    events: z.array(eventSchema),
    cursor: z.string().nullable(),
    workers: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: "The names of the workers of these events by id, also of workers that were removed" }),
    // Managers of earlier releases, which kept all events, do not send it.
    kept_from_ms: instantSchema.nullish().meta({
      description: "Events before this instant were deleted (setting `history_days`); null when none were",
    }),
  })
  .meta({ id: "HistoryPage" });

/**
 * What is wrong with the history of a task: D1 refuses its events, or refused them for so long that
 * the oldest were dropped. Stored in the task's record.
 */
export const historyFailureSchema = z
  .object({
    since_ms: instantSchema.nullable().meta({ description: "Since when events wait; null: they are written again" }),
    reason: z.string().nullable().meta({ description: "Why, in the words of D1; null: they are written again" }),
    dropped: z.int().meta({ description: "Events that nobody will read, because too many waited" }),
  })
  .meta({ id: "HistoryFailure" });
/** What is wrong with the history of a task. */
export type HistoryFailure = z.infer<typeof historyFailureSchema>;

/**
 * Totals of one day: `day` is `YYYY-MM-DD` (UTC), `seconds` are render seconds, and `workers` and
 * `tasks` count those with events on that day.
 */
export const dayTotalSchema = z
  .object({
    day: z.string(),
    frames: z.int(),
    errors: z.int(),
    lost: z.int(),
    seconds: z.number(),
    workers: z.int(),
    tasks: z.int(),
  })
  .meta({ id: "DayTotal" });
/** Totals of one day. */
export type DayTotal = z.infer<typeof dayTotalSchema>;
/** GET /history/days. */
export const dayTotalsSchema = z.object({ days: z.array(dayTotalSchema) }).meta({ id: "DayTotals" });

/**
 * Totals of one worker in a span of days. `last_ms` is the instant at which its last row begins, so
 * its last event is at most ROW_SPAN_MS later.
 */
export const workerTotalSchema = z
  .object({
    worker_id: idSchema,
    name: z.string().optional().meta({ description: "Its name, also when it was removed; empty when it is not known" }),
    frames: z.int(),
    errors: z.int(),
    lost: z.int(),
    seconds: z.number().meta({ description: "Render seconds of the frames done" }),
    frames_per_hour: z
      .number()
      .nullable()
      .meta({ description: "Frames done per hour of rendering; null without render seconds" }),
    tasks: z.int(),
    last_ms: instantSchema,
  })
  .meta({ id: "WorkerTotal" });
/** Totals of one worker. */
export type WorkerTotal = z.infer<typeof workerTotalSchema>;
/** GET /history/workers: the busiest worker first. */
export const workerTotalsSchema = z.object({ workers: z.array(workerTotalSchema) }).meta({ id: "WorkerTotals" });
