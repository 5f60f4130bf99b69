/** Which workers a command is for: by their ids or names, by their tags, or all. */
import type { ManagerClient } from "../client/manager-client.ts";
import { workersSchema, type Worker } from "../protocol/worker.ts";
import { CliError, EXIT } from "./failure.ts";
import { COMMAND } from "./own-command.ts";

/** How many workers an ambiguous name lists. */
const NAMED = 10;

/** How a command says which workers: by names or ids, or by one of the two flags. */
export interface WorkerChoice {
  /** Names and ids. */
  wanted: readonly string[];
  all?: boolean | undefined;
  /** Workers that have all of these tags. */
  tags?: readonly string[] | undefined;
}

/** All workers, by id. Throws `ManagerError`. */
export async function workersOf(client: ManagerClient): Promise<Worker[]> {
  const keyed = await client.call(workersSchema, "GET", "/workers");
  return Object.values(keyed).toSorted((a, b) => a.id - b.id);
}

/** What people call a worker: the name that it was given, else its hostname. */
export function nameOf({ name, hostname }: Pick<Worker, "name" | "hostname">): string {
  return name || hostname;
}

/**
 * The workers that are meant, each once. Throws `CliError` for a choice that says nothing or two things, for
 * a worker that is not there, a name of several, and tags that no worker has.
 */
export function chooseWorkers(listed: readonly Worker[], { wanted, all, tags }: WorkerChoice): Worker[] {
  const ways = [wanted.length > 0, all === true, tags !== undefined].filter(Boolean).length;
  if (ways !== 1)
    throw new CliError(
      EXIT.usage,
      ways === 0 ? "which workers?" : "workers are named by ids, or by --all, or by --tags: say one of these",
      "Name them by id or name, or say --all or --tags a,b.",
    );
  if (wanted.length > 0) return [...new Set(wanted.map((text) => findWorker(listed, text)))];
  const chosen = listed.filter((worker) => (tags ?? []).every((tag) => worker.tags.includes(tag)));
  if (chosen.length > 0) return chosen;
  const what = tags === undefined ? "there are no workers" : `no worker has the tags ${tags.join(", ")}`;
  throw new CliError(EXIT.notFound, what, `List them with: ${COMMAND} workers`);
}

/** The worker with this id, else the one with this name or hostname. Throws `CliError`. */
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
