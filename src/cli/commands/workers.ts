/** `tablao workers` and `tablao workers remove`. */
import type { Command } from "commander";
import { z } from "zod";
import type { ManagerClient } from "../../client/manager-client.ts";
import { BUILT_IN_PROGRAM } from "../../protocol/programs.ts";
import { isDrained, otherAgentText, programsOf, updateFailedText } from "../../protocol/worker-state.ts";
import { workersSchema, type Worker } from "../../protocol/worker.ts";
import { COMMAND } from "../own-command.ts";
import { contextOf, flagsOf } from "../command-line.ts";
import { canAsk, confirmed } from "../confirm.ts";
import { CliError, EXIT } from "../failure.ts";
import { ago, count, instant, table } from "../text.ts";

/** Workers that are removed within this time are named below the list. */
const SOON_MS = 7 * 86_400_000;
/** How many of them: more would push the list off the screen. */
const SOON_SHOWN = 5;
/** How many workers an ambiguous name lists. */
const NAMED = 10;

/** Add the commands to the program. */
export function addWorkers(program: Command): void {
  const workers = program
    .command("workers")
    .summary("list or remove workers")
    .description(
      "List workers. STATE: enabled (free), rendering, draining (finishes its frames and takes no more), drained (nothing runs any more), disabled, offline.",
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
  workers
    .command("remove")
    .summary("remove workers")
    .description(
      "Remove workers: their secrets stop working, and their machines come back only with a join token. Frames that they render go to other workers. The history keeps their names. (Admins only.)",
    )
    .argument("<worker...>", "names or ids of workers")
    .option("-y, --yes", "do not ask")
    .action(async (wanted: string[], _: unknown, command: Command) => {
      const { yes } = flagsOf<{ yes?: boolean }>(command);
      const { client, out } = contextOf(command);
      if (!yes && !canAsk(out))
        throw new CliError(EXIT.usage, "workers remove asks first, and this is no terminal", "Say it with --yes.");
      const asks = async (question: string): Promise<boolean> => yes === true || (await confirmed(question));
      const removed = await removeWorkers(client, wanted, asks);
      if (removed === null) return out.note("nothing was removed");
      if (out.json) return out.value(removed.length === 1 ? removed[0] : removed);
      for (const { id, name } of removed) out.line(`worker ${id} (${name}) removed`);
    });
}

/**
 * Remove the workers of these names or ids; null when `confirms` said no. All are found before one is
 * removed. Throws `CliError` for a worker that is not there, or a name of several; `ManagerError`.
 */
export async function removeWorkers(
  client: ManagerClient,
  wanted: readonly string[],
  confirms: (question: string) => Promise<boolean>,
): Promise<{ id: number; name: string; removed: true }[] | null> {
  const listed = await workersOf(client);
  const found = [...new Set(wanted.map((text) => findWorker(listed, text)))];
  const names = found.map((worker) => {
    const state = worker.status === "rendering" ? "rendering" : worker.connection;
    return `${worker.id} (${nameOf(worker)}, ${state})`;
  });
  const what = found.length === 1 ? `worker ${names[0]}` : `${count(found.length, "worker")}: ${names.join(", ")}`;
  if (!(await confirms(`Remove ${what}? [y/N] `))) return null;
  for (const { id } of found) await client.call(z.null(), "DELETE", `/workers/${id}`);
  return found.map((worker) => ({ id: worker.id, name: nameOf(worker), removed: true }));
}

/** The worker with this id, else the one with this name or hostname. */
export function findWorker(workers: readonly Worker[], text: string): Worker {
  const byId = workers.find(({ id }) => String(id) === text);
  if (byId) return byId;
  const named = workers.filter(({ name, hostname }) => name === text || hostname === text);
  if (named.length === 1) return named[0]!;
  if (named.length === 0)
    throw new CliError(EXIT.notFound, `there is no worker '${text}'`, `List them with: ${COMMAND} workers`);
  const ids = named.slice(0, NAMED).map(({ id }) => id);
  throw new CliError(
    EXIT.usage,
    `${named.length} workers have the name '${text}'`,
    `Say which by its id: ${ids.join(", ")}${named.length > ids.length ? ", …" : ""}.`,
  );
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

async function workersOf(client: ManagerClient): Promise<Worker[]> {
  const keyed = await client.call(workersSchema, "GET", "/workers");
  return Object.values(keyed).toSorted((a, b) => a.id - b.id);
}

function nameOf({ name, hostname }: Worker): string {
  return name || hostname;
}

function workerRow(worker: Worker, nowMs: number): string[] {
  const drain = isDrained(worker) ? "drained" : worker.draining ? "draining" : null;
  const state = worker.connection === "offline" ? "offline" : (drain ?? worker.status);
  const programs = programsOf(worker).filter((text) => !text.startsWith(`${BUILT_IN_PROGRAM} `));
  const name =
    worker.name === "" || worker.name === worker.hostname ? worker.hostname : `${worker.name} (${worker.hostname})`;
  const slots = worker.slots > 1 ? ` ×${worker.slots}` : "";
  return [
    String(worker.id),
    name + slots,
    state,
    worker.current_task === null ? "-" : String(worker.current_task),
    ago(worker.last_seen_ms, nowMs),
    worker.tags.join(",") || "-",
    programs.join(", ") || "-",
  ];
}
