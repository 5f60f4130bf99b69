/** `/webhooks…`. A hook's secret is in the answer that creates it and nowhere else. */
import { webhookCreateSchema } from "../protocol/webhook.ts";
import { json, noContent, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readBody } from "./input.ts";
import { callRegistry, callRegistryOnce } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";

/** GET /webhooks */
export const listWebhooks: Handler = async (_request, { env }) => {
  return json({ webhooks: await callRegistry(env, (registry) => registry.listWebhooks()) });
};

/** POST /webhooks */
export const createWebhook: Handler = async (request, { env }) => {
  const create = await readBody(request, webhookCreateSchema);
  if (!create.ok) return problemResponse(create.error);
  const created = await callRegistryOnce(env, (registry) => registry.createWebhook(create.value));
  return json(created, 201, { Location: `/webhooks/${created.id}` });
};

/** DELETE /webhooks/{id}: what waits to be delivered goes with it. */
export const removeWebhook: Handler = async (_request, { env, params }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("webhook");
  const removed = await callRegistry(env, (registry) => registry.removeWebhook(id));
  return removed.ok ? noContent() : problemResponse(removed.error);
};

/** GET /webhooks/{id}/deliveries */
export const listDeliveries: Handler = async (_request, { env, params }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("webhook");
  const deliveries = await callRegistry(env, (registry) => registry.listDeliveries(id));
  return deliveries.ok ? json({ deliveries: deliveries.value }) : problemResponse(deliveries.error);
};
