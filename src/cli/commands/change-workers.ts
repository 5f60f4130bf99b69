/** `tablao workers drain|enable|disable|stop-now|tag|rename|remove`. */
import { InvalidArgumentError, type Command } from "commander";
import { z } from "zod";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { mapConcurrent } from "../../lib/concurrency.ts";
import { tagSchema } from "../../protocol/fields.ts";
import { workerState } from "../../protocol/worker-state.ts";
import { workerPatchedSchema, type Worker, type WorkerPatch } from "../../protocol/worker.ts";
import { collect, contextOf, flagsOf, type Output } from "../command-line.ts";
import { canAsk, confirmed } from "../confirm.ts";
import { CliError, EXIT } from "../failure.ts";
import { count } from "../text.ts";
import { chooseWorkers, nameOf, workersOf, type WorkerChoice } from "../worker-selection.ts";

/** Workers that are changed at once: to stop one takes up to five seconds. */
const AT_ONCE = 8;
/** How many workers a question names: more would push it off the screen. */
const ASKED_NAMES = 10;

/** What became of one worker. `worker` is null when it was removed. */
export interface WorkerChange {
  id: number;
  name: string;
  worker: Worker | null;
  /** Why it was not changed. Absent: it was. */
  error?: ManagerError;
}

interface ChangeFlags {
  all?: boolean;
  tags?: string[];
  yes?: boolean;
}

interface Verb {
  summary: string;
  description: string;
  status: NonNullable<WorkerPatch["status"]>;
  /** From how many workers on a question comes first; Infinity: never. */
  asksFrom: number;
  question: string;
}

const VERBS: Record<string, Verb> = {
  drain: {
    summary: "let workers finish what they have, and give them no more",
    description:
      "Let workers finish the frames that they have, and give them no more, until they are enabled. When a worker is drained, nothing runs on it, and its machine can be switched off.",
    status: "drain",
    asksFrom: Infinity,
    question: "Drain",
  },
  enable: {
    summary: "give workers work again",
    description:
      "Give workers work again that were drained, disabled or stopped. One that is paused at its machine is resumed there.",
    status: "enabled",
    asksFrom: Infinity,
    question: "Enable",
  },
  disable: {
    summary: "switch workers off",
    description:
      "Switch workers off until they are enabled: as drain, for machines that are not to be used for now. Frames that run are finished.",
    status: "disabled",
    asksFrom: 2,
    question: "Disable",
  },
  "stop-now": {
    summary: "take the frames of workers away, and give them no more",
    description:
      "Stop what runs on workers, give their frames to others at once, and give them no more until they are enabled. What a frame has cost is lost; finished frames are kept.",
    status: "stop_now",
    asksFrom: 1,
    question: "Stop what runs on",
  },
};

