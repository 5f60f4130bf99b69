/** `tablao logs` and `tablao download`: what a task printed and what it made. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { syncFolder } from "../../client/disk-sync.ts";
import { downloadTo, DOWNLOADS_IN_FLIGHT, keepHalfFiles } from "../../client/download.ts";
import { lockFolder } from "../folder-lock.ts";
import { z } from "zod";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { mapConcurrent } from "../../lib/concurrency.ts";
import { SumBy } from "../../lib/sum-by.ts";
import { isEnded } from "../../protocol/constants.ts";
import { whyUnsafePath } from "../../protocol/path-rules.ts";
import { fileListSchema, type FileList } from "../../protocol/file.ts";
import { logPageSchema, taskSchema, type LogPage, type Task } from "../../protocol/task.ts";
import { flagsOf, frameList, idArgument, queryString, contextOf, whole, type Output } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { messageOf } from "../../lib/errors.ts";
import { showProgress } from "../progress.ts";
import { bytes, count, harmless, instant, safeJson } from "../text.ts";
import { COMMAND } from "../own-command.ts";

const FOLLOW_MS = 1_000;
/**
 * How long a call is tried: following a log and downloading must survive a restart of the manager.
 */
const RETRY_FOR_MS = 2 * 60_000;
const FILE_PAGE = 1_000;
const LOG_PAGE = 5_000;

/** Add the commands to the program. */
export function addResults(program: Command): void {
  program
    .command("logs")
    .summary("print what a task printed")
    .description("Print what a task's processes printed.")
    .argument("<id>", "the task's id", idArgument)
    .option("-F, --follow", "go on until the task has ended")
    .option("-n, --tail <n>", "only the last n lines (with --json: entries, which hold several)", whole(1, 10_000))
    .option("-t, --times", "with time (UTC) and worker before each line")
    .action(async (id: number, _: unknown, command: Command) => {
      await logs(command, id);
    });
  program
    .command("download")
    .summary("fetch a task's finished files, verified")
    .description(
      "Fetch a task's finished files. Run it again to fetch the rest: what is there and right is left alone.",
    )
    .argument("<id>", "the task's id", idArgument)
    .argument("[dir]", "folder to put them in; by default tablao-ID")
    .option("-f, --frames <list>", "only these frames", frameList)
    .action(async (id: number, dir: string | undefined, _: unknown, command: Command) => {
      await download(command, id, dir ?? `tablao-${id}`);
    });
}

type LogLine = LogPage["lines"][number];

async function logs(command: Command, id: number): Promise<void> {
  const flags = flagsOf<{ follow?: boolean; tail?: number; times?: boolean }>(command);
  const { client, out } = contextOf(command);
  const gathered: LogLine[] = [];
  const show = (lines: LogLine[], last = Infinity): void => {
    if (!out.json)
      for (const line of lines.flatMap((entry) => logText(entry, flags.times === true)).slice(-last)) out.line(line);
    else if (flags.follow) for (const line of lines) process.stdout.write(`${safeJson(line)}\n`);
    else gathered.push(...lines);
  };
  const call = (values: Record<string, number | undefined>): Promise<LogPage> =>
    client.call(
      logPageSchema,
      "GET",
      `/tasks/${id}/log${queryString({ ...values, limit: LOG_PAGE })}`,
      flags.follow ? { retryForMs: RETRY_FOR_MS } : {},
    );
  let page = await call(flags.tail === undefined ? {} : { tail: flags.tail });
  if (page.dropped && flags.tail === undefined) out.note("(older text was dropped to bound the log)");
  // An entry has one or more lines, so the last n entries hold the last n lines.
  show(page.lines, flags.tail);
  for (;;) {
    // The status is read before the log: lines that came before the end are then shown for certain.
    const ended = flags.follow && page.lines.length === 0 ? await hasEnded(client, id) : false;
    const after = page.next;
    page = await call({ after });
    show(page.lines);
    if (page.lines.length > 0) continue;
    if (!flags.follow || ended) break;
    await sleep(FOLLOW_MS);
  }
  if (out.json && !flags.follow) out.value(gathered);
}

async function hasEnded(client: ManagerClient, id: number): Promise<boolean> {
  return isEnded((await client.call(taskSchema, "GET", `/tasks/${id}`, { retryForMs: RETRY_FOR_MS })).status);
}

function logText({ text, at_ms, worker_id }: LogLine, times: boolean): string[] {
  const before = times ? `${instant(at_ms)} ${worker_id ?? "-"}  ` : "";
  return text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => before + harmless(line));
}

