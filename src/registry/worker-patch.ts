/**
 * A worker's PATCH (its report, its switches, its request for work) and its connection: one
 * synchronous step each.
 */
import type { BuildPlatform } from "../protocol/blender-build.ts";
import type { Principal } from "../protocol/token.ts";
import type { WorkerPatch, WorkerPatched } from "../protocol/worker.ts";
import type { RegistryContext } from "./context.ts";
import { withFetches, type Report } from "./worker-report.ts";
import type { Chosen, WorkerRecord } from "./worker-store.ts";

/**
 * Patch a worker that exists. At most one row is written. `caller`: who patches it, and from where; and for which
 * platform it fetches builds of Blender, where it is an agent that calls (null: it fetches none).
 */
export function applyPatch(
  { fleet, dispatcher, sockets }: RegistryContext,
  id: number,
  patch: WorkerPatch,
  caller: { principal: Principal; ipAddress: string; fetches?: BuildPlatform | null | undefined },
  nowMs: number,
): WorkerPatched {
  const { status, refused, leaving, name, tags, ...rest } = patch;
  const { role, id: callerId } = caller.principal;
  // Only the worker itself sends these two states, also when a client of 2015 calls with the token
  // of a person.
  const itself = (role === "worker" && callerId === id) || status === "available" || status === "rendering";
  const report: Report = itself
    ? {
        ...rest,
        ...(name != null && { name }),
        ...(tags != null && { tags }),
        // Its process ends; what was asked of it ends with it. The next one says so when it is paused still.
        ...(leaving && { local_state: null }),
      }
    : rest;
  const choice = itself ? {} : { chosen: chosenWith(fleet.get(id)!.chosen, { name, tags }) };
  const took = fleet.takesWork(id);
  const offered = JSON.stringify(fleet.offer(id));
  const contact = itself ? { contactMs: nowMs, leftMs: leaving ? nowMs : null } : {};
  fleet.apply(id, nowMs, (update) => {
    const { offered: own } = fleet.get(id)!;
    const fetches = itself && caller.fetches !== undefined ? { offered: withFetches(own, caller.fetches) } : {};
    update(report, itself ? caller.ipAddress : null, { ...contact, ...choice, ...fetches, ...recordChange(status) });
    if (refused) dispatcher.decline(id, refused.task_id, refused.retry_after_ms, nowMs);
    if (status === "enabled") sockets.push(id, { type: "enable" });
    if (status === "disabled" || status === "drain" || status === "stop_now") {
      sockets.push(id, { type: "drain" });
      if (took) dispatcher.drain(id);
    }
    if (status === "available") update({}, null, { assignedTask: dispatcher.assign(id, nowMs) });
    else if (status === "rendering" || leaving) sockets.setIdle(id, false);
    else if (fleet.takesWork(id) && (!took || JSON.stringify(fleet.offer(id)) !== offered))
      dispatcher.onConnect(id, nowMs);
  });
  const task = status === "available" ? fleet.get(id)!.assignedTask : fleet.currentTask(id, nowMs);
  const builds = itself ? fleet.offer(id)!.fetchable : undefined;
  return {
    task_id: task,
    epoch: dispatcher.epoch,
    status: fleet.status(id),
    ...(builds && { blender_builds: [...builds] }),
  };
}

/**
 * A worker has connected: note the contact, and push what it has to know (work waits, or it takes
 * no work).
 */
export function noteConnection({ fleet, dispatcher, sockets }: RegistryContext, id: number, nowMs: number): void {
  fleet.apply(id, nowMs, (update) => update({}, null, { contactMs: nowMs, leftMs: null }));
  if (fleet.takesWork(id)) dispatcher.onConnect(id, nowMs);
  // A pause at the machine is the agent's own: it would take a push for an admin's drain.
  else if (!fleet.isOn(id)) sockets.push(id, { type: "drain" });
}

/** What an admin has set after this patch; a field that the patch leaves out stays as it was. */
function chosenWith(before: Chosen, { name, tags }: Pick<WorkerPatch, "name" | "tags">): Chosen {
  const after = {
    name: name === undefined ? before.name : name || undefined,
    tags: tags === undefined ? before.tags : (tags ?? undefined),
  };
  return {
    ...(after.name !== undefined && { name: after.name }),
    ...(after.tags !== undefined && { tags: [...new Set(after.tags)] }),
  };
}

/** What the `status` of a PATCH changes in the worker's record. */
function recordChange(status: WorkerPatch["status"]): Partial<WorkerRecord> {
  switch (status) {
    case "enabled":
      return { enabled: true, draining: false };
    case "disabled":
      return { enabled: false };
    case "drain":
    case "stop_now":
      return { draining: true };
    case "available":
      return { saidRendering: false };
    case "rendering":
      return { saidRendering: true };
    case undefined:
      return {};
  }
}
