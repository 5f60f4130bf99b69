/**
 * CPU time of processes, from /proc. Other load on the machine changes it far less than wall-clock
 * time. Linux only.
 */
import { readdirSync, readFileSync } from "node:fs";

/** One tick of /proc: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

function statOf(pid: number): { name: string; fields: string[] } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in brackets, may contain blanks.
  const end = stat.lastIndexOf(")");
  return { name: stat.slice(stat.indexOf("(") + 1, end), fields: stat.slice(end + 2).split(" ") };
}

/** The direct child processes of a process; with `name`, only those whose program has that name. */
export function childrenOf(parent: number, name?: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = statOf(pid);
        return Number(stat.fields[1]) === parent && (name === undefined || stat.name === name);
      } catch {
        // The process has ended meanwhile.
        return false;
      }
    });
}

/** User and system time of these processes so far, in ms. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const { fields } = statOf(pid);
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }, 0);
}

/** CPU time of two ways to do the same, in ms a round, and how they compare. */
export interface CpuRatio {
  /** `measuredMs / plainMs`. */
  ratio: number;
  measuredMs: number;
  plainMs: number;
}

export interface Compared {
  /** The processes that do the work. */
  pids: readonly number[];
  /** The work whose CPU time is in question. Resolves when all of it is done. */
  measured: () => Promise<unknown>;
  /** The yardstick: the same bytes or calls without the code in question. */
  plain: () => Promise<unknown>;
  /** Rounds that count, after one that warms up. */
  rounds?: number;
}

/**
 * Compare the CPU time of two kinds of work in the same processes, in turns, so that both meet the
 * same machine. The least of the rounds counts on each side, because other work in these processes
 * (garbage collection, a timer) only adds. A round must take 200 ms of CPU or more: the time is
 * counted in steps of 10 ms.
 */
export async function cpuRatio({ pids, measured, plain, rounds = 3 }: Compared): Promise<CpuRatio> {
  const least = { measuredMs: Infinity, plainMs: Infinity };
  for (let round = -1; round < rounds; round++) {
    const beganMs = cpuMs(pids);
    await measured();
    const betweenMs = cpuMs(pids);
    await plain();
    if (round < 0) continue;
    least.measuredMs = Math.min(least.measuredMs, betweenMs - beganMs);
    least.plainMs = Math.min(least.plainMs, cpuMs(pids) - betweenMs);
  }
  return { ratio: least.measuredMs / least.plainMs, ...least };
}
