/** `tablao pause`, `resume`, `cancel`, `requeue`, `skip`, `priority`, `drop-dependency`, `retention`, `delete`. */
import { InvalidArgumentError, type Command } from "commander";
import { z } from "zod";
import { ALL_FRAMES } from "../../protocol/constants.ts";
import { taskSchema, type Task, type TaskAction } from "../../protocol/task.ts";
import { daysOfText, RETENTION_RULE, type RetentionDays } from "../../protocol/retention.ts";
import { flagsOf, frameList, idArgument, contextOf, whole, type CommandContext, type Output } from "../command-line.ts";
import { canAsk, confirmed } from "../confirm.ts";
import { CliError, EXIT } from "../failure.ts";
import { retentionText } from "../retention-text.ts";
import { requeueNamed } from "./requeue.ts";
import { COMMAND } from "../own-command.ts";

const VERBS: Record<Exclude<TaskAction, "requeue" | "skip">, [summary: string, description: string]> = {
  pause: ["take no new frames of a task", "Take no new frames of a task; what runs is finished."],
  resume: ["go on with a paused task", "Go on with a paused task."],
  cancel: ["stop a task", "Stop a task, and what runs of it. Finished frames stay."],
};

type OwnDays = RetentionDays | "farm";

/** A task's own rule: days, `forever`, or `farm`. */
function ownDays(text: string): OwnDays {
  if (text === "farm") return text;
  const days = daysOfText(text);
  if (days == null) throw new InvalidArgumentError(`It ${RETENTION_RULE}, or "farm".`);
  return days;
}

function gatherId(text: string, before: number[] | undefined): number[] {
  return [...(before ?? []), idArgument(text)];
}

