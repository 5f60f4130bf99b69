/**
 * The Worker's entry under `npm start`, where no Cloudflare stands in front
 * (docs/decisions/024-serving-locally.md). Only what comes through the launcher's own socket is
 * served: that socket adds the gate's secret to each request, and replaces what a client wrote
 * there. The launcher itself has another secret, with which it runs the crons and the migrations.
 */
import manager from "./index.ts";
import { asReceived } from "./http/server/local-request.ts";
import { messageOf } from "./lib/errors.ts";
import { applyMigrations } from "./platform/migrations.ts";
import {
  LOCAL_CONTROL_HEADER,
  LOCAL_GATE_HEADER,
  localOrderSchema,
  type LocalOrder,
} from "./protocol/local-control.ts";
import type { Env } from "./rpc/env.ts";
import { scheduled } from "./scheduled.ts";

export { TaskDO, WorkerRegistry } from "./index.ts";

/** Secrets that are new at each start. */
interface LocalEnv extends Env {
  TABLAO_LOCAL_GATE: string;
  TABLAO_LOCAL_CONTROL: string;
}

async function carryOut(order: LocalOrder, env: LocalEnv): Promise<string[]> {
  if ("migrations" in order) return await applyMigrations(env.HISTORY, order.migrations);
  await scheduled({ cron: order.cron, scheduledTime: Date.now() }, env);
  return [];
}

async function control(request: Request, env: LocalEnv): Promise<Response> {
  try {
    return Response.json({ applied: await carryOut(localOrderSchema.parse(await request.json()), env) });
  } catch (error) {
    return new Response(messageOf(error), { status: 500 });
  }
}

export default {
  async fetch(request, env, ctx) {
    if (request.headers.get(LOCAL_GATE_HEADER) !== env.TABLAO_LOCAL_GATE)
      return new Response("Forbidden\n", { status: 403 });
    if (request.headers.get(LOCAL_CONTROL_HEADER) === env.TABLAO_LOCAL_CONTROL) return await control(request, env);
    // The runtime gives the address of the connection itself; the type is that of the platform.
    const peer = (request.cf as { clientIp?: string } | undefined)?.clientIp;
    return await manager.fetch(asReceived(request, peer, LOCAL_GATE_HEADER), env, ctx);
  },
} satisfies ExportedHandler<LocalEnv>;
