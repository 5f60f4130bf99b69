/** `tablao history`: what happened on the farm, from the history in D1. */
import { Option, type Command } from "commander";
import type { ManagerClient } from "../../client/manager-client.ts";
import { dayTotalsSchema, EVENT_KINDS, historyPageSchema, type HistoryEvent } from "../../protocol/history.ts";
import { flagsOf, idArgument, queryString, contextOf, span, whole } from "../command-line.ts";
import { duration, instant, table } from "../text.ts";

const SHOWN = 50;
const PAGE = 500;

interface HistoryFlags {
  task?: number;
  worker?: number;
  kind?: string;
  type?: string;
  since?: number;
  limit?: number;
  days?: boolean;
}

/** Add the command to the program. */
export function addHistory(program: Command): void {
  program
    .command("history")
    .summary("what happened on the farm")
    .description("What happened, newest first: of a task, of a worker, or of the whole farm.")
    .option("--task <id>", "only this task", idArgument)
    .option("--worker <id>", "only this worker", idArgument)
    .addOption(new Option("--kind <kind>", "only events of this kind").choices(EVENT_KINDS))
    .option("--type <type>", "only tasks of this compiler")
    .option("--since <time>", "only the last 24h, 7d …", span)
    .option("--limit <n>", `at most so many (${SHOWN}; with --json all)`, whole(1))
    .option("--days", "totals per day instead (UTC; the last 30 days)")
    .action(async (_: unknown, command: Command) => {
      const flags = flagsOf<HistoryFlags>(command);
      const { client, out } = contextOf(command);
      const since = flags.since === undefined ? undefined : (await client.askNowMs()) - flags.since * 1_000;
      if (flags.days === true) {
        const { days } = await client.call(dayTotalsSchema, "GET", `/history/days${queryString({ since })}`);
        if (out.json) return out.value(days);
        const rows = days.map((day) => [
          day.day,
          String(day.frames),
          String(day.errors),
          String(day.lost),
          duration(day.seconds),
          String(day.workers),
          String(day.tasks),
        ]);
        return out.line(table(["DAY", "FRAMES", "ERRORS", "LOST", "WORK", "WORKERS", "TASKS"], rows, out.width));
      }
      const limit = flags.limit ?? (out.json ? Infinity : SHOWN);
      const { events, names, keptFromMs } = await listEvents(client, flags, since, limit);
      if (out.json) return out.value(events);
      if (events.length < limit && keptFromMs !== null)
        out.note(
          `events before ${instant(keptFromMs)} UTC were deleted (setting history_days); --days still counts them`,
        );
      if (events.length === 0)
        return out.note("nothing happened, or it is not written yet: history is a second or so behind");
      out.line(
        table(
          ["WHEN (UTC)", "TASK", "EVENT", "FRAMES", "WORKER", "TOOK", "DETAIL"],
          events.map((event) => row(event, names)),
          out.width,
        ),
      );
    });
}

async function listEvents(
  client: ManagerClient,
  flags: HistoryFlags,
  since: number | undefined,
  limit: number,
): Promise<{ events: HistoryEvent[]; names: Record<string, string>; keptFromMs: number | null }> {
  const events: HistoryEvent[] = [];
  const names: Record<string, string> = {};
  let keptFromMs: number | null = null;
  const { task: task_id, worker: worker_id, kind, type } = flags;
  let cursor: string | undefined;
  do {
    const values = { task_id, worker_id, kind, type, since, limit: Math.min(PAGE, limit - events.length), cursor };
    const page = await client.call(historyPageSchema, "GET", `/history${queryString(values)}`);
    events.push(...page.events);
    Object.assign(names, page.workers);
    cursor = page.cursor ?? undefined;
    keptFromMs = page.kept_from_ms ?? null;
  } while (cursor !== undefined && events.length < limit);
  return { events, names, keptFromMs };
}

/** The first line of the detail, and the version of Blender. */
function detailText({ detail, blender }: HistoryEvent): string {
  const parts = [detail?.split("\n", 1)[0] ?? "", blender === undefined ? "" : `Blender ${blender}`];
  return parts.filter((part) => part !== "").join(", ");
}

function row(event: HistoryEvent, names: Record<string, string>): string[] {
  const { worker_id: worker } = event;
  return [
    instant(event.at_ms),
    String(event.task_id),
    event.kind,
    event.frames ?? "-",
    worker === null ? "-" : `${worker} ${names[worker] ?? ""}`.trim(),
    event.seconds === null ? "-" : duration(event.seconds),
    detailText(event),
  ];
}
