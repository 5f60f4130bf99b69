/** `/webhooks…`. A hook's secret is in the answer that creates it and nowhere else. */
import { ok } from "../../lib/result.ts";
import {
  deliveryListSchema,
  webhookCreatedSchema,
  webhookCreateSchema,
  webhookListSchema,
} from "../../protocol/webhook.ts";
import { refuse } from "../../protocol/problem.ts";
import { areWebhookHosts, WEBHOOK_HOSTS, whyRefusedTarget } from "../../protocol/webhook-target.ts";
import { callRegistry, callRegistryOnce } from "../../rpc/stubs.ts";
import { idOf } from "../server/path-parameters.ts";
import { reply } from "../server/responses.ts";
import { ADMINS, defineRoute, type Route } from "../server/route.ts";

const common = { tag: "webhooks", who: ADMINS } as const;
const params = { id: idOf("webhook") };

const listWebhooks = defineRoute({
  ...common,
  method: "GET",
  path: "/webhooks",
  operationId: "listWebhooks",
  summary: "All webhooks, without their secrets",
  answers: { 200: { description: "Webhooks", schema: webhookListSchema } },
  handle: async ({ env }) => ok({ webhooks: await callRegistry(env, (registry) => registry.listWebhooks()) }),
});

const createWebhook = defineRoute({
  ...common,
  method: "POST",
  path: "/webhooks",
  operationId: "createWebhook",
  summary: "Be told what becomes of tasks",
  description:
    "Each event is one POST, signed in `Tablao-Signature: t=<seconds>,v1=<hex>` (HMAC-SHA-256 of `<t>.<body>`), repeated with growing " +
    "pauses for about a day until a 2xx comes within 10 s. Redirects are not followed. The address is https and public; the setting " +
    "`webhook_hosts` names hosts that may be private, or have http.",
  body: webhookCreateSchema,
  example: { url: "https://example.org/tablao", events: ["task.completed", "task.failed"] },
  answers: { 201: { description: "The webhook, with its secret in this one answer", schema: webhookCreatedSchema } },
  handle: async ({ env, body }) => {
    const allowed = await callRegistry(env, (registry) => registry.getSetting(WEBHOOK_HOSTS));
    const hosts = allowed.ok && areWebhookHosts(allowed.value) ? allowed.value : [];
    const refused = whyRefusedTarget(body.url, hosts);
    if (refused !== undefined) return refuse("invalid", refused, "url");
    const created = await callRegistryOnce(env, (registry) => registry.createWebhook(body));
    return reply(201, created, { Location: `/webhooks/${created.id}` });
  },
});

const removeWebhook = defineRoute({
  ...common,
  method: "DELETE",
  path: "/webhooks/{id}",
  operationId: "removeWebhook",
  summary: "Remove a webhook and what waits for it",
  params,
  answers: { 204: { description: "Done" } },
  handle: async ({ env, id }) => await callRegistry(env, (registry) => registry.removeWebhook(id)),
});

const listDeliveries = defineRoute({
  ...common,
  method: "GET",
  path: "/webhooks/{id}/deliveries",
  operationId: "listDeliveries",
  summary: "What was delivered, and what was not",
  params,
  answers: { 200: { description: "The newest 100, newest first", schema: deliveryListSchema } },
  handle: async ({ env, id }) => {
    const deliveries = await callRegistry(env, (registry) => registry.listDeliveries(id));
    return deliveries.ok ? ok({ deliveries: deliveries.value }) : deliveries;
  },
});

export const webhookRoutes: readonly Route[] = [listWebhooks, createWebhook, removeWebhook, listDeliveries];
