/** `tablao tasks` and `task`: show the state of the farm. */
import { InvalidArgumentError, type Command } from "commander";
import type { ManagerClient } from "../../client/manager-client.ts";
import { isEnded, TASK_STATUSES } from "../../protocol/constants.ts";
import {
  framesPageSchema,
  taskListSchema,
  taskSchema,
  type Frame,
  type Task,
  type TaskSummary,
} from "../../protocol/task.ts";
import type { HistoryFailure } from "../../protocol/history.ts";
import { MAX_SEARCH } from "../../protocol/task-search.ts";
import { retentionLines } from "../retention-text.ts";
import { warningLines } from "../warning-text.ts";
import { flagsOf, idArgument, queryString, contextOf, whole } from "../command-line.ts";
import { ago, bytes, count, duration, harmless, instant, table, timeLeft } from "../text.ts";
import { COMMAND } from "../own-command.ts";

/** What a screen shows without much scrolling; `--json` and `--all` list everything. */
const SHOWN = 50;
const PAGE = 500;
const FAILED_SHOWN = 5;
/** The type of tasks whose frames name the Blender that rendered them. */
const BLENDER_TYPE = "blender_render";

interface TasksFlags {
  search?: string;
  status?: string;
  type?: string;
  owner?: string;
  limit?: number;
  all?: boolean;
}

function statusName(text: string): string {
  if ((TASK_STATUSES as readonly string[]).includes(text)) return text;
  throw new InvalidArgumentError(`It must be one of ${TASK_STATUSES.join(", ")}.`);
}

function searchText(text: string): string {
  if (text.trim() !== "" && text.length <= MAX_SEARCH) return text;
  throw new InvalidArgumentError(`It must have 1 to ${MAX_SEARCH} characters, and not only spaces.`);
}

/** Whether a list is not of all tasks. */
function narrowed({ search, status, type, owner }: TasksFlags): boolean {
  return [search, status, type, owner].some((filter) => filter !== undefined);
}

/** Add the commands to the program. */
export function addList(program: Command): void {
  program
    .command("tasks")
    .summary("list tasks")
    .description("List tasks, newest first.")
    .option("--search <text>", "only with all these words in number, name, type, owner or status", searchText)
    .option("--status <status>", TASK_STATUSES.join(", "), statusName)
    .option("--type <type>", "only this compiler")
    .option("--owner <name>", "only what this token submitted")
    .option("--limit <n>", `at most so many (${SHOWN}; with --json all)`, whole(1))
    .option("--all", "all of them")
    .action(async (_: unknown, command: Command) => {
      const flags = flagsOf<TasksFlags>(command);
      const { client, out } = contextOf(command);
      const limit = flags.limit ?? (flags.all || out.json ? Infinity : SHOWN);
      const { tasks, more } = await listTasks(client, flags, limit);
      if (out.json) return out.value(tasks);
      if (tasks.length === 0 && narrowed(flags)) return out.note("no task matches");
      if (tasks.length === 0) return out.note(`no tasks; queue one with: ${COMMAND} submit shot.blend --frames 1-24`);
      const now = client.nowMs();
      const rows = tasks.map((task) => [
        String(task.id),
        task.status,
        progressText(task),
        String(task.priority),
        ago(task.created_ms, now),
        task.type,
        task.name,
      ]);
      out.line(table(["ID", "STATUS", "FRAMES", "PRIO", "AGE", "TYPE", "NAME"], rows, out.width));
      if (more) out.note(`… and older ones; --all lists them`);
    });

  program
    .command("task")
    .summary("show one task, and why frames failed")
    .description("Show one task: counts, who works on it, and why frames failed.")
    .argument("<id>", "the task's id", idArgument)
    .action(async (id: number, _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const task = await client.call(taskSchema, "GET", `/tasks/${id}`);
      if (out.json) return out.value(task);
      const failed = task.frames.failed > 0 || task.error !== null ? await failedFrames(client, id) : [];
      out.line(describe(task, failed, await blendersText(client, task), client.nowMs()));
    });
}

async function listTasks(
  client: ManagerClient,
  flags: TasksFlags,
  limit: number,
): Promise<{ tasks: TaskSummary[]; more: boolean }> {
  const tasks: TaskSummary[] = [];
  const { search, status, type, owner } = flags;
  let cursor: string | undefined;
  do {
    const page = await client.call(
      taskListSchema,
      "GET",
      `/tasks${queryString({ search, status, type, owner, limit: Math.min(PAGE, limit - tasks.length), cursor })}`,
    );
    tasks.push(...page.tasks);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined && tasks.length < limit);
  return { tasks, more: cursor !== undefined };
}

function progressText({ frames, warning_count }: TaskSummary): string {
  const notes = [
    ...(frames.failed > 0 ? [`${frames.failed} failed`] : []),
    ...(warning_count === undefined ? [] : [count(warning_count, "warning")]),
  ];
  return `${frames.done}/${frames.total}${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`;
}

async function failedFrames(client: ManagerClient, id: number): Promise<Frame[]> {
  const page = await client.call(
    framesPageSchema,
    "GET",
    `/tasks/${id}/frames${queryString({ state: "failed", limit: FAILED_SHOWN })}`,
  );
  return page.frames;
}

