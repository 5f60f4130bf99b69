/**
 * Processes that an earlier agent of this name has left running: it was killed, and so was its
 * supervisor, or it had none (Windows). They are ended before the next agent takes work.
 *
 * On Linux they are found by `process-tree.ts`. macOS and Windows show a process's environment to
 * nobody, so there the agent records the process of each lease. Its id may be another's by now:
 * - the process itself is known by its id together with the time of its start (and, on Windows, the name
 *   of its program);
 * - when it has ended, the rest of its group and its children are known by its id together with the
 *   lease's folder in their command line;
 * - what a known process has started belongs to it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { identityOf, isRunning } from "../client/process-stat.ts";
import { killAll, signalEach, treeOf, withDescendants } from "./process-tree.ts";
import {
  killWindowsTree,
  listWindowsProcesses,
  runProgram,
  type ProcessRow,
  type RunProgram,
} from "./windows-processes.ts";

const recordSchema = z.object({
  pid: z.int().min(2),
  /** `ProcessIdentity` on Linux; "" elsewhere, where it would cost the start of a program. */
  boot: z.string(),
  start: z.string(),
  /** The process was started between these, in Unix milliseconds. */
  from_ms: z.number(),
  until_ms: z.number(),
  /** The file name of its program. */
  image: z.string(),
});
/** The process of a lease. */
export type ProcessRecord = z.infer<typeof recordSchema>;

/** The record's file in a lease's folder. */
const RECORD_NAME = "process.json";

/** `ps` tells times in whole seconds, and systems round them in different ways. */
const TOLERANCE_MS = 2_000;
/** How long killed processes are waited for. */
const END_MS = 5_000;

/** Record the process that was started after `fromMs` (Unix). Throws the system's error. */
export function recordProcess(folder: string, pid: number, program: string, fromMs: number): void {
  const { boot, start } = process.platform === "linux" ? identityOf(pid) : { boot: "", start: "" };
  const image = program.split(/[\\/]/).at(-1)!;
  const record: ProcessRecord = { pid, boot, start, from_ms: fromMs, until_ms: Date.now(), image };
  writeFileSync(path.join(folder, RECORD_NAME), JSON.stringify(record));
}

/** The record of a lease's folder; undefined when there is none that can be read. */
function readRecord(folder: string): ProcessRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(readFileSync(path.join(folder, RECORD_NAME), "utf8"))).data;
  } catch {
    return undefined;
  }
}

/**
 * End what works in the folders of leases of an earlier agent; `folders` are absolute, links resolved.
 * Answers with why that is not certain; undefined when nothing of them is left. Never rejects.
 */
export async function endLeftProcesses(
  folders: readonly string[],
  platform: NodeJS.Platform = process.platform,
  run: RunProgram = runProgram,
): Promise<string | undefined> {
  if (platform === "linux") return await endOnLinux(folders);
  const leases = folders.flatMap((folder) => {
    const record = readRecord(folder);
    return record === undefined ? [] : [{ folder, record }];
  });
  if (leases.length === 0) return undefined;
  let rows: ProcessRow[];
  try {
    rows = platform === "win32" ? await listWindowsProcesses(run) : await listWithPs(run);
  } catch (error) {
    const [why] = (error as Error).message.split("\n");
    return `the processes of this machine cannot be listed (${why}): renderers of an earlier run may still work`;
  }
  const left = leases.flatMap(({ folder, record }) => leftBehind(record, folder, rows, platform));
  if (platform !== "win32") signalEach(left, "SIGKILL");
  else for (const pid of left) await killWindowsTree(pid, run);
  return undefined;
}

async function endOnLinux(folders: readonly string[]): Promise<string | undefined> {
  const groups = folders.map((folder) => {
    const record = readRecord(folder);
    return { folder, group: record !== undefined && isRunning(record) ? record.pid : undefined };
  });
  const find = (): number[] =>
    groups.flatMap(({ folder, group }) => treeOf({ mark: undefined, folder, group, since: 0 }));
  if (await killAll(find, END_MS)) return undefined;
  return `processes of an earlier run do not end: ${find().join(", ")}`;
}

/** The ids of the processes that a lease has left. Pure. */
export function leftBehind(
  record: ProcessRecord,
  folder: string,
  rows: readonly ProcessRow[],
  platform: NodeJS.Platform,
): number[] {
  const isWindows = platform === "win32";
  const folded = (text: string): string => (isWindows ? text.toLowerCase() : text);
  const isSame = ({ pid, startMs, image }: ProcessRow): boolean =>
    pid === record.pid &&
    startMs >= record.from_ms - TOLERANCE_MS &&
    startMs <= record.until_ms + TOLERANCE_MS &&
    (!isWindows || folded(image) === folded(record.image));
  // With what follows it: `leases/1-1` begins the name of `leases/1-10`.
  const inFolder = folded(`${folder}${isWindows ? "\\" : "/"}`);
  const names = (row: ProcessRow): boolean => folded(row.commandLine).includes(inFolder);
  const isRest = (row: ProcessRow & { namedParent: number }): boolean =>
    (isWindows ? row.namedParent === record.pid : row.group === record.pid) &&
    row.startMs >= record.from_ms - TOLERANCE_MS &&
    names(row);
  const started = new Map(rows.map(({ pid, startMs }) => [pid, startMs]));
  // The id of a parent that has ended may be another's: no process is older than its parent.
  const linked = rows.map((row) => {
    const parentMs = started.get(row.parent) ?? Infinity;
    const isOlder = parentMs <= row.startMs + (isWindows ? 0 : TOLERANCE_MS);
    return { ...row, namedParent: row.parent, parent: isOlder ? row.parent : 0 };
  });
  const own = rows.find(({ pid }) => pid === record.pid);
  const known = own !== undefined && isSame(own);
  return withDescendants(linked, (row) => isSame(row) || isRest(row) || (known && row.group === record.pid));
}

const PS = "/bin/ps";
/** Each with `=`, so that there is no line of titles. */
const PS_COLUMNS = "pid=,ppid=,pgid=,lstart=,args=";

/** All processes, by `ps` of macOS and of other systems that have these columns. */
export async function listWithPs(run: RunProgram = runProgram): Promise<ProcessRow[]> {
  // Locale and time zone would change how a time is written; -ww: lines are not cut.
  const text = await run("/usr/bin/env", ["LC_ALL=C", "TZ=UTC", PS, "-axww", "-o", PS_COLUMNS]);
  return text.split("\n").flatMap((line) => {
    const [, pid, parent, group, start, commandLine = ""] =
      /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]{8}\s+\d{4})\s+(.*)$/.exec(line) ?? [];
    if (start === undefined) return [];
    const image = path.basename(commandLine.split(" ", 1)[0]!);
    const startMs = Date.parse(`${start} UTC`);
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), startMs, image, commandLine }];
  });
}
