/** `/workers…`: machines, their registration, their reports, and the WebSocket of a worker. */
import { mapConcurrent } from "../../lib/concurrency.ts";
import { ok, type Result } from "../../lib/result.ts";
import { withRetry } from "../../lib/retry.ts";
import { FETCHES_HEADER, fetchesIn, type BuildPlatform } from "../../protocol/blender-build.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { programReportedSchema, programReportSchema } from "../../protocol/program.ts";
import type { Principal } from "../../protocol/token.ts";
import {
  INSTANCE_HEADER,
  workerInfoSchema,
  workerPatchedSchema,
  workerPatchSchema,
  workerRegisteredSchema,
  workerRegisterSchema,
  workersSchema,
  type WorkerPatched,
} from "../../protocol/worker.ts";
import type { Env } from "../../rpc/env.ts";
import { WORKER_ADDRESS_HEADER, WORKER_ID_HEADER } from "../../rpc/registry.ts";
import { callRegistry, callRegistryOnce, callTask, registryStub } from "../../rpc/stubs.ts";
import { servedProgram } from "../served-program.ts";
import { workerId } from "../server/path-parameters.ts";
import { clientAddress, instanceOf, prefersMinimal } from "../server/request.ts";
import { reply } from "../server/responses.ts";
import { ADMINS, defineRoute, READERS, WORKERS, type Route } from "../server/route.ts";
import { forwarded } from "../server/upgrade.ts";

const tag = "workers";

/**
 * An agent that is told to stop gives its leases back within 2 s (P5). Without the wait, frames that it has
 * finished and not yet delivered would be rendered again.
 */
const STOP_GRACE_MS = 4_000;
/** Tasks that are asked at once; a worker has leases of as many as it has slots. */
const REVOKED_AT_ONCE = 10;

const INSTANCE = {
  name: INSTANCE_HEADER,
  description:
    "The agent's process, a random text of 8 to 64 letters, digits and hyphens: tells two agents with one identity apart",
} as const;
const FETCHES = {
  name: FETCHES_HEADER,
  description:
    "The agent fetches builds of Blender that the farm keeps, for this platform: `linux-x64`. Without it, it is given no task for which it would have to",
} as const;
const params = { id: workerId };

function fetchesOf(request: Request): BuildPlatform | null {
  return fetchesIn(request.headers.get(FETCHES_HEADER));
}

const listWorkers = defineRoute({
  method: "GET",
  path: "/workers",
  operationId: "listWorkers",
  tag,
  summary: "All workers, keyed by hostname",
  description: "From the second worker of a name on, the key is `hostname#id`.",
  who: READERS,
  answers: { 200: { description: "Hostname → worker", schema: workersSchema } },
  handle: async ({ env }) => ok(await callRegistry(env, (registry) => registry.listWorkers())),
});

const registerWorker = defineRoute({
  method: "POST",
  path: "/workers",
  operationId: "registerWorker",
  tag,
  summary: "Register a worker",
  description:
    "With a join token or as admin: a new worker, with its own secret in this one answer. As a worker: an update of its own record.",
  who: ["admin", "join", "worker"],
  headers: [
    { name: "Prefer", description: "`return=minimal`: 204 with `Location` and `Tablao-Secret` instead of a body" },
    INSTANCE,
    FETCHES,
  ],
  body: workerRegisterSchema,
  example: { hostname: "fsiddi-macpro.local", system: "Darwin 14.1.0" },
  answers: {
    200: { description: "Known already, now updated", schema: workerRegisteredSchema },
    201: { description: "A new worker", schema: workerRegisteredSchema },
    204: { description: "With `Prefer: return=minimal`" },
  },
  problems: ["conflict"],
  handle: async ({ request, env, body, principal }) => {
    // Only a known worker's registration may run twice: it updates a record. Any other makes a new
    // worker each time.
    const call = principal.role === "worker" ? callRegistry : callRegistryOnce;
    const registered = await call(env, (registry) =>
      registry.registerWorker(body, principal, clientAddress(request), instanceOf(request), fetchesOf(request)),
    );
    if (!registered.ok) return registered;
    const { key, worker, secret, created } = registered.value;
    const location = `/workers/${worker.id}`;
    if (prefersMinimal(request)) {
      const headers = new Headers({ Location: location, "Preference-Applied": "return=minimal" });
      if (secret !== null) headers.set("Tablao-Secret", secret);
      return reply(204, null, headers);
    }
    // fromEntries defines an own property: a machine may call itself __proto__.
    const record = Object.fromEntries([[key, secret === null ? worker : { ...worker, secret }]]);
    return reply(created ? 201 : 200, record, { Location: location });
  },
});

