/** Waits for the end of a task, with its progress on screen. */
import { setTimeout as sleep } from "node:timers/promises";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { needText } from "../protocol/blender-text.ts";
import { ANY_BLENDER, meetsNeed } from "../protocol/blender-version.ts";
import { isEnded } from "../protocol/constants.ts";
import { taskSchema, type Task } from "../protocol/task.ts";
import { versionsOffered } from "../protocol/needs.ts";
import { workersSchema, type Worker } from "../protocol/worker.ts";
import { CliError, EXIT } from "./failure.ts";
import { framesText, showProgress } from "./progress.ts";
import { count, duration, timeLeft } from "./text.ts";
import { COMMAND } from "./own-command.ts";

const POLL_MS = 1_000;
/** How long the manager may be silent: a wait for a render of a night must survive a deploy. */
const PATIENCE_MS = 10 * 60_000;
/** Codes of errors whose message says what stands between here and the manager. */
const TELLING: ReadonlySet<string> = new Set(["foreign", "certificate", "proxy"]);
/** After this long without a lease, look whether any worker can do the task at all. */
const IDLE_MS = 3_000;

/**
 * How the check in `blender-script.ts` begins when the scene refers to a file that is not there.
 */
const MISSING_FILE = "missing file ";

/**
 * Poll until the task has ended; answers with the task. Ctrl-C ends the waiting, not the task.
 * Throws `ManagerError`, `CliError`.
 */
export async function waitFor(client: ManagerClient, id: number, quiet: boolean): Promise<Task> {
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort();
  process.once("SIGINT", onInterrupt);
  process.once("SIGTERM", onInterrupt);
  const progress = showProgress(`task ${id}`, { quiet, eager: true });
  try {
    return await poll(client, id, progress, interrupt.signal);
  } catch (thrown) {
    if (!interrupt.signal.aborted) throw thrown;
    throw new CliError(
      EXIT.interrupted,
      `stopped waiting; task ${id} goes on`,
      `See it with \`${COMMAND} task ${id}\`, stop it with \`${COMMAND} cancel ${id}\`.`,
    );
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
    progress.end();
  }
}

async function poll(
  client: ManagerClient,
  id: number,
  progress: ReturnType<typeof showProgress>,
  signal: AbortSignal,
): Promise<Task> {
  let idleSince = performance.now();
  let task: Task | undefined;
  let heardMs = idleSince;
  for (;;) {
    try {
      task = await client.call(taskSchema, "GET", `/tasks/${id}`, { signal });
      heardMs = performance.now();
    } catch (thrown) {
      if (!isTransient(thrown) || performance.now() - heardMs > PATIENCE_MS) throw thrown;
      const why = TELLING.has(thrown.code) ? thrown.message : "the manager does not answer";
      progress.update(task?.frames.done ?? 0, task?.frames.total ?? 1, `${why}, trying again`);
      continue;
    }
    const { frames, status } = task;
    const now = performance.now();
    if (task.leases.length > 0) idleSince = now;
    const workers = new Set(task.leases.map((lease) => lease.worker_id)).size;
    let text = framesText(frames, workers, task.eta && timeLeft(task.eta.low_ms, task.eta.high_ms, client.nowMs()));
    if (status === "paused") text += ", paused";
    else if (status === "waiting") text += `, waits for task ${task.waits_for.join(", ")}`;
    else if (status === "queued" && now - idleSince > IDLE_MS) text += await whyIdle(client, task, signal);
    progress.update(frames.done + frames.failed + frames.skipped, frames.total, text);
    if (isEnded(status)) return task;
    await sleep(POLL_MS, undefined, { signal });
  }
}

function isTransient(thrown: unknown): thrown is ManagerError {
  return thrown instanceof ManagerError && thrown.transient;
}

async function whyIdle(client: ManagerClient, task: Task, signal: AbortSignal): Promise<string> {
  const known = await client.call(workersSchema, "GET", "/workers", { signal }).catch((thrown: unknown) => {
    // The next call for the task tells whether the manager answers.
    if (isTransient(thrown)) return null;
    throw thrown;
  });
  if (known === null) return ", queued";
  const workers = Object.values(known);
  const online = workers.filter((worker) => worker.connection === "online");
  if (online.length === 0) return `, no worker is online (start one: ${COMMAND} worker)`;
  if (!online.some((worker) => worker.task_types.includes(task.type))) return `, no worker online can do ${task.type}`;
  const need = task.bound_blender ?? task.settings["blender"];
  if (typeof need === "string" && need !== ANY_BLENDER && !online.some((worker) => hasBlender(worker, need)))
    return `, no worker online has ${needText(need)}`;
  const held = task.kept_off.find(({ worker_id, reason }) => reason && online.some(({ id }) => id === worker_id));
  if (held) return `, worker ${held.worker_id} is held off: ${held.reason}`;
  return ", queued";
}

function hasBlender({ programs, versions = {} }: Worker, need: string): boolean {
  return versionsOffered({ programs, versions }, "blender").some((version) => meetsNeed(need, version));
}

/** How the task ended, in one sentence. */
export function endText(task: Task, elapsedSeconds?: number): string {
  const { frames } = task;
  const took = elapsedSeconds === undefined ? "" : ` in ${duration(elapsedSeconds)}`;
  if (task.status === "completed") {
    const skipped = frames.skipped > 0 ? `, ${frames.skipped} skipped` : "";
    return `task ${task.id} completed: ${count(frames.done, "frame")}${skipped}${took} (${duration(task.seconds)} of work)`;
  }
  const why = task.error === null ? "" : `: ${task.error.split("\n", 1)[0]}`;
  return `task ${task.id} ${task.status} with ${frames.done} of ${count(frames.total, "frame")} done${why}`;
}

/** Throws when the task did not complete. */
export function mustBeCompleted(task: Task): void {
  if (task.status === "completed") return;
  if (task.status === "failed" && task.error?.startsWith(MISSING_FILE) === true) {
    const next =
      "Submit it again from where the file is, so that it is sent with the scene; or render without it: --allow-missing PATTERN.";
    throw new CliError(EXIT.failed, endText(task), next);
  }
  const next =
    task.status === "failed"
      ? `See \`${COMMAND} task ${task.id}\` and \`${COMMAND} logs ${task.id}\`; try again with \`${COMMAND} requeue ${task.id}\`.`
      : undefined;
  throw new CliError(EXIT.failed, endText(task), next);
}
