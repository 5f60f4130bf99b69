/** `tablao pause`, `resume`, `cancel`, `requeue`, `skip`, `priority`, `delete`. */
import type { Command } from "commander";
import { z } from "zod";
import type { ManagerClient } from "../../client/manager-client.ts";
import { taskSchema, type Task, type TaskAction } from "../../protocol/task.ts";
import { flagsOf, frameList, idArgument, contextOf, whole, type Output } from "../command-line.ts";

const VERBS: Record<Exclude<TaskAction, "requeue" | "skip">, [summary: string, description: string]> = {
  pause: ["take no new frames of a task", "Take no new frames of a task; what runs is finished."],
  resume: ["go on with a paused task", "Go on with a paused task."],
  cancel: ["stop a task", "Stop a task, and what runs of it. Finished frames stay."],
};

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
    .description("Render again what failed or was canceled; with --frames exactly those frames, also finished ones.")
    .argument("<id...>", "ids of tasks", gatherId)
    .option("-f, --frames <list>", "only these frames", frameList)
    .action(async (ids: number[], _: unknown, command: Command) => {
      const { frames } = flagsOf<{ frames?: string }>(command);
      await patchAll(command, ids, { status: "requeue", frames });
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

async function patchAll(command: Command, ids: number[], patch: Record<string, unknown>): Promise<void> {
  const { client, out } = contextOf(command);
  const tasks: Task[] = [];
  for (const id of ids) {
    const task = await patchOne(client, id, patch);
    tasks.push(task);
    if (!out.json) say(out, task);
  }
  // One id, one object, as everywhere; several make an array.
  if (out.json) out.value(ids.length === 1 ? tasks[0] : tasks);
}

async function patchOne(client: ManagerClient, id: number, patch: Record<string, unknown>): Promise<Task> {
  await client.call(z.null(), "PATCH", `/tasks/${id}`, { json: patch });
  return await client.call(taskSchema, "GET", `/tasks/${id}`);
}

function say(out: Output, { id, status, priority, frames }: Task): void {
  out.line(`task ${id} ${status}: ${frames.done} of ${frames.total} done, priority ${priority}`);
}
