/** Routes of the lease protocol. */
import {
  claimedSchema,
  claimSchema,
  completeSchema,
  failSchema,
  releaseSchema,
  renewedSchema,
  renewSchema,
  settledSchema,
} from "../../protocol/lease.ts";
import { claimLease, completeLease, failLease, releaseLease, renewLease } from "../leases.ts";
import { WORKERS, type Route } from "../route.ts";

const common = { method: "POST", tag: "leases", who: WORKERS } as const;
const settled = {
  200: { description: "Frames committed, and the next lease where one was asked for", schema: settledSchema },
} as const;

export const leaseRoutes: readonly Route[] = [
  {
    ...common,
    path: "/tasks/{id}/leases",
    operationId: "claimLease",
    summary: "Claim frames",
    description: "Idempotent by `key`: the same key of the same worker answers with the same live lease.",
    body: claimSchema,
    example: { key: "k3v9q2x7", platform: "linux", epoch: 0 },
    answers: { 200: { description: "A lease, or why there is none", schema: claimedSchema } },
    handler: claimLease,
  },
  {
    ...common,
    path: "/tasks/{id}/leases/{lease_id}/renew",
    operationId: "renewLease",
    summary: "Keep a lease, commit frames, report progress",
    body: renewSchema,
    example: { attempt: 7, progress: 0.5 },
    answers: { 200: { description: "How long it lasts from now", schema: renewedSchema } },
    problems: ["lease_lost"],
    handler: renewLease,
  },
  {
    ...common,
    path: "/tasks/{id}/leases/{lease_id}/complete",
    operationId: "completeLease",
    summary: "Commit the last frames and end the lease; `next` claims on",
    body: completeSchema,
    example: { attempt: 7, done: [{ frame: 1, seconds: 2.5, receipts: [] }] },
    answers: settled,
    problems: ["lease_lost"],
    handler: completeLease,
  },
  {
    ...common,
    path: "/tasks/{id}/leases/{lease_id}/fail",
    operationId: "failLease",
    summary: "A render failure: blame frames, give back the others",
    body: failSchema,
    example: { attempt: 7, frames: "3", error: "Error: Build without OpenImageDenoiser" },
    answers: settled,
    problems: ["lease_lost"],
    handler: failLease,
  },
  {
    ...common,
    path: "/tasks/{id}/leases/{lease_id}/release",
    operationId: "releaseLease",
    summary: "Give frames back unblamed",
    body: releaseSchema,
    example: { attempt: 7, reason: "agent stopped" },
    answers: settled,
    problems: ["lease_lost"],
    handler: releaseLease,
  },
];
