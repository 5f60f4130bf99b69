/**
 * The manager as it is shipped, on a platform with Cloudflare's limits, which `POST /__platform`
 * switches. This entry exists for `test/platform` only; the product contains none of it.
 */
import type { Env } from "../../../src/rpc/env.ts";
import { registryStub, taskStub } from "../../../src/rpc/stubs.ts";
import type { PlatformOrder, Rule } from "../order.ts";
import { called, limitedEnv } from "./bindings.ts";
import { product, type Controlled } from "./objects.ts";
import { beginEvent, bites, clockMs, setClockForward, switchTo, takeOverClock } from "./switches.ts";

export { TaskDO, WorkerRegistry } from "./objects.ts";

takeOverClock();

const DAY_MS = 86_400_000;
/** One call more than the free plan allows. */
const TOO_MANY_CALLS = 1_001;
/** One query of D1 more than the free plan allows. */
const TOO_MANY_QUERIES = 51;
/** More than the 2 MB that a row holds, and less than workerd itself refuses. */
const TOO_LARGE_ROW = 2_000_001;
/** More than the 32 MiB of a call between Workers and objects. */
const TOO_LARGE_ARGUMENT = 33 * 1024 * 1024;

const handler = product as ExportedHandler<Env>;

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/__platform")
      return Response.json(await carryOut(await request.json<PlatformOrder>(), env, ctx));
    if (url.pathname === "/__platform/plain") return await plain(env, url.searchParams.get("key") ?? "");
    const invocation = {};
    beginEvent(invocation);
    return await handler.fetch!(request, limitedEnv(env, invocation), ctx);
  },
} satisfies ExportedHandler<Env>;

/** The bytes of an object and nothing else: the yardstick of what a download costs. */
async function plain(env: Env, key: string): Promise<Response> {
  const object = await env.FILES.get(key);
  return object ? new Response(object.body) : new Response(null, { status: 404 });
}

async function carryOut(order: PlatformOrder, env: Env, ctx: ExecutionContext): Promise<unknown> {
  switch (order.do) {
    case "limits":
      switchTo(order.names);
      return null;
    case "bites":
      return bites;
    case "clock":
      setClockForward(order.byMs);
      await Promise.all(objects(env).map((object) => object.platformClock(order.byMs)));
      return null;
    case "until midnight":
      return DAY_MS - (clockMs() % DAY_MS);
    case "reset":
      // The call itself fails, because its object is gone.
      await Promise.allSettled(objects(env).map((object) => object.platformReset()));
      return null;
    case "cron": {
      const invocation = {};
      beginEvent(invocation);
      const controller = { cron: order.cron, scheduledTime: clockMs(), noRetry: () => undefined };
      await handler.scheduled!(controller as ScheduledController, limitedEnv(env, invocation), ctx);
      return null;
    }
    case "task":
      return await (taskStub(env, order.id) as unknown as Controlled).platformState();
    case "keys":
      return (await env.FILES.list({ prefix: order.prefix })).objects.map(({ key }) => key);
    case "break": {
      const invocation = {};
      beginEvent(invocation);
      return await breakRule(order.rule, limitedEnv(env, invocation)).then(
        () => null,
        (error: unknown) => String(error),
      );
    }
  }
}

/** Every object that was called so far, without limits. */
function objects(env: Env): Controlled[] {
  const stubs = [
    ...[...called.registry].map((name) => env.REGISTRY.getByName(name)),
    ...[...called.task].map((name) => env.TASK.getByName(name)),
  ];
  return stubs as unknown as Controlled[];
}

async function breakRule(rule: Rule, env: Env): Promise<void> {
  const registry = registryStub(env) as unknown as Controlled & { platformUnknown(): Promise<void> };
  switch (rule) {
    case "calls":
      for (let i = 0; i < TOO_MANY_CALLS; i++) await env.FILES.head("none");
      return;
    case "queries":
      for (let i = 0; i < TOO_MANY_QUERIES; i++) await env.HISTORY.prepare("SELECT 1").first();
      return;
    case "writes to a key":
      for (let i = 0; i < 2; i++) await env.FILES.put("platform", "twice");
      return;
    case "row": {
      const refused = await registry.platformRow(TOO_LARGE_ROW);
      if (refused !== null) throw new Error(refused);
      return;
    }
    case "rpc":
      await registry.platformTake("a".repeat(TOO_LARGE_ARGUMENT));
      return;
    case "method":
      await registry.platformUnknown();
  }
}