/** Add the commands to `tablao workers`. */
export function addWorkerChanges(workers: Command): void {
  for (const [name, verb] of Object.entries(VERBS))
    selecting(workers.command(name).summary(verb.summary).description(`${verb.description} (Admins only.)`))
      .option("-y, --yes", "do not ask")
      .action(async (wanted: string[], _: unknown, command: Command) => {
        const { client, out } = contextOf(command);
        const { all, tags, yes } = flagsOf<ChangeFlags>(command);
        const chosen = chooseWorkers(await workersOf(client), { wanted, all, tags });
        if (chosen.length >= verb.asksFrom && !(await asked(out, name, yes, `${verb.question} ${named(chosen)}?`)))
          return out.note("nothing was changed");
        tell(out, await changeWorkers(client, chosen, () => ({ status: verb.status })), wanted, stateText);
      });
  selecting(
    workers
      .command("tag")
      .summary("change the tags of workers")
      .description(
        "Change the tags of workers. They stay as they are set here, whatever the agents report, until --reset: then they are those of the agent (--tags) and of its join token again. (Admins only.)",
      ),
  )
    .option("--add <a,b>", "add these", collect(tag))
    .option("--remove <a,b>", "remove these", collect(tag))
    .option("--set <a,b>", "exactly these; '' for none", (text: string) => text.split(",").filter(Boolean).map(tag))
    .option("--reset", "those of the agent again")
    .action(async (wanted: string[], _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const flags = flagsOf<ChangeFlags & TagFlags>(command);
      const ways = [flags.add ?? flags.remove, flags.set, flags.reset].filter((way) => way !== undefined).length;
      if (ways !== 1)
        throw new CliError(
          EXIT.usage,
          "workers tag needs --add and --remove, or --set, or --reset",
          "Say one of these.",
        );
      const chosen = chooseWorkers(await workersOf(client), { wanted, all: flags.all, tags: flags.tags });
      tell(
        out,
        await changeWorkers(client, chosen, (worker) => ({ tags: tagsAfter(worker.tags, flags) })),
        wanted,
        (worker) => `tags ${worker.tags.join(", ") || "none"}${worker.chosen?.includes("tags") ? "" : " (its own)"}`,
      );
    });
  workers
    .command("rename")
    .summary("give a worker another name")
    .description(
      "Give a worker another name in lists. It stays, whatever the agent reports, until --reset. Its hostname and the files on its machine keep theirs. (Admins only.)",
    )
    .argument("<worker>", "its name or id")
    .argument("[name]", "its new name")
    .option("--reset", "the name that the agent reports again")
    .action(async (wanted: string, name: string | undefined, _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const { reset } = flagsOf<{ reset?: boolean }>(command);
      if ((name === undefined) === (reset === undefined) || name?.trim() === "")
        throw new CliError(EXIT.usage, "workers rename needs a new name, or --reset");
      const chosen = chooseWorkers(await workersOf(client), { wanted: [wanted] });
      tell(
        out,
        await changeWorkers(client, chosen, () => ({ name: name ?? null })),
        [wanted],
        (worker) => `its name is now ${nameOf(worker)}`,
      );
    });
  selecting(
    workers
      .command("remove")
      .summary("remove workers")
      .description(
        "Remove workers: their secrets stop working, and their machines come back only with a join token. Frames that they render go to other workers. The history keeps their names. (Admins only.)",
      ),
  )
    .option("-y, --yes", "do not ask")
    .action(async (wanted: string[], _: unknown, command: Command) => {
      const { all, tags, yes } = flagsOf<ChangeFlags>(command);
      const { client, out } = contextOf(command);
      const asks = async (question: string): Promise<boolean> => await asked(out, "remove", yes, question);
      const removed = await removeWorkers(client, { wanted, all, tags }, asks);
      if (removed === null) return out.note("nothing was removed");
      tell(out, removed, wanted, () => "");
    });
}

/** The arguments by which a command says which workers it is for. */
function selecting(command: Command): Command {
  return command
    .argument("[worker...]", "names or ids of workers")
    .option("--all", "all workers")
    .option("--tags <a,b>", "workers that have all of these tags", collect(tag));
}

function tag(text: string): string {
  const parsed = tagSchema.safeParse(text.trim());
  if (!parsed.success) throw new InvalidArgumentError(`'${text}' is no tag: ${parsed.error.issues[0]!.message}.`);
  return parsed.data;
}

interface TagFlags {
  add?: string[];
  remove?: string[];
  set?: string[];
  reset?: boolean;
}

/** The tags to set; null: those that the agent reports. Pure. */
export function tagsAfter(before: readonly string[], { add = [], remove = [], set, reset }: TagFlags): string[] | null {
  if (reset) return null;
  return [...new Set(set ?? [...before, ...add])].filter((one) => set !== undefined || !remove.includes(one));
}

/** Throws `CliError` where nobody can answer. */
async function asked(out: Output, name: string, yes: boolean | undefined, question: string): Promise<boolean> {
  if (yes) return true;
  if (!canAsk(out))
    throw new CliError(EXIT.usage, `workers ${name} asks first, and this is no terminal`, "Say it with --yes.");
  return await confirmed(`${question} [y/N] `);
}

