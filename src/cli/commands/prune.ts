/**
 * `tablao prune`: delete tasks that have ended, by their age, status or owner, or because they were
 * downloaded; or inputs that no task uses (`prune-inputs.ts`).
 */
import { InvalidArgumentError, type Command } from "commander";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { mapConcurrent } from "../../lib/concurrency.ts";
import { ENDED } from "../../protocol/constants.ts";
import { endOf } from "../../protocol/retention.ts";
import { sessionSchema } from "../../protocol/session.ts";
import { taskListSchema, taskSchema, type TaskSummary } from "../../protocol/task.ts";
import { MAX_UNUSED_INPUTS_DAYS, MIN_UNUSED_INPUTS_DAYS } from "../../protocol/setting-rules.ts";
import { contextOf, flagsOf, queryString, span, whole, type Output } from "../command-line.ts";
import { canAsk, confirmed } from "../confirm.ts";
import { CliError, EXIT } from "../failure.ts";
import { ago, bytes, count, table } from "../text.ts";
import { pruneInputs } from "./prune-inputs.ts";
import { COMMAND } from "../own-command.ts";

const PAGE = 500;
/** Deletions at a time: enough to hide the time between a request and its answer. */
const AT_ONCE = 4;

interface PruneFlags {
  olderThan?: number;
  downloaded?: boolean;
  owner?: string;
  status?: string;
  inputs?: boolean;
  days?: number;
  dryRun?: boolean;
  yes?: boolean;
}

/** What to delete. A field that is absent chooses nothing. */
export interface Choice {
  /** In seconds: the time since the end. */
  olderThan?: number | undefined;
  downloaded?: boolean | undefined;
}

function endedStatus(text: string): string {
  if ((ENDED as readonly string[]).includes(text)) return text;
  throw new InvalidArgumentError(`It must be one of ${ENDED.join(", ")}: other tasks are not deleted.`);
}

/** Add the command to the program. */
export function addPrune(program: Command): void {
  program
    .command("prune")
    .summary("delete tasks that have ended, with their files, or unused inputs")
    .description(
      "Delete tasks that have ended, with their files. At least one option says which; with several, all of them must hold. " +
        "A task that another one still needs stays, and so does one that has changed since it was listed. The history stays. With --inputs: delete inputs that no task names and " +
        "that nothing has used for as many days as the setting unused_inputs_days says, as the farm does each night.",
    )
    .option("--older-than <span>", "those that ended so long ago: 90d, 12h, 2w", span)
    .option("--downloaded", "those whose files were all downloaded, as they are now")
    .option("--owner <name>", "those that this token submitted")
    .option("--status <status>", ENDED.join(", "), endedStatus)
    .option("--inputs", "no tasks, but inputs that no task uses (admins only)")
    .option(
      "--days <n>",
      `with --inputs: unused for so many days, at least ${MIN_UNUSED_INPUTS_DAYS}, instead of the setting's`,
      whole(MIN_UNUSED_INPUTS_DAYS, MAX_UNUSED_INPUTS_DAYS),
    )
    .option("--dry-run", "list what would be deleted, and delete nothing")
    .option("-y, --yes", "do not ask")
    .action(async (_: unknown, command: Command) => {
      const flags = flagsOf<PruneFlags>(command);
      if (!flags.inputs) return await prune(command, flags);
      if (choosesTasks(flags))
        throw new CliError(
          EXIT.usage,
          "--inputs goes with --days, --dry-run and --yes only",
          "Prune tasks by themselves.",
        );
      const context = contextOf(command);
      const confirms = asksFirst(context.out, flags) ? confirmed : undefined;
      await pruneInputs(context, { days: flags.days, dryRun: flags.dryRun === true, confirms });
    });
}

function choosesTasks({ olderThan, downloaded, owner, status }: PruneFlags): boolean {
  return olderThan !== undefined || downloaded === true || owner !== undefined || status !== undefined;
}

/** Whether to ask before anything is deleted. Throws `CliError` where nobody can answer. */
function asksFirst(out: Output, { dryRun, yes }: PruneFlags): boolean {
  if (dryRun || yes) return false;
  if (canAsk(out)) return true;
  throw new CliError(
    EXIT.usage,
    "prune asks before it deletes, and this is no terminal",
    "Look with --dry-run, then delete with --yes.",
  );
}

async function prune(command: Command, flags: PruneFlags): Promise<void> {
  const { olderThan, downloaded, owner, status, dryRun = false } = flags;
  if (flags.days !== undefined)
    throw new CliError(EXIT.usage, "--days goes with --inputs", "Of tasks: --older-than 60d");
  if (!choosesTasks(flags))
    throw new CliError(
      EXIT.usage,
      "prune needs --older-than, --downloaded, --owner, --status or --inputs",
      `For example: ${COMMAND} prune --older-than 60d --dry-run`,
    );
  const { client, out } = contextOf(command);
  const asks = asksFirst(out, flags);
  const choice = { olderThan, downloaded };
  const listed = await endedTasks(client, await ownerFor(client, owner), status);
  const tasks = chosen(listed, choice, client.nowMs());
  const size = sizeOf(tasks);
  if (dryRun && out.json) return out.value({ dry_run: true, tasks, ...size });
  if (tasks.length === 0 && !out.json) return out.note("no task to delete");
  if (!out.json && (dryRun || asks)) out.line(listText(tasks, client.nowMs(), out.width));
  if (dryRun) return out.line(`${sumText(tasks)} would be deleted; nothing was`);
  if (asks && !(await confirmed(`Delete ${sumText(tasks)}? [y/N] `))) return out.note("nothing was deleted");
  await deleteAll(client, out, tasks, choice);
}

