/** History: what happened, as D1 tells it. */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";

/**
 * Kinds of events. Of a task: submitted, changed, paused, resumed, canceled, requeued, skipped, completed, failed, deleted.
 * Of a frame in an attempt: done, error (a render failure), lost (infrastructure: expired, released, canceled under it).
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
export const eventKindSchema = z.enum(EVENT_KINDS);
export type EventKind = z.infer<typeof eventKindSchema>;

export const eventSchema = z
  .object({
    task_id: idSchema,
    seq: z.int().meta({ description: "Rises within a task; (task_id, seq) is the event's key" }),
    at_ms: instantSchema,
    kind: eventKindSchema,
    type: z.string().meta({ description: "The task's compiler" }),
    worker_id: z.int().nullable(),
    attempt: z.int().nullable(),
    frames: z.string().nullable().meta({ description: "Frame list the event is about" }),
    frame_count: z.int(),
    seconds: z.number().nullable(),
    detail: z.string().nullable().meta({ description: "Error text, reason, or who did it" }),
  })
  .meta({ id: "Event" });
export type HistoryEvent = z.infer<typeof eventSchema>;

export const historyPageSchema = z
  .object({ events: z.array(eventSchema), cursor: z.string().nullable() })
  .meta({ id: "HistoryPage" });

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
export type DayTotal = z.infer<typeof dayTotalSchema>;
export const dayTotalsSchema = z.object({ days: z.array(dayTotalSchema) }).meta({ id: "DayTotals" });

/** One worker in a span of days. */
export const workerTotalSchema = z
  .object({
    worker_id: idSchema,
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
export type WorkerTotal = z.infer<typeof workerTotalSchema>;
export const workerTotalsSchema = z.object({ workers: z.array(workerTotalSchema) }).meta({ id: "WorkerTotals" });
