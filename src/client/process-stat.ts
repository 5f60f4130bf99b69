/** What the system says of a process: whether it runs, and when it was started. */
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";

/**
 * Fields of `/proc/<pid>/stat`, counted from the state, which follows the name (proc_pid_stat(5)).
 */
const FIELD = { state: 0, parent: 1, group: 2, terminal: 4, threads: 17, start: 19 } as const;

/** A process as Linux tells of it. */
export interface ProcessStat {
  parent: number;
  group: number;
  /** Whether it has a controlling terminal. */
  terminal: boolean;
  /**
   * It holds no port, file or lock any more. A zombie whose other threads are still ending holds
   * them, and has not ended. In a container whose first process reaps nobody, zombies stay for
   * ever.
   */
  ended: boolean;
  /** When it was started, in ticks of the clock since the machine was. */
  start: string;
}

/**
 * Linux only: read `/proc/<pid>/stat`; undefined when there is no such process, or it may not be
 * seen.
 */
export function readProcessStat(pid: number | string): ProcessStat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // `pid (name) state ppid pgrp …`; the name may hold blanks and brackets, so read from its last
  // bracket on.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[FIELD.state];
  return {
    parent: Number(fields[FIELD.parent]),
    group: Number(fields[FIELD.group]),
    terminal: Number(fields[FIELD.terminal]) !== 0,
    ended: (state === "Z" || state === "X") && Number(fields[FIELD.threads]) <= 1,
    start: fields[FIELD.start] ?? "",
  };
}

/**
 * Whether a process of this id exists. The id may have been given to another process meanwhile;
 * zombies count.
 */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it exists and belongs to another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * A process, told apart from every later one of the same id: process ids are used again, after a
 * restart of the machine or of a container often at once.
 *
 * - Linux: the boot id of the kernel, and the start time of the process in ticks since boot.
 * - macOS: the UUID of the boot session, and the start time that `ps` shows.
 * - Other systems: both are "", and the process id alone decides.
 */
export interface ProcessIdentity {
  pid: number;
  boot: string;
  start: string;
}

/** The identity of a process that runs; with an empty `start` when the system does not tell. */
export function identityOf(pid: number): ProcessIdentity {
  const start = startOf(pid);
  return { pid, boot: bootId(), start: start === "ended" ? "" : start };
}

/** Whether this very process still runs. */
export function isRunning({ pid, boot, start }: ProcessIdentity): boolean {
  if (!isAlive(pid)) return false;
  const booted = bootId();
  if (boot !== "" && booted !== "" && boot !== booted) return false;
  const started = startOf(pid);
  if (started === "ended") return false;
  // Unknown on either side: all that is known says that it runs.
  return start === "" || started === "" || start === started;
}

/**
 * Where the process ids of this process count: the machine as it was started and, on Linux, the
 * namespace of process ids, of which each container has one. "" where the system does not tell.
 */
export function processSpace(): string {
  if (process.platform !== "linux") return bootId();
  try {
    return `${bootId()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return bootId();
  }
}

let bootIdRead: string | undefined;

function bootId(): string {
  bootIdRead ??= readBootId();
  return bootIdRead;
}

function readBootId(): string {
  try {
    if (process.platform === "linux") return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    // Not kern.boottime: it moves when the clock is set.
    if (process.platform === "darwin") return run("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"]);
  } catch {
    // Not every container shows it.
  }
  return "";
}

function startOf(pid: number): string {
  if (process.platform === "linux") {
    const stat = readProcessStat(pid);
    return stat?.ended ? "ended" : (stat?.start ?? "");
  }
  if (process.platform !== "darwin") return "";
  try {
    return run("/bin/ps", ["-o", "lstart=", "-p", String(pid)]);
  } catch {
    return "";
  }
}

function run(program: string, args: string[]): string {
  // Locale and time zone would change how a time is written.
  return execFileSync(program, args, { encoding: "utf8", env: { LC_ALL: "C", TZ: "UTC" }, timeout: 10_000 }).trim();
}
