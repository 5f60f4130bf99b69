/** `tablao workers`; its other commands are in `change-workers.ts`. */
import type { Command } from "commander";
import { BUILT_IN_PROGRAM } from "../../protocol/programs.ts";
import { otherAgentText, programsOf, updateFailedText, workerState } from "../../protocol/worker-state.ts";
import type { Worker } from "../../protocol/worker.ts";
import { COMMAND } from "../own-command.ts";
import { contextOf } from "../command-line.ts";
import { ago, count, instant, table } from "../text.ts";
import { nameOf, workersOf } from "../worker-selection.ts";
import { addWorkerChanges } from "./change-workers.ts";

/** Workers that are removed within this time are named below the list. */
const SOON_MS = 7 * 86_400_000;
/** How many of them: more would push the list off the screen. */
const SOON_SHOWN = 5;

/** Add the commands to the program. */
export function addWorkers(program: Command): void {
  const workers = program
    .command("workers")
    .summary("list, drain, stop, tag, rename or remove workers")
    .description(
      "List workers. STATE: enabled (free), rendering, draining (finishes its frames and takes no more), drained (nothing runs any more), paused (by somebody at the machine; pausing: it finishes its frame), disabled, offline.",
    )
    .action(async (_: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const listed = await workersOf(client);
      if (out.json) return out.value(listed);
      if (listed.length === 0) return out.note(`no workers; start one with: ${COMMAND} worker`);
      const now = client.nowMs();
      out.line(
        table(
          ["ID", "NAME", "STATE", "TASK", "SEEN", "TAGS", "PROGRAMS"],
          listed.map((worker) => workerRow(worker, now)),
          out.width,
        ),
      );
      for (const { id, other_agent, update_failed } of listed) {
        if (other_agent) out.note(`worker ${id}: ${otherAgentText(other_agent)}`);
        if (update_failed) out.note(`worker ${id}: ${updateFailedText(update_failed)}`);
      }
      for (const line of removalLines(listed, now)) out.note(line);
    });
  addWorkerChanges(workers);
}

/** What is said of workers that the farm's rule removes soon. */
export function removalLines(workers: readonly Worker[], nowMs: number): string[] {
  const soon = workers
    .filter((worker) => worker.expires_ms != null && worker.expires_ms - nowMs < SOON_MS)
    .toSorted((a, b) => a.expires_ms! - b.expires_ms!);
  const lines = soon
    .slice(0, SOON_SHOWN)
    .map(
      (worker) =>
        `worker ${worker.id} (${nameOf(worker)}) is removed after ${instant(worker.expires_ms!)} UTC unless it calls again (setting unseen_workers_days)`,
    );
  return soon.length > lines.length ? [...lines, `and ${count(soon.length - lines.length, "more worker")}`] : lines;
}

function workerRow(worker: Worker, nowMs: number): string[] {
  const programs = programsOf(worker).filter((text) => !text.startsWith(`${BUILT_IN_PROGRAM} `));
  const name =
    worker.name === "" || worker.name === worker.hostname ? worker.hostname : `${worker.name} (${worker.hostname})`;
  const slots = worker.slots > 1 ? ` ×${worker.slots}` : "";
  return [
    String(worker.id),
    name + slots,
    workerState(worker),
    worker.current_task === null ? "-" : String(worker.current_task),
    ago(worker.last_seen_ms, nowMs),
    worker.tags.join(",") || "-",
    programs.join(", ") || "-",
  ];
}