/**
 * Whose tasks: an artist deletes its own only. Throws `CliError` for a token that may delete none, or
 * not those.
 */
async function ownerFor(client: ManagerClient, wanted: string | undefined): Promise<string | undefined> {
  const { role, owner } = await client.call(sessionSchema, "GET", "/auth/session");
  if (role === "admin") return wanted;
  if (role !== "artist") throw new CliError(EXIT.auth, `the token of a ${role} may not delete tasks`);
  if (wanted !== undefined && wanted !== owner)
    throw new CliError(EXIT.auth, `an artist's token deletes its own tasks only: those of ${owner}`);
  return owner;
}

async function endedTasks(
  client: ManagerClient,
  owner: string | undefined,
  status: string | undefined,
): Promise<TaskSummary[]> {
  const tasks: TaskSummary[] = [];
  for (const one of status === undefined ? ENDED : [status]) {
    let cursor: string | undefined;
    do {
      const query = queryString({ status: one, owner, limit: PAGE, cursor });
      const page = await client.call(taskListSchema, "GET", `/tasks${query}`);
      tasks.push(...page.tasks);
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
  }
  // A task that changed its status between two lists is in both.
  return [...new Map(tasks.map((task) => [task.id, task])).values()].toSorted((a, b) => a.id - b.id);
}

/** Those of the tasks that are to be deleted. */
export function chosen(tasks: readonly TaskSummary[], choice: Choice, nowMs: number): TaskSummary[] {
  const { olderThan, downloaded } = choice;
  return tasks.filter((task) => {
    const endedMs = endOf(task);
    if (endedMs === null) return false;
    if (olderThan !== undefined && nowMs - endedMs < olderThan * 1_000) return false;
    return !downloaded || task.downloaded_ms != null;
  });
}

/** The sum of the sizes that are known, and how many tasks do not say theirs. */
export function sizeOf(tasks: readonly TaskSummary[]): { bytes: number; unknown: number } {
  return {
    bytes: tasks.reduce((sum, { stored_bytes }) => sum + (stored_bytes ?? 0), 0),
    unknown: tasks.filter(({ stored_bytes }) => stored_bytes == null).length,
  };
}

/** `3 tasks (1.2 GB)`, and how many of them do not say their size. */
export function sumText(tasks: readonly TaskSummary[]): string {
  const size = sizeOf(tasks);
  const known = bytes(size.bytes);
  const sum =
    size.unknown === 0
      ? known
      : size.unknown === tasks.length
        ? "size unknown"
        : `${known}, and ${count(size.unknown, "task")} of unknown size`;
  return `${count(tasks.length, "task")} (${sum})`;
}

function listText(tasks: readonly TaskSummary[], nowMs: number, width: number | undefined): string {
  return table(
    ["ID", "STATUS", "ENDED", "DOWNLOADED", "SIZE", "OWNER", "NAME"],
    tasks.map((task) => [
      String(task.id),
      task.status,
      `${ago(endOf(task)!, nowMs)} ago`,
      task.downloaded_ms == null ? "no" : "yes",
      task.stored_bytes == null ? "unknown" : bytes(task.stored_bytes),
      task.owner,
      task.name,
    ]),
    width,
  );
}

/**
 * Delete the tasks, each only if it is still what was listed. Those that stay are named. Throws the
 * first error that is not about one task; what was deleted until then was said.
 */
async function deleteAll(
  client: ManagerClient,
  out: Output,
  tasks: readonly TaskSummary[],
  choice: Choice,
): Promise<void> {
  const deleted: TaskSummary[] = [];
  const left: { id: number; reason: string }[] = [];
  try {
    await mapConcurrent(tasks, AT_ONCE, async (task) => {
      const reason = await deleteOne(client, task, choice);
      if (reason === null) {
        deleted.push(task);
        if (!out.json) out.line(`task ${task.id} deleted`);
      } else {
        left.push({ id: task.id, reason });
        out.note(`left: ${reason}`);
      }
    });
  } catch (thrown) {
    if (deleted.length > 0) out.note(`${sumText(deleted)} deleted until then`);
    throw thrown;
  }
  if (out.json) return out.value({ dry_run: false, deleted: deleted.map(({ id }) => id), left, ...sizeOf(deleted) });
  const stay = left.length > 0 ? `; ${count(left.length, "task")} left` : "";
  out.line(`${sumText(deleted)} deleted${stay}`);
}

/** Delete one task; answers why it stays, or null. */
async function deleteOne(client: ManagerClient, task: TaskSummary, choice: Choice): Promise<string | null> {
  const query = queryString({
    // One that was requeued and has ended again is not the one that was listed.
    if_ended_before: endOf(task)! + 1,
    // The manager's clock decides; this machine's may be wrong.
    if_ended_for: choice.olderThan,
    if_downloaded: choice.downloaded ? "1" : undefined,
  });
  try {
    await client.call(taskSchema, "DELETE", `/tasks/${task.id}${query}`);
    return null;
  } catch (thrown) {
    if (!(thrown instanceof ManagerError)) throw thrown;
    if (thrown.code === "conflict") return thrown.message;
    if (thrown.errors.some(({ field }) => field === "if_ended_before"))
      throw new CliError(
        EXIT.refused,
        "this manager is of an earlier release, which cannot delete on a condition",
        `Update it, or delete tasks by their ids: ${COMMAND} delete ID`,
      );
    if (thrown.code === "not_found") return `task ${task.id} is gone already`;
    throw thrown;
  }
}
