/** Routes of workers. */
import {
  workerInfoSchema,
  workerPatchedSchema,
  workerPatchSchema,
  workerRegisteredSchema,
  workerRegisterSchema,
  workersSchema,
} from "../../protocol/worker.ts";
import { ADMINS, READERS, WORKERS, type Route } from "../route.ts";
import { listWorkers, openSocket, patchWorker, registerWorker, removeWorker, showWorker } from "../workers.ts";

const tag = "workers";

export const workerRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/workers",
    operationId: "listWorkers",
    tag,
    summary: "All workers, keyed by hostname",
    description: "From the second worker of a name on, the key is `hostname#id`.",
    who: READERS,
    answers: { 200: { description: "Hostname → worker", schema: workersSchema } },
    handler: listWorkers,
  },
  {
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
    ],
    body: workerRegisterSchema,
    example: { hostname: "fsiddi-macpro.local", system: "Darwin 14.1.0" },
    answers: {
      200: { description: "Known already, now updated", schema: workerRegisteredSchema },
      201: { description: "A new worker", schema: workerRegisteredSchema },
      204: { description: "With `Prefer: return=minimal`" },
    },
    handler: registerWorker,
  },
  {
    method: "GET",
    path: "/workers/{id}",
    operationId: "showWorker",
    tag,
    summary: "One worker, with its latest report",
    who: READERS,
    answers: { 200: { description: "The worker", schema: workerInfoSchema } },
    handler: showWorker,
  },
  {
    method: "PATCH",
    path: "/workers/{id}",
    operationId: "patchWorker",
    tag,
    summary: "Ask for work, report, enable, disable or drain",
    description: "The worker itself, or an admin.",
    who: ["admin", "worker"],
    body: workerPatchSchema,
    example: { status: "available" },
    answers: { 200: { description: "The task now assigned", schema: workerPatchedSchema } },
    problems: ["conflict"],
    handler: patchWorker,
  },
  {
    method: "DELETE",
    path: "/workers/{id}",
    operationId: "removeWorker",
    tag,
    summary: "Remove a worker and revoke its secret",
    who: ADMINS,
    answers: { 204: { description: "Done" } },
    handler: removeWorker,
  },
  {
    method: "GET",
    path: "/workers/{id}/socket",
    operationId: "openSocket",
    tag,
    summary: "The worker's WebSocket",
    description: "Send `ping`, get `pong`; pushes arrive as JSON (`work`, `cancel`, `drain`, `enable`).",
    who: WORKERS,
    answers: { 101: { description: "Switching to WebSocket" } },
    problems: ["upgrade_required"],
    handler: openSocket,
  },
];
