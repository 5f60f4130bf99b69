/**
 * Webhooks: the manager tells an address of yours what became of a task. Each delivery is one POST of JSON:
 *
 *   Tablao-Event: task.completed        Tablao-Delivery: <id, the same at every try>
 *   Tablao-Signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>" with the hook's secret>
 *
 * Check the signature over the raw body, and refuse a `t` that is minutes old. Any 2xx within 10 s is success; anything else
 * (redirects included, they are not followed) is tried again with growing pauses for about a day.
 */
import { z } from "zod";
import { idSchema, instantSchema } from "./fields.ts";
import { taskSummarySchema } from "./task.ts";

const WEBHOOK_EVENTS = ["task.completed", "task.failed", "task.first_frame"] as const;
export const webhookEventSchema = z.enum(WEBHOOK_EVENTS);
export type WebhookEvent = z.infer<typeof webhookEventSchema>;

/** Where a hook may point: https anywhere, http on this machine only (for trying it out). */
const webhookUrlSchema = z
  .string()
  .max(2_000)
  .superRefine((text, context) => {
    const bad = whyBadUrl(text);
    if (bad) context.addIssue({ code: "custom", message: bad });
  });

function whyBadUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return "must be an address such as https://example.org/hook";
  const { protocol, hostname, username, password, hash } = new URL(text);
  const loopback = hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  if (protocol !== "https:" && !(protocol === "http:" && loopback))
    return "must be https (http only for this machine itself)";
  if (username !== "" || password !== "") return "must not hold a user name or password";
  if (hash !== "") return "must not have a fragment";
  return undefined;
}

/** POST /webhooks. */
export const webhookCreateSchema = z
  .strictObject({
    url: webhookUrlSchema,
    events: z
      .array(webhookEventSchema)
      .min(1)
      .max(WEBHOOK_EVENTS.length)
      .default([...WEBHOOK_EVENTS]),
  })
  .meta({ id: "WebhookCreate" });
export type WebhookCreate = z.infer<typeof webhookCreateSchema>;

export const webhookSchema = z
  .object({
    id: idSchema,
    url: z.string(),
    events: z.array(webhookEventSchema),
    created_ms: instantSchema,
    /** The newest delivery's outcome; null before the first. */
    last_status: z.enum(["waiting", "delivered", "failed"]).nullable(),
    last_ms: instantSchema.nullable(),
  })
  .meta({ id: "Webhook" });
export type Webhook = z.infer<typeof webhookSchema>;

/** The secret is in this one answer and nowhere else. */
export const webhookCreatedSchema = webhookSchema.extend({ secret: z.string() }).meta({ id: "WebhookCreated" });
export type WebhookCreated = z.infer<typeof webhookCreatedSchema>;
export const webhookListSchema = z.object({ webhooks: z.array(webhookSchema) }).meta({ id: "WebhookList" });

/** GET /webhooks/N/deliveries, newest first. */
export const deliverySchema = z
  .object({
    id: idSchema,
    event: webhookEventSchema,
    task_id: idSchema,
    /** waiting: not delivered yet, `next_ms` says when it is tried again. failed: given up. */
    status: z.enum(["waiting", "delivered", "failed"]),
    tries: z.int(),
    created_ms: instantSchema,
    last_try_ms: instantSchema.nullable(),
    next_ms: instantSchema.nullable(),
    /** The answer's status code; null when there was none. */
    response_status: z.int().nullable(),
    error: z.string().nullable(),
  })
  .meta({ id: "Delivery" });
export type Delivery = z.infer<typeof deliverySchema>;
export const deliveryListSchema = z.object({ deliveries: z.array(deliverySchema) }).meta({ id: "DeliveryList" });

/** The body of a delivery. */
export const webhookBodySchema = z
  .object({ id: idSchema, event: webhookEventSchema, at_ms: instantSchema, task: taskSummarySchema })
  .meta({ id: "WebhookBody" });
export type WebhookBody = z.infer<typeof webhookBodySchema>;
