/**
 * All processes that a lease has started, on Linux: also those that have left its process group, as a
 * wrapper script does with `setsid`, and those whose parent has ended. Elsewhere the lists are empty.
 *
 * A process belongs to a lease by any of these:
 * - its group is that of the lease's process;
 * - its environment has the lease's mark, which children inherit;
 * - it works in the lease's folder and has no terminal. The shell of a person who looks into the folder
 *   has one;
 * - its parent belongs to the lease.
 *
 * `supervisor.ts` has the same rules for the time when the agent is gone. Not found is a process whose
 * environment was emptied, that works elsewhere, and whose parent has ended.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isInside } from "../client/paths.ts";
import { readProcessStat, type ProcessStat } from "../client/process-stat.ts";

/** The variable with the mark: `<mark>:<folder>`. */
export const MARK_VARIABLE = "TABLAO_LEASE";

/** What a lease's processes are known by. */
export interface Lineage {
  /** Of this process alone: a lease's renderer may end while its ffmpeg runs. Undefined: any of the folder. */
  mark: string | undefined;
  /** Absolute, links resolved. */
  folder: string;
  group: number | undefined;
  /** Ticks of `ProcessStat.start`: what was started before is another's. 0: unknown. */
  since: number;
}

interface Row {
  pid: number;
  parent: number;
}

/** Processes that may be told apart from those of others by what only their owner may read. */
interface Reader {
  environment: (pid: number) => string;
  /** Undefined where it cannot be read. */
  folder: (pid: number) => string | undefined;
}

/** The living processes of a lease, in no order; without this process. */
export function treeOf(lineage: Lineage): number[] {
  if (process.platform !== "linux") return [];
  const rows = readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    const stat = Number.isInteger(pid) && pid !== process.pid ? readProcessStat(pid) : undefined;
    // The environment is read of few: it takes twenty times as long as the rest.
    return stat && !stat.ended && Number(stat.start) >= lineage.since ? [{ pid, ...stat }] : [];
  });
  return withDescendants(rows, (row) => belongs(row, lineage, THIS_MACHINE));
}

const THIS_MACHINE: Reader = {
  environment: (pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1");
    } catch {
      return "";
    }
  },
  folder: (pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`);
    } catch {
      return undefined;
    }
  },
};

/** Whether a process belongs to the lease by itself, whoever its parent is. */
function belongs(
  { pid, group, terminal }: Row & Pick<ProcessStat, "group" | "terminal">,
  lineage: Lineage,
  read: Reader,
): boolean {
  if (group === lineage.group) return true;
  const value = valueOf(read.environment(pid));
  if (value !== undefined) {
    const at = value.indexOf(":");
    if (lineage.mark !== undefined) return value.slice(0, at) === lineage.mark;
    return isInside(lineage.folder, Buffer.from(value.slice(at + 1), "latin1").toString("utf8"));
  }
  if (terminal) return false;
  const folder = read.folder(pid);
  return folder !== undefined && isInside(lineage.folder, folder);
}

/** The value of the mark's variable in an environment as Linux shows it. */
function valueOf(environment: string): string | undefined {
  const begin = `${MARK_VARIABLE}=`;
  return environment
    .split("\0")
    .find((entry) => entry.startsWith(begin))
    ?.slice(begin.length);
}

/** The ids of the processes that `isOurs` tells, and of all that descend from them. */
export function withDescendants<R extends Row>(rows: readonly R[], isOurs: (row: R) => boolean): number[] {
  const ours = new Set(rows.filter(isOurs).map(({ pid }) => pid));
  for (let before = -1; before !== ours.size;) {
    before = ours.size;
    for (const { pid, parent } of rows) if (ours.has(parent)) ours.add(pid);
  }
  return [...ours];
}

/** Send a signal to each; those that are gone, or may not be signalled, are left out. */
export function signalEach(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended meanwhile.
    }
  }
}

/** Between two looks while processes end. */
const LOOK_MS = 20;

/**
 * Kill all that `find` finds, until it finds nothing; false when some are left after `withinMs`. A
 * process can start another one before it gets the signal, so one look is not enough.
 */
export async function killAll(find: () => number[], withinMs: number): Promise<boolean> {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const left = find();
    if (left.length === 0) return true;
    signalEach(left, "SIGKILL");
    if (performance.now() > untilMs) return false;
    await delay(LOOK_MS);
  }
}
