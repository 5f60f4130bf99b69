/** Routes of webhooks. */
import {
  deliveryListSchema,
  webhookCreatedSchema,
  webhookCreateSchema,
  webhookListSchema,
} from "../../protocol/webhook.ts";
import { ADMINS, type Route } from "../route.ts";
import { createWebhook, listDeliveries, listWebhooks, removeWebhook } from "../webhooks.ts";

const common = { tag: "webhooks", who: ADMINS } as const;

export const webhookRoutes: readonly Route[] = [
  {
    ...common,
    method: "GET",
    path: "/webhooks",
    operationId: "listWebhooks",
    summary: "All webhooks, without their secrets",
    answers: { 200: { description: "Webhooks", schema: webhookListSchema } },
    handler: listWebhooks,
  },
  {
    ...common,
    method: "POST",
    path: "/webhooks",
    operationId: "createWebhook",
    summary: "Be told what becomes of tasks",
    description:
      "Each event is one POST, signed in `Tablao-Signature: t=<seconds>,v1=<hex>` (HMAC-SHA-256 of `<t>.<body>`), repeated with growing " +
      "pauses for about a day until a 2xx comes within 10 s. Redirects are not followed.",
    body: webhookCreateSchema,
    example: { url: "https://example.org/tablao", events: ["task.completed", "task.failed"] },
    answers: { 201: { description: "The webhook, with its secret in this one answer", schema: webhookCreatedSchema } },
    handler: createWebhook,
  },
  {
    ...common,
    method: "DELETE",
    path: "/webhooks/{id}",
    operationId: "removeWebhook",
    summary: "Remove a webhook and what waits for it",
    answers: { 204: { description: "Done" } },
    handler: removeWebhook,
  },
  {
    ...common,
    method: "GET",
    path: "/webhooks/{id}/deliveries",
    operationId: "listDeliveries",
    summary: "What was delivered, and what was not",
    answers: { 200: { description: "The newest 100, newest first", schema: deliveryListSchema } },
    handler: listDeliveries,
  },
];
