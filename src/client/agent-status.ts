/**
 * How an agent on this machine is, and the line that says it: `tablao worker status`, and the last line of a
 * terminal in which an agent runs. Pure.
 */
import { z } from "zod";

/** What a lease is at. `delivering`: the program has ended, and its frames go to the manager. */
const LEASE_PHASES = ["preparing", "fetching", "rendering", "delivering"] as const;

const leaseStatusSchema = z.object({
  task_id: z.int(),
  phase: z.enum(LEASE_PHASES),
  /** The frame that is rendered; null before the first, and for a program that reports none. */
  frame: z.int().nullable(),
  /** Progress within the frame, 0 to 1; null when the program does not say. */
  progress: z.number().nullable(),
  /** Frames of the lease that are rendered and uploaded, and all of them. */
  done: z.int(),
  total: z.int(),
});
/** How a lease is that an agent has. */
export type LeaseStatus = z.infer<typeof leaseStatusSchema>;

/** How an agent is, as it says itself. */
export const agentStatusSchema = z.object({
  name: z.string(),
  pid: z.int(),
  version: z.string(),
  /** Null while it has not registered yet. */
  worker_id: z.int().nullable(),
  manager: z.string().nullable(),
  /**
   * `connected`: its socket is open; `http`: the socket is not, and calls get through; `none`: nothing does;
   * `starting`: it has not reached the manager yet.
   */
  connection: z.enum(["starting", "connected", "http", "none"]),
  /** Since when; by the clock of this machine. */
  connection_since_ms: z.number(),
  /** Somebody at the machine has paused it. */
  paused: z.boolean(),
  /** The manager gives it no work: an admin has drained, disabled or stopped it. */
  drained: z.boolean(),
  /** It ends when its leases have ended. */
  stopping: z.boolean(),
  /** It takes no work until then, because its disk is full; null when it is not. By the clock of this machine. */
  disk_full_until_ms: z.number().nullable(),
  leases: z.array(leaseStatusSchema),
  cache_bytes: z.number(),
});
/** How an agent is. */
export type AgentStatus = z.infer<typeof agentStatusSchema>;

/** Leases that a line names; an agent may have 64. */
const NAMED_LEASES = 3;

/** Which agent it is: `render-01 (worker 3 at https://farm.example)`. */
export function agentName({ name, worker_id, manager }: AgentStatus): string {
  if (worker_id === null) return `${name} (not registered yet)`;
  return `${name} (worker ${worker_id}${manager === null ? "" : ` at ${manager}`})`;
}

/** How it is, on one line without its name. `clock`: an instant as people at the machine read it. */
export function statusLine(status: AgentStatus, clock: (ms: number) => string = localTime): string {
  return [...activity(status, clock), connection(status, clock), `cache ${size(status.cache_bytes)}`].join(" · ");
}

function activity(status: AgentStatus, clock: (ms: number) => string): string[] {
  const { leases, paused, drained, stopping, disk_full_until_ms: full } = status;
  const busy = leases.length > 0;
  const work = leases.slice(0, NAMED_LEASES).map(leaseText);
  if (leases.length > work.length) work.push(`and ${leases.length - work.length} more`);
  if (stopping) return [busy ? "draining: it ends after" : "stopping", ...work];
  const why = [
    ...(paused ? [busy ? "pausing on this machine: the last is" : "paused on this machine"] : []),
    ...(drained ? [busy ? "draining, as an admin asked" : "drained by an admin: no work until it is enabled"] : []),
    ...(full !== null && !paused ? [`disk full: no work until ${clock(full)}`] : []),
  ];
  if (why.length > 0 || busy) return [...why, ...work];
  if (status.connection === "starting") return ["starting"];
  return [status.connection === "none" ? "no work without a connection" : "waiting for work"];
}

/** `task 12 frame 7, 43 %, 3 of 10 done`. */
function leaseText({ task_id, phase, frame, progress, done, total }: LeaseStatus): string {
  const task = `task ${task_id}`;
  const frames = total > 1 ? `, ${done} of ${total} done` : "";
  switch (phase) {
    case "preparing":
      return `${task}: preparing`;
    case "fetching":
      return `${task}: fetching its inputs`;
    case "delivering":
      return `${task}: delivering${frames}`;
    case "rendering": {
      const percent = progress === null ? "" : `, ${Math.floor(Math.min(Math.max(progress, 0), 1) * 100)} %`;
      return frame === null ? `${task}: starting${frames}` : `${task} frame ${frame}${percent}${frames}`;
    }
  }
}

function connection(
  { connection: how, connection_since_ms: since }: AgentStatus,
  clock: (ms: number) => string,
): string {
  switch (how) {
    case "starting":
      return "no answer from the manager yet";
    case "connected":
      return "connected";
    case "http":
      return `connected over plain HTTP since ${clock(since)}`;
    case "none":
      return `no connection since ${clock(since)}`;
  }
}

/** `14:03:22` today, with the date on other days, in the time of this machine. */
function localTime(ms: number): string {
  const at = new Date(ms);
  const time = at.toTimeString().slice(0, 8);
  if (at.toDateString() === new Date().toDateString()) return time;
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