type TaskFile = FileList["files"][number];

async function download(command: Command, id: number, dir: string): Promise<void> {
  const { frames } = flagsOf<{ frames?: string }>(command);
  const { client, out } = contextOf(command);
  const task = await client.call(taskSchema, "GET", `/tasks/${id}`);
  const files = await listFiles(client, id, frames);
  if (files.length > 0) makeFolder(dir);
  const lock = files.length > 0 ? await lockFolder(dir) : undefined;
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const progress = showProgress("downloading", { quiet: out.json });
  const moved = new SumBy<TaskFile>();
  const results: (TaskFile & { path: string; state: "downloaded" | "present" })[] = [];
  try {
    await keepHalfFiles(dir);
    await mapConcurrent(files, DOWNLOADS_IN_FLIGHT, async (file) => {
      const bad = whyUnsafePath(file.name) ?? (file.name.includes("/") ? "must not have a folder" : undefined);
      if (bad) throw new CliError(EXIT.failed, `frame ${file.frame} has a file name that ${bad}`);
      const to = path.join(dir, file.name);
      const onProgress = (done: number): void => {
        moved.set(file, done);
        progress.update(
          moved.total,
          total,
          `${results.length} of ${count(files.length, "file")}, ${bytes(moved.total)} of ${bytes(total)}`,
        );
      };
      const { received } = await downloadTo(client, to, `/tasks/${id}/frames/${file.frame}/file`, file, {
        onProgress,
        retryForMs: RETRY_FOR_MS,
        // What is told as downloaded may be deleted at the manager by a rule of retention.
        flush: true,
      });
      results.push({ ...file, path: to, state: received > 0 || file.size === 0 ? "downloaded" : "present" });
    });
    if (files.length > 0) await syncFolder(dir);
  } catch (thrown) {
    progress.end();
    lock?.release();
    const code = thrown instanceof Error && "syscall" in thrown ? messageOf(thrown) : undefined;
    if (code !== undefined)
      throw new CliError(EXIT.failed, `cannot write to ${dir}: ${code}`, "Run the same command again to go on.");
    throw thrown;
  }
  lock?.release();
  progress.end();
  results.sort((a, b) => a.frame - b.frame);
  const counts = frames === undefined && (await tellDownloaded(client, task, results.length, out));
  if (out.json) return out.value({ id, dir, status: task.status, files: results, counts_as_downloaded: counts });
  const fetched = results.filter((file) => file.state === "downloaded");
  const wanted = frames === undefined ? ` of ${count(task.frames.total, "frame")}` : "";
  if (results.length === 0) {
    const why =
      task.format === ""
        ? `task ${id} (${task.type}) makes no files`
        : `task ${id} has no finished files yet (${task.status})`;
    return out.note(why);
  }
  out.line(
    `${dir}: ${results.length}${wanted} there and verified; ${fetched.length} fetched (${bytes(fetched.reduce((sum, file) => sum + file.size, 0))})`,
  );
  if (frames === undefined && !isEnded(task.status))
    out.note(`the task is ${task.status}; run this again for the rest`);
}

/**
 * Tell the manager that all files are here and verified: a rule of retention may count from now on.
 * Answers whether it counts. It does not when frames were committed meanwhile, or when the task is
 * somebody else's; the download is as good as any then.
 */
async function tellDownloaded(
  client: ManagerClient,
  { id, files_version }: Task,
  files: number,
  out: Output,
): Promise<boolean> {
  // A manager of an earlier release has no versions of files.
  if (files === 0 || files_version === undefined) return false;
  try {
    await client.call(z.null(), "POST", `/tasks/${id}/downloaded`, { json: { files_version } });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof ManagerError)) throw thrown;
    if (!["conflict", "forbidden", "not_found"].includes(thrown.code))
      out.note(`the manager could not be told that the files are here: ${thrown.message}`);
    return false;
  }
}

async function listFiles(client: ManagerClient, id: number, frames: string | undefined): Promise<TaskFile[]> {
  const files: TaskFile[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.call(
      fileListSchema,
      "GET",
      `/tasks/${id}/files${queryString({ frames, limit: FILE_PAGE, cursor })}`,
    );
    files.push(...page.files);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return files;
}

function makeFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true });
  } catch (thrown) {
    throw new CliError(
      EXIT.failed,
      `cannot make the folder ${dir}: ${messageOf(thrown)}`,
      `Name another one: ${COMMAND} download ID DIR`,
    );
  }
}