/** Which Blender rendered the frames, and what the task is bound to; null where nothing is known. */
async function blendersText(client: ManagerClient, task: Task): Promise<string | null> {
  if (task.type !== BLENDER_TYPE) return null;
  const query = queryString({ state: "done", limit: PAGE });
  const { frames, cursor } =
    task.frames.done === 0
      ? { frames: [], cursor: null }
      : await client.call(framesPageSchema, "GET", `/tasks/${task.id}/frames${query}`);
  const counts = new Map<string, number>();
  for (const { blender } of frames) if (blender) counts.set(blender, (counts.get(blender) ?? 0) + 1);
  const each = [...counts].map(([version, n]) => (counts.size > 1 ? `${version} (${count(n, "frame")})` : version));
  const some = cursor === null || each.length === 0 ? "" : ` (of the first ${count(frames.length, "frame")})`;
  const bound = task.bound_blender === undefined ? [] : [`bound to ${task.bound_blender}`];
  const text = [...(each.length > 0 ? [each.join(", ") + some] : []), ...bound].join("; ");
  return text === "" ? null : text;
}

/** The text of `tablao task ID`. */
function describe(task: Task, failed: readonly Frame[], blenders: string | null, nowMs: number): string {
  const { frames } = task;
  const counts = (["done", "leased", "pending", "failed", "skipped"] as const)
    .filter((state) => frames[state] > 0)
    .map((state) => `${frames[state]} ${state}`);
  const lines: [string, string][] = [
    ["status", task.status + (task.waits_for.length > 0 ? `, waits for task ${task.waits_for.join(", ")}` : "")],
    ["frames", `${frames.total} (${task.frame_list}): ${counts.join(", ")}`],
    ["type", task.type + (task.format === "" ? "" : `, ${task.format}`)],
    ["settings", settingsText(task.settings)],
    [
      "priority",
      `${task.priority}, chunk ${task.chunk}, ${task.order}${task.tags.length > 0 ? `, tags ${task.tags.join(", ")}` : ""}`,
    ],
    ["owner", `${task.owner}, ${ago(task.created_ms, nowMs)} ago`],
    ["work", duration(task.seconds)],
  ];
  if (blenders !== null) lines.push(["blender", blenders]);
  // A manager of 0.1 says nothing of it.
  if (task.stored_bytes !== undefined)
    lines.push(["stored", task.stored_bytes === null ? "not counted yet" : bytes(task.stored_bytes)]);
  lines.push(...retentionLines(task));
  const left = task.eta && timeLeft(task.eta.low_ms, task.eta.high_ms, nowMs);
  if (left !== null) lines.push(["left", left]);
  for (const lease of task.leases) {
    const progress = lease.progress === null ? "" : `, ${Math.round(lease.progress * 100)}%`;
    lines.push([
      `worker ${lease.worker_id}`,
      `frames ${lease.frames}${progress}, since ${ago(lease.claimed_ms, nowMs)}`,
    ]);
  }
  for (const kept of task.kept_off)
    lines.push([
      `worker ${kept.worker_id}`,
      kept.reason === undefined
        ? `blocklisted for ${ago(nowMs, kept.until_ms)}: it failed this task too often`
        : `held off for ${ago(nowMs, kept.until_ms)}: ${kept.reason}`,
    ]);
  if (isEnded(task.status) && frames.pending > 0)
    lines.push([
      "ended",
      `${count(frames.pending, "pending frame")} will not be rendered, unless the task is requeued`,
    ]);
  if (task.error !== null) lines.push(["error", task.error]);
  for (const warning of warningLines(task)) lines.push(["warning", warning]);
  for (const deleted of task.deleted_dependencies ?? [])
    lines.push(["deleted", `task ${deleted}, which it waits for: ${COMMAND} drop-dependency ${task.id} ${deleted}`]);
  if (task.outdated_source !== undefined)
    lines.push([
      "out of date",
      `${task.outdated_frames === undefined ? "" : `frames ${task.outdated_frames}: `}made from an older version of task ` +
        `${task.outdated_source}: ${COMMAND} requeue ${task.id} ${task.outdated_frames === undefined ? "--all" : `--frames ${task.outdated_frames}`}`,
    ]);
  if (task.history_failure) lines.push(["history", historyText(task.history_failure)]);
  for (const frame of failed) {
    if (frame.error !== null && frame.error !== task.error) lines.push([`frame ${frame.frame}`, frame.error]);
  }
  if (frames.failed > 0) lines.push(["next", `${COMMAND} logs ${task.id} · ${COMMAND} requeue ${task.id}`]);
  const width = Math.max(...lines.map(([key]) => key.length)) + 2;
  const indent = `\n${" ".repeat(width + 2)}`;
  return [
    `task ${task.id}${task.name === "" ? "" : `  ${harmless(task.name)}`}`,
    ...lines.map(([key, value]) => `  ${key.padEnd(width)}${harmless(value.trim()).replaceAll("\n", indent)}`),
  ].join("\n");
}

/** What is wrong with a task's history. */
function historyText({ since_ms, reason, dropped }: HistoryFailure): string {
  const lost = dropped > 0 ? [`${count(dropped, "event")} could not be written and are lost`] : [];
  const waits = since_ms === null ? [] : [`not written since ${instant(since_ms)} UTC: ${reason ?? "unknown"}`];
  return [...waits, ...lost].join("; ");
}

function settingsText(settings: Record<string, unknown>): string {
  const shown = Object.entries(settings).filter(
    ([key, value]) => key !== "frames" && key !== "assets" && value !== null && value !== false,
  );
  const { assets } = settings;
  const files = Array.isArray(assets) && assets.length > 1 ? [count(assets.length, "file")] : [];
  return (
    [
      ...shown.map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`),
      ...files,
    ].join(", ") || "none"
  );
}
