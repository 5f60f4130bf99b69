/** PATCH of a worker: its report, its switches, and the question for work, in one synchronous step. */
import type { Principal } from "../protocol/token.ts";
import type { WorkerPatch, WorkerPatched } from "../protocol/worker.ts";
import type { RegistryContext } from "./context.ts";
import type { WorkerRecord } from "./worker-store.ts";

type PatchContext = Pick<RegistryContext, "fleet" | "dispatcher" | "sockets">;

/** Patch a worker that exists. One row is written at most. */
export function applyPatch(
  { fleet, dispatcher, sockets }: PatchContext,
  id: number,
  patch: WorkerPatch,
  caller: { principal: Principal; ipAddress: string },
  nowMs: number,
): WorkerPatched {
  const { status, refused, leaving, ...report } = patch;
  const { role, id: callerId } = caller.principal;
  // Only the worker itself can know these two, whoever's token a client of 2015 was given.
  const itself = (role === "worker" && callerId === id) || status === "available" || status === "rendering";
  const took = fleet.takesWork(id);
  const offered = JSON.stringify(fleet.offer(id));
  const contact = itself ? { contactMs: nowMs, leftMs: leaving ? nowMs : null } : {};
  fleet.update(id, report, itself ? caller.ipAddress : null, { ...contact, ...recordChange(status) });
  if (refused) dispatcher.refuse(id, refused.task_id, refused.retry_after_ms, nowMs);
  if (status === "enabled") sockets.push(id, { type: "enable" });
  if (status === "disabled" || status === "drain") {
    sockets.push(id, { type: "drain" });
    if (took) dispatcher.dismiss(id);
  }
  if (status === "available") fleet.update(id, {}, null, { assignedTask: dispatcher.assign(id, nowMs) });
  else if (status === "rendering" || leaving) sockets.setIdle(id, false);
  else if (fleet.takesWork(id) && (!took || JSON.stringify(fleet.offer(id)) !== offered)) dispatcher.greet(id, nowMs);
  fleet.flush(id, nowMs);
  const task = status === "available" ? fleet.get(id)!.assignedTask : fleet.currentTask(id, nowMs);
  return { task_id: task, epoch: dispatcher.epoch, status: fleet.status(id) };
}

/** A worker has connected: it is there, and hears whether there is something for it. */
export function noteConnection({ fleet, dispatcher, sockets }: PatchContext, id: number, nowMs: number): void {
  fleet.update(id, {}, null, { contactMs: nowMs, leftMs: null });
  fleet.flush(id, nowMs);
  if (fleet.takesWork(id)) dispatcher.greet(id, nowMs);
  else sockets.push(id, { type: "drain" });
}

/** What a status of PATCH changes in a worker's record. */
function recordChange(status: WorkerPatch["status"]): Partial<WorkerRecord> {
  switch (status) {
    case "enabled":
      return { enabled: true, draining: false };
    case "disabled":
      return { enabled: false };
    case "drain":
      return { draining: true };
    case "available":
      return { saidRendering: false };
    case "rendering":
      return { saidRendering: true };
    case undefined:
      return {};
  }
}