const showWorker = defineRoute({
  method: "GET",
  path: "/workers/{id}",
  operationId: "showWorker",
  tag,
  summary: "One worker, with its latest report",
  who: READERS,
  params,
  answers: { 200: { description: "The worker", schema: workerInfoSchema } },
  handle: async ({ env, id }) => await callRegistry(env, (registry) => registry.getWorker(id)),
});

const patchWorker = defineRoute({
  method: "PATCH",
  path: "/workers/{id}",
  operationId: "patchWorker",
  tag,
  summary: "Ask for work, report, enable, disable, drain or stop",
  description:
    "The worker itself, or an admin. Another agent with the worker's identity gets no task, and what it reports is not taken. " +
    "`stop_now` answers when the worker has no lease any more.",
  headers: [INSTANCE, FETCHES],
  who: ["admin", "worker"],
  params,
  body: workerPatchSchema,
  example: { status: "available" },
  answers: { 200: { description: "The task now assigned", schema: workerPatchedSchema } },
  problems: ["conflict"],
  admit: ({ id, principal }) => (principal.role === "worker" ? isWorker(principal, id) : ok(null)),
  handle: async ({ request, env, id, body, principal }) => {
    const patched = await callRegistry(env, (registry) =>
      registry.patchWorker(id, body, principal, clientAddress(request), instanceOf(request), fetchesOf(request)),
    );
    return patched.ok && body.status === "stop_now" ? await stopNow(env, id) : patched;
  },
});

const reportProgram = defineRoute({
  method: "PUT",
  path: "/workers/{id}/program",
  operationId: "reportProgram",
  tag,
  summary: "Tell which program the worker runs, and ask for the manager's",
  description:
    "For workers that renew themselves with the program that the manager serves (`/tablao.json`). A tenth of them goes first.",
  who: WORKERS,
  params,
  body: programReportSchema,
  example: { sha256: "beeba4bd1de88f0b5320a78e05ee38b1b8234e762258cfc4fa54392ee72df78b" },
  answers: { 200: { description: "What to do", schema: programReportedSchema } },
  admit: ({ id, principal }) => isWorker(principal, id),
  handle: async ({ env, url, id, body }) => {
    const served = await servedProgram(env, url.origin);
    return await callRegistry(env, (registry) => registry.reportProgram(id, body, served));
  },
});

const removeWorker = defineRoute({
  method: "DELETE",
  path: "/workers/{id}",
  operationId: "removeWorker",
  tag,
  summary: "Remove a worker and revoke its secret",
  who: ADMINS,
  params,
  answers: { 204: { description: "Done" } },
  handle: async ({ env, id }) => await callRegistry(env, (registry) => registry.removeWorker(id)),
});

const openSocket = defineRoute({
  method: "GET",
  path: "/workers/{id}/socket",
  operationId: "openSocket",
  tag,
  summary: "The worker's WebSocket",
  description: "Send `ping`, get `pong`; pushes arrive as JSON (`work`, `cancel`, `drain`, `stop_now`, `enable`).",
  who: WORKERS,
  params,
  socket: true,
  answers: { 101: { description: "Switching to WebSocket" } },
  headers: [INSTANCE],
  problems: ["upgrade_required", "conflict"],
  admit: ({ id, principal }) => isWorker(principal, id),
  handle: async ({ request, env, id }) => {
    const instance = instanceOf(request);
    const upgrade = forwarded(request, {
      [WORKER_ID_HEADER]: String(id),
      [WORKER_ADDRESS_HEADER]: clientAddress(request),
      ...(instance !== null && { [INSTANCE_HEADER]: instance }),
    });
    return await withRetry(() => registryStub(env).fetch(new Request(upgrade)));
  },
});

/** Take the leases of this worker away, after it had time to give them back itself. */
async function stopNow(env: Env, id: number): Promise<Result<WorkerPatched, Refusal>> {
  const stopped = await callRegistry(env, (registry) => registry.stopWorker(id));
  if (!stopped.ok) return stopped;
  const { tasks, epoch, told } = stopped.value;
  await mapConcurrent(tasks, REVOKED_AT_ONCE, async (task) => {
    await callTask(env, task, (object) => object.revokeLeases(id, epoch, told ? STOP_GRACE_MS : 0));
  });
  const worker = await callRegistry(env, (registry) => registry.getWorker(id));
  return worker.ok ? ok({ task_id: worker.value.current_task, epoch, status: worker.value.status }) : worker;
}

/** Ok when the caller, a worker, is the worker with this id. */
function isWorker(caller: Principal, id: number): Result<null, Refusal> {
  return caller.id === id ? ok(null) : refuse("forbidden", "A worker's secret is for that worker only.");
}

export const workerRoutes: readonly Route[] = [
  listWorkers,
  registerWorker,
  showWorker,
  patchWorker,
  reportProgram,
  removeWorker,
  openSocket,
];