/** Add the commands to the program. */
export function addControl(program: Command): void {
  for (const [verb, [summary, description]] of Object.entries(VERBS)) {
    program
      .command(verb)
      .summary(summary)
      .description(description)
      .argument("<id...>", "ids of tasks", gatherId)
      .action(async (ids: number[], _: unknown, command: Command) => {
        await patchAll(command, ids, { status: verb });
      });
  }
  program
    .command("requeue")
    .summary("render failed or canceled frames again")
    .description(
      "Render again what failed or was canceled. Finished frames only when they are named: with --frames or --all, after a question, because their files are deleted.",
    )
    .argument("<id...>", "ids of tasks", gatherId)
    .option("-f, --frames <list>", "exactly these frames, finished and skipped ones too", frameList)
    .option("--all", "all frames, finished and skipped ones too")
    .option("-y, --yes", "do not ask")
    .action(async (ids: number[], _: unknown, command: Command) => {
      const flags = flagsOf<{ frames?: string; all?: boolean; yes?: boolean }>(command);
      if (flags.frames !== undefined && flags.all)
        throw new CliError(EXIT.usage, "--frames goes without --all", "Name the frames, or take all.");
      const frames = flags.all ? ALL_FRAMES : flags.frames;
      if (frames === undefined) return await patchAll(command, ids, { status: "requeue" });
      await changeAll(command, ids, async ({ client, out }, id) => {
        const asks = async (question: string): Promise<boolean> => flags.yes === true || (await asked(out, question));
        if (!(await requeueNamed(client, id, frames, asks))) out.note(`task ${id}: nothing was changed`);
      });
    });
  program
    .command("skip")
    .summary("leave frames out")
    .description("Leave frames out that are not done yet.")
    .argument("<id>", "the task's id", gatherId)
    .requiredOption("-f, --frames <list>", "which frames", frameList)
    .action(async (ids: number[], _: unknown, command: Command) => {
      const { frames } = flagsOf<{ frames: string }>(command);
      await patchAll(command, ids, { status: "skip", frames });
    });
  program
    .command("priority")
    .summary("change a task's priority")
    .description("Change a task's priority: higher goes first.")
    .argument("<id>", "the task's id", gatherId)
    .argument("<n>", "the new priority", whole(-1_000_000, 1_000_000))
    .action(async (ids: number[], priority: number, _: unknown, command: Command) => {
      await patchAll(command, ids, { priority });
    });
  program
    .command("drop-dependency")
    .summary("no longer wait for another task")
    .description(
      "No longer wait for another task, also when that was deleted. A task that stopped because of that goes on. The task whose files it reads cannot be dropped.",
    )
    .argument("<id>", "the task that waits", gatherId)
    .argument("<other>", "the task that it waits for", idArgument)
    .action(async (ids: number[], drop_dependency: number, _: unknown, command: Command) => {
      await patchAll(command, ids, { drop_dependency });
    });
  program
    .command("retention")
    .summary("change when a task is deleted by itself")
    .description(
      "Change when a task is deleted by itself: a number of days, forever, or farm for the farm's rule. A change counts after a day.",
    )
    .argument("<id...>", "ids of tasks", gatherId)
    .option("--days <n|forever|farm>", "after its end", ownDays)
    .option("--after-download <n|forever|farm>", "after all its files were downloaded", ownDays)
    .action(async (ids: number[], _: unknown, command: Command) => {
      const { days, afterDownload } = flagsOf<{ days?: OwnDays; afterDownload?: OwnDays }>(command);
      if (days === undefined && afterDownload === undefined)
        throw new CliError(
          EXIT.usage,
          "retention needs --days or --after-download",
          `For example: ${COMMAND} retention 7 --days 30`,
        );
      const valueOf = (own: OwnDays | undefined): RetentionDays | null | undefined => (own === "farm" ? null : own);
      const patch = { retention_days: valueOf(days), retention_after_download_days: valueOf(afterDownload) };
      await patchAll(command, ids, patch, (out, task) => {
        out.line(`task ${task.id}: ${retentionText(task)}`);
      });
    });
  program
    .command("delete")
    .summary("remove a task and its files")
    .description("Cancel a task and remove it with all its files. The history stays.")
    .argument("<id...>", "ids of tasks", gatherId)
    .action(async (ids: number[], _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const tasks: Task[] = [];
      for (const id of ids) {
        tasks.push(await client.call(taskSchema, "DELETE", `/tasks/${id}`));
        if (!out.json) out.line(`task ${id} deleted`);
      }
      if (out.json) out.value(ids.length === 1 ? tasks[0] : tasks);
    });
}

/** Ask before finished frames are given up. Throws `CliError` where nobody can answer. */
async function asked(out: Output, question: string): Promise<boolean> {
  if (canAsk(out)) return await confirmed(question);
  throw new CliError(
    EXIT.usage,
    "requeue asks before it renders finished frames again, and this is no terminal",
    "Say it with --yes.",
  );
}

async function patchAll(
  command: Command,
  ids: number[],
  patch: Record<string, unknown>,
  say: (out: Output, task: Task) => void = sayStatus,
): Promise<void> {
  const change = async ({ client }: CommandContext, id: number): Promise<void> =>
    void (await client.call(z.null(), "PATCH", `/tasks/${id}`, { json: patch }));
  await changeAll(command, ids, change, say);
}

async function changeAll(
  command: Command,
  ids: number[],
  change: (context: CommandContext, id: number) => Promise<void>,
  say: (out: Output, task: Task) => void = sayStatus,
): Promise<void> {
  const context = contextOf(command);
  const { client, out } = context;
  const tasks: Task[] = [];
  for (const id of ids) {
    await change(context, id);
    const task = await client.call(taskSchema, "GET", `/tasks/${id}`);
    tasks.push(task);
    if (!out.json) say(out, task);
  }
  // One id, one object, as everywhere; several make an array.
  if (out.json) out.value(ids.length === 1 ? tasks[0] : tasks);
}

function sayStatus(out: Output, { id, status, priority, frames }: Task): void {
  out.line(`task ${id} ${status}: ${frames.done} of ${frames.total} done, priority ${priority}`);
}
