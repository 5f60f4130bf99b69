/** `tablao storage`: what is stored, by owner and by task, and what a month of it costs. */
import type { Command } from "commander";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { storageSchema, type Storage } from "../../protocol/storage.ts";
import { taskListSchema, type TaskSummary } from "../../protocol/task.ts";
import { contextOf, flagsOf, queryString, whole } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { ago, bytes, count, table } from "../text.ts";

/** The largest tasks that are shown where nobody says how many. */
const SHOWN = 10;
const PAGE = 500;

interface StorageFlags {
  owner?: string;
  limit?: number;
}

/** Add the command to the program. */
export function addStorage(program: Command): void {
  program
    .command("storage")
    .summary("what is stored, and what it costs")
    .description(
      "What is stored, by owner and by task, and what a month of it costs on Cloudflare R2. Artists see their own tasks. " +
        "Not counted: uploads that are not finished, files that wait to be deleted, the databases.",
    )
    .option("--owner <name>", "of the largest tasks, only those of this owner")
    .option("--limit <n>", `so many of the largest tasks (${SHOWN})`, whole(1))
    .action(async (_: unknown, command: Command) => {
      const { owner, limit = SHOWN } = flagsOf<StorageFlags>(command);
      const { client, out } = contextOf(command);
      const storage = await readStorage(client);
      const { tasks, more } = await listLargest(client, owner, limit);
      if (out.json) return out.value({ ...storage, largest: tasks });
      out.line(summaryOf(storage));
      if (storage.owners.length > 0) out.line(`\n${ownersTable(storage, out.width)}`);
      if (storage.owners_left_out > 0) out.note(`… and ${count(storage.owners_left_out, "owner")} with less`);
      if (tasks.length === 0) return out.note(`no task${owner === undefined ? "" : ` of ${owner}`} stores anything`);
      out.line(`\n${tasksTable(tasks, client.nowMs(), out.width)}`);
      if (more) out.note("… and smaller ones; --limit N lists more");
    });
}

async function readStorage(client: ManagerClient): Promise<Storage> {
  try {
    return await client.call(storageSchema, "GET", "/storage");
  } catch (error) {
    if (error instanceof ManagerError && error.status === 404)
      throw new CliError(EXIT.failed, "this manager is older than 0.2.0: it does not know what it stores");
    throw error;
  }
}

async function listLargest(
  client: ManagerClient,
  owner: string | undefined,
  limit: number,
): Promise<{ tasks: TaskSummary[]; more: boolean }> {
  const tasks: TaskSummary[] = [];
  let cursor: string | undefined;
  do {
    const query = queryString({ owner, limit: Math.min(PAGE, limit - tasks.length), cursor });
    const page = await client.call(taskListSchema, "GET", `/storage/tasks${query}`);
    tasks.push(...page.tasks);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined && tasks.length < limit);
  return { tasks, more: cursor !== undefined };
}

/** The totals, and what they cost. */
function summaryOf({ outputs, inputs, inputs_problem, blender_builds, cost }: Storage): string {
  const lines: [string, string][] = [["frames", `${bytes(outputs.bytes)} in ${count(outputs.tasks, "task")}`]];
  if (outputs.uncounted_tasks > 0)
    lines.push([
      "unknown",
      `${count(outputs.uncounted_tasks, "task")} of an earlier release: counted when next looked at, or at night, 100 a night`,
    ]);
  if (inputs === null) lines.push(["inputs", inputs_problem ?? "not known"]);
  else
    lines.push([
      "inputs",
      `${inputs.complete ? "" : "at least "}${bytes(inputs.bytes)} in ${count(inputs.files, "file")}${inputs.complete ? "" : ": the index of inputs is not complete yet"}`,
    ]);
  if (blender_builds !== undefined && blender_builds.builds > 0)
    lines.push(["Blender", `${bytes(blender_builds.bytes)} in ${count(blender_builds.builds, "build")}`]);
  if (cost !== null)
    lines.push([
      "a month",
      `${cost.is_whole ? "" : "at least "}$${cost.month_dollars.toFixed(2)} on Cloudflare R2: $${cost.dollars_per_gb} a GB beyond ${cost.free_gb} GB (price of ${cost.as_of})`,
    ]);
  const width = Math.max(...lines.map(([key]) => key.length)) + 2;
  return lines.map(([key, value]) => `${key.padEnd(width)}${value}`).join("\n");
}

function ownersTable({ owners }: Storage, width: number | undefined): string {
  return table(
    ["OWNER", "STORED", "TASKS"],
    owners.map(({ owner, bytes: stored, tasks, uncounted_tasks }) => [
      owner,
      bytes(stored),
      `${tasks}${uncounted_tasks > 0 ? ` (${uncounted_tasks} unknown)` : ""}`,
    ]),
    width,
  );
}

function tasksTable(tasks: readonly TaskSummary[], nowMs: number, width: number | undefined): string {
  return table(
    ["TASK", "STORED", "FRAMES", "STATUS", "CHANGED", "OWNER", "NAME"],
    tasks.map((task) => [
      String(task.id),
      bytes(task.stored_bytes ?? 0),
      String(task.frames.done),
      task.status,
      `${ago(task.updated_ms, nowMs)} ago`,
      task.owner,
      task.name,
    ]),
    width,
  );
}
