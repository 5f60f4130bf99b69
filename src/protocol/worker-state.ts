/** What a worker's fields say together, in the words of the page and the command line. Pure. */
import type { OtherAgent, Worker } from "./worker.ts";

/**
 * Whether a worker that drains has nothing left to finish: it holds no lease and takes none, so the
 * machine can be switched off without a frame being lost.
 */
export function isDrained({
  draining,
  status,
  current_task,
}: Pick<Worker, "draining" | "status" | "current_task">): boolean {
  return draining && status !== "rendering" && current_task === null;
}

/** What a worker's fields say together. `enabled`: free, or about to ask for work. */
export type WorkerState =
  | "offline"
  | "disabled"
  | "draining"
  | "drained"
  | "pausing"
  | "paused"
  | "rendering"
  | "enabled";

/**
 * The one word that says most about a worker: its connection, else what an admin has switched, else what
 * somebody at its machine has asked for, else its work. `pausing`: paused at its machine, and the frame that
 * ran goes on.
 */
export function workerState(
  worker: Pick<Worker, "connection" | "status" | "draining" | "current_task" | "local_state">,
): WorkerState {
  if (worker.connection === "offline") return "offline";
  if (worker.status === "disabled") return "disabled";
  if (worker.draining) return isDrained(worker) ? "drained" : "draining";
  if (worker.local_state === "draining") return "draining";
  if (worker.local_state === "paused")
    return worker.status === "rendering" || worker.current_task !== null ? "pausing" : "paused";
  return worker.status;
}

/** What people are told of another agent with the identity of a worker, and what to do on its machine. */
export function otherAgentText({ hostname, ip_address }: OtherAgent): string {
  const where = hostname === "" ? ip_address : `${hostname} (${ip_address})`;
  return (
    `Another agent with this worker's identity asks from ${where} and gets no work: a machine or its state folder was copied. ` +
    "On the copy, remove the worker's file from the state folder, and start the agent once with TABLAO_JOIN=TOKEN."
  );
}

/** What people are told of a worker that went back from the program with this hash. */
export function updateFailedText(sha256: string): string {
  return (
    `It fetched the program ${sha256.slice(0, 16)} that the manager serves, and went back to the one before, because that did not work. ` +
    "Nobody else fetches it. Its log says why; serve another program, or remove the worker to let the others try."
  );
}

/** The programs of a worker, each with all of its versions: `blender 4.5.15 and 3.4.1`. */
export function programsOf({ programs, versions = {} }: Pick<Worker, "programs" | "versions">): string[] {
  return Object.entries(programs).map(([name, version]) => {
    const all = Object.hasOwn(versions, name) ? versions[name]! : [];
    return `${name} ${(all.length > 0 ? all : [version]).join(" and ")}`.trim();
  });
}
