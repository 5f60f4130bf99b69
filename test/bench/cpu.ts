/**
 * CPU time of processes, from /proc. Other load on the machine changes it far less than wall-clock
 * time. Linux only.
 */
import { readdirSync, readFileSync } from "node:fs";

/** One tick of /proc: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

function fieldsOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in brackets, may contain blanks.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** The direct child processes of this process. */
export function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(fieldsOf(pid)[1]) === parent;
      } catch {
        // The process has ended meanwhile.
        return false;
      }
    });
}

/** User and system time of these processes so far, in ms. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = fieldsOf(pid);
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }, 0);
}