/** `worker 1 (render-01, rendering)`, `2 workers: 2 (pod, offline), 3 (…)`. */
function named(workers: readonly Worker[]): string {
  const names = workers
    .slice(0, ASKED_NAMES)
    .map((worker) => `${worker.id} (${nameOf(worker)}, ${workerState(worker)})`);
  if (workers.length === 1) return `worker ${names[0]}`;
  return `${count(workers.length, "worker")}: ${names.join(", ")}${workers.length > names.length ? ", …" : ""}`;
}

/**
 * Change workers, each by a PATCH of its own, and read how they are afterwards. A refusal of one does not keep
 * the others from being changed. Throws `ManagerError` when they cannot be read.
 */
export async function changeWorkers(
  client: ManagerClient,
  workers: readonly Worker[],
  patchOf: (worker: Worker) => WorkerPatch,
): Promise<WorkerChange[]> {
  const errors = await mapConcurrent(workers, AT_ONCE, async (worker) =>
    refusalOf(client.call(workerPatchedSchema, "PATCH", `/workers/${worker.id}`, { json: patchOf(worker) })),
  );
  const now = new Map((await workersOf(client)).map((worker) => [worker.id, worker]));
  return workers.map((before, index) => ({
    id: before.id,
    name: nameOf(before),
    worker: now.get(before.id) ?? null,
    ...(errors[index] && { error: errors[index] }),
  }));
}

/**
 * Remove workers; null when `confirms` said no. All are found before one is removed. Throws `CliError` for a
 * worker that is not there, or a name of several; `ManagerError`.
 */
export async function removeWorkers(
  client: ManagerClient,
  choice: WorkerChoice,
  confirms: (question: string) => Promise<boolean>,
): Promise<WorkerChange[] | null> {
  const found = chooseWorkers(await workersOf(client), choice);
  if (!(await confirms(`Remove ${named(found)}?`))) return null;
  const errors = await mapConcurrent(found, AT_ONCE, async ({ id }) =>
    refusalOf(client.call(z.null(), "DELETE", `/workers/${id}`)),
  );
  return found.map((worker, index) => ({
    id: worker.id,
    name: nameOf(worker),
    worker: errors[index] ? worker : null,
    ...(errors[index] && { error: errors[index] }),
  }));
}

async function refusalOf(call: Promise<unknown>): Promise<ManagerError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof ManagerError) return error;
    throw error;
  }
}

/** How a worker is, in words. Pure. */
export function stateText(worker: Worker): string {
  const state = workerState(worker);
  const task = worker.current_task === null ? null : `task ${worker.current_task}`;
  const switched = worker.status === "disabled" ? "disabled" : worker.draining ? "draining" : null;
  switch (state) {
    case "offline":
      return switched === null ? "offline" : `offline, and ${switched === "draining" ? "drained" : switched}`;
    case "disabled":
    case "draining":
      return task === null ? state : `${state}: it finishes ${task}`;
    case "pausing":
      return `paused on the machine: it finishes ${task ?? "its frame"}`;
    case "paused":
      return "paused on the machine: it is resumed there";
    case "rendering":
      return `rendering${task === null ? "" : ` ${task}`}`;
    case "drained":
    case "enabled":
      return state;
  }
}

/**
 * Tell what became of each worker: a line, or with `--json` an object (an array where workers were not named
 * one by one). Throws when one was not changed, after all are told.
 */
function tell(
  out: Output,
  changes: readonly WorkerChange[],
  wanted: readonly string[],
  text: (worker: Worker) => string,
): void {
  const failed = changes.filter(({ error }) => error !== undefined);
  // With one cause for all, its message and exit code say the most.
  if (failed.length === changes.length) throw failed[0]!.error!;
  const values = changes.map(({ id, name, worker, error }) => ({
    ...(worker ?? { id, name, removed: true }),
    ...(error && { error: error.message }),
  }));
  if (out.json) out.value(wanted.length === 1 && values.length === 1 ? values[0] : values);
  else
    for (const { id, name, worker, error } of changes) {
      const what = error ? `: not changed: ${error.message}` : worker === null ? " removed" : `: ${text(worker)}`;
      out.line(`worker ${id} (${name})${what}`);
    }
  if (failed.length > 0)
    throw new CliError(EXIT.failed, `${failed.length} of ${count(changes.length, "worker")} could not be changed`);
}
