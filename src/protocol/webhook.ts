/**
 * Webhooks: the manager sends what became of a task to an address of the user's choice. Each
 * delivery is one POST of JSON with these headers:
 *
 *     Tablao-Event: task.completed
 *     Tablao-Delivery: <id, the same at every try>
 *     Tablao-Signature: t=<unix seconds>,v1=<hexadecimal MAC>
 *
 * The MAC is the HMAC-SHA-256 of `<t>.<body>` with the hook's secret. The receiver checks it over
 * the raw body, and refuses a `t` that is minutes old.
 *
 * Any 2xx within 10 s is success. After any other answer (redirects are not followed) the manager
 * tries again, with growing waits, for about a day.
 */
import { z } from "zod";
import { arrayOf } from "./bounded.ts";
import { idSchema, instantSchema } from "./fields.ts";
import { taskSummarySchema } from "./task.ts";

const WEBHOOK_EVENTS = ["task.completed", "task.failed", "task.first_frame"] as const;
/** The events that cause a delivery. */
export const webhookEventSchema = z.enum(WEBHOOK_EVENTS);
/** An event that causes a delivery. */
export type WebhookEvent = z.infer<typeof webhookEventSchema>;

/**
 * Where a hook points, kept as `URL.href`: without line breaks, and with the host in one form.
 * `webhook-target.ts` says which hosts are allowed.
 */
const webhookUrlSchema = z
  .string()
  .max(2_000, { abort: true })
  .superRefine((text, context) => {
    const bad = whyBadUrl(text);
    if (bad) context.addIssue({ code: "custom", message: bad });
  })
  .transform((text) => (URL.canParse(text) ? new URL(text).href : text));

function whyBadUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return "must be an address such as https://example.org/hook";
  const { protocol, username, password, hash } = new URL(text);
  if (protocol !== "https:" && protocol !== "http:") return "must be https";
  if (username !== "" || password !== "") return "must not hold a user name or password";
  if (hash !== "") return "must not have a fragment";
  return undefined;
}

/** POST /webhooks: a new webhook; without `events` it gets all of them. */
export const webhookCreateSchema = z
  .strictObject({
    url: webhookUrlSchema,
    events: arrayOf(webhookEventSchema, WEBHOOK_EVENTS.length)
      .min(1)
      .default([...WEBHOOK_EVENTS]),
  })
  .meta({ id: "WebhookCreate" });
/** A new webhook, with its defaults filled in. */
export type WebhookCreate = z.infer<typeof webhookCreateSchema>;

/** A webhook without its secret. */
export const webhookSchema = z
  .object({
    id: idSchema,
    url: z.string(),
    events: z.array(webhookEventSchema),
    created_ms: instantSchema,
    /** The state of its newest delivery; null before the first. */
    last_status: z.enum(["waiting", "delivered", "failed"]).nullable(),
    last_ms: instantSchema.nullable(),
  })
  .meta({ id: "Webhook" });
/** A webhook without its secret. */
export type Webhook = z.infer<typeof webhookSchema>;

/** The answer to POST /webhooks: the only answer that holds the secret. */
export const webhookCreatedSchema = webhookSchema.extend({ secret: z.string() }).meta({ id: "WebhookCreated" });
/** A new webhook with its secret. */
export type WebhookCreated = z.infer<typeof webhookCreatedSchema>;
/** GET /webhooks. */
export const webhookListSchema = z.object({ webhooks: z.array(webhookSchema) }).meta({ id: "WebhookList" });

/** One delivery. */
export const deliverySchema = z
  .object({
    id: idSchema,
    event: webhookEventSchema,
    task_id: idSchema,
    /**
     * waiting: not delivered yet; `next_ms` says when the manager tries again. failed: given up.
     */
    status: z.enum(["waiting", "delivered", "failed"]),
    tries: z.int(),
    created_ms: instantSchema,
    last_try_ms: instantSchema.nullable(),
    next_ms: instantSchema.nullable(),
    /** The status code of the last answer; null when there was none. */
    response_status: z.int().nullable(),
    error: z.string().nullable(),
  })
  .meta({ id: "Delivery" });
/** One delivery. */
export type Delivery = z.infer<typeof deliverySchema>;
/** GET /webhooks/N/deliveries, newest first. */
export const deliveryListSchema = z.object({ deliveries: z.array(deliverySchema) }).meta({ id: "DeliveryList" });

/** The body of a delivery. `id` is that of the delivery, `at_ms` the instant of the event. */
export const webhookBodySchema = z
  .object({ id: idSchema, event: webhookEventSchema, at_ms: instantSchema, task: taskSummarySchema })
  .meta({ id: "WebhookBody" });
/** The body of a delivery. */
export type WebhookBody = z.infer<typeof webhookBodySchema>;
