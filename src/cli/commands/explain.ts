/** `tablao why` and `tablao share`. */
import { InvalidArgumentError, type Command } from "commander";
import { z } from "zod";
import { shareSchema } from "../../protocol/share.ts";
import { taskWhySchema, workerWhySchema, type TaskWhy, type WorkerWhy } from "../../protocol/why.ts";
import { CliError, EXIT } from "../failure.ts";
import { flagsOf, idArgument, contextOf, span, type Output } from "../command-line.ts";
import { count, harmless, instant, table } from "../text.ts";
import { COMMAND } from "../own-command.ts";

/** What a screen holds; `--json` gives all that the manager names. */
const SHOWN = 12;

/** Add the commands to the program. */
export function addExplain(program: Command): void {
  program
    .command("why")
    .summary("why a task waits, or a worker is idle")
    .description(
      "Say which rule holds a task, and what keeps each worker from it; with --worker, why a worker is idle.",
    )
    .argument("[id]", "the task's id", idArgument)
    .option("-w, --worker <id>", "ask about a worker instead", idArgument)
    .action(async (id: number | undefined, _: unknown, command: Command) => {
      const { worker } = flagsOf<{ worker?: number }>(command);
      const { client, out } = contextOf(command);
      if ((id === undefined) === (worker === undefined))
        throw new CliError(EXIT.usage, "say which task, or which worker with --worker");
      if (worker !== undefined) {
        const why = await client.call(workerWhySchema, "GET", `/workers/${worker}/why`);
        return out.json ? out.value(why) : showWorker(out, why);
      }
      const why = await client.call(taskWhySchema, "GET", `/tasks/${id}/why`);
      return out.json ? out.value(why) : showTask(out, why);
    });
  program
    .command("share")
    .summary("make a link to look at one task")
    .description("Make a link with which anybody can look at one task, its frames and files, without an account.")
    .argument("<id>", "the task's id", idArgument)
    .option("--for <time>", "how long it works: 12h, 7d (7d)", shareSpan)
    .option("--revoke", "void all links of the task instead")
    .action(async (id: number, _: unknown, command: Command) => {
      const flags = flagsOf<{ for?: number; revoke?: boolean }>(command);
      const { client, out } = contextOf(command);
      if (flags.revoke) {
        await client.call(z.null(), "DELETE", `/tasks/${id}/share`);
        return out.json ? out.value({ task_id: id, revoked: true }) : out.line(`all links to task ${id} are void`);
      }
      const json = flags.for === undefined ? {} : { expires_s: flags.for };
      const share = await client.call(shareSchema, "POST", `/tasks/${id}/share`, { json });
      if (out.json) return out.value(share);
      out.line(share.url);
      out.note(`works until ${instant(share.expires_ms)} UTC, or until: ${COMMAND} share ${id} --revoke`);
    });
}

function shareSpan(text: string): number {
  const seconds = span(text);
  if (seconds < 60 || seconds > 365 * 86_400) throw new InvalidArgumentError("It must be from 1m to 365d.");
  return seconds;
}

function showTask(out: Output, why: TaskWhy): void {
  out.line(`task ${why.task_id} (${why.status}): ${harmless(why.text)}`);
  if (why.workers.length === 0 || why.rule === "ended") return;
  const rows = why.workers.slice(0, SHOWN).map((hold) => [String(hold.worker_id), hold.name, hold.rule, hold.text]);
  out.line("");
  out.line(table(["ID", "WORKER", "RULE", "WHY"], rows, out.width));
  const all = why.counts.reduce((sum, { workers }) => sum + workers, 0);
  if (all > SHOWN) out.note(`${count(all - SHOWN, "more worker")}: --json tells`);
}

function showWorker(out: Output, why: WorkerWhy): void {
  out.line(`worker ${why.worker_id} (${harmless(why.name)}): ${harmless(why.text)}`);
  if (why.passed_over.length === 0) return;
  const rows = why.passed_over.slice(0, SHOWN).map((task) => [String(task.task_id), task.rule, task.text]);
  out.line("");
  out.line(table(["TASK", "RULE", "WHY NOT"], rows, out.width));
}
