/** `/workers…`: machines, their registration, their reports, and the socket pushes come through. */
import { registryStub } from "../rpc/stubs.ts";
import { withRetry } from "../lib/retry.ts";
import { workerPatchSchema, workerRegisterSchema } from "../protocol/worker.ts";
import { WORKER_ID_HEADER } from "../rpc/registry.ts";
import { json, jsonResult, noContent, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readBody } from "./input.ts";
import { callRegistry, callRegistryOnce } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { clientAddress, idFrom, prefersMinimal } from "./request.ts";
import { forwarded, refuseUpgrade } from "./upgrade.ts";

/** GET /workers */
export const listWorkers: Handler = async (_request, { env }) => {
  return json(await callRegistry(env, (registry) => registry.listWorkers()));
};

/** POST /workers: 201 for a new worker, 200 for a known one, 204 on `Prefer: return=minimal`. */
export const registerWorker: Handler = async (request, { env, principal }) => {
  const register = await readBody(request, workerRegisterSchema);
  if (!register.ok) return problemResponse(register.error);
  // Only a known worker's registration may run twice: it updates a record. The others make a new worker each time.
  const call = principal.role === "worker" ? callRegistry : callRegistryOnce;
  const registered = await call(env, (registry) =>
    registry.registerWorker(register.value, principal, clientAddress(request)),
  );
  if (!registered.ok) return problemResponse(registered.error);
  const { key, worker, secret, created } = registered.value;
  const location = `/workers/${worker.id}`;
  if (prefersMinimal(request)) {
    const headers = new Headers({ Location: location, "Preference-Applied": "return=minimal" });
    if (secret !== null) headers.set("Tablao-Secret", secret);
    return noContent(headers);
  }
  // fromEntries, for a machine may call itself __proto__.
  const body = Object.fromEntries([[key, secret === null ? worker : { ...worker, secret }]]);
  return json(body, created ? 201 : 200, { Location: location });
};

/** GET /workers/{id} */
export const showWorker: Handler = async (_request, { env, params }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("worker");
  return jsonResult(await callRegistry(env, (registry) => registry.getWorker(id)));
};

/** PATCH /workers/{id}: the worker itself, or an admin. */
export const patchWorker: Handler = async (request, { env, params, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("worker");
  if (principal.role === "worker" && principal.id !== id) return notYours();
  const patch = await readBody(request, workerPatchSchema);
  if (!patch.ok) return problemResponse(patch.error);
  return jsonResult(
    await callRegistry(env, (registry) => registry.patchWorker(id, patch.value, principal, clientAddress(request))),
  );
};

/** DELETE /workers/{id} */
export const removeWorker: Handler = async (_request, { env, params }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("worker");
  const removed = await callRegistry(env, (registry) => registry.removeWorker(id));
  return removed.ok ? noContent() : problemResponse(removed.error);
};

/** GET /workers/{id}/socket: the worker's own WebSocket, handed to the registry's object. */
export const openSocket: Handler = async (request, { env, params, url, principal }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("worker");
  if (principal.id !== id) return notYours();
  const refused = refuseUpgrade(request, url);
  if (refused) return refused;
  const upgrade = forwarded(request, WORKER_ID_HEADER, String(id));
  return await withRetry(() => registryStub(env).fetch(new Request(upgrade)));
};

function notYours(): Response {
  return problemResponse({ code: "forbidden", detail: "A worker's secret is for that worker only." });
}
