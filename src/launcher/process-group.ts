/** Process groups: who is left in one, and how to end it for certain. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Where the number of threads stands in what follows the name. */
const NUM_THREADS = 17;

export interface GroupMember {
  pid: number;
  command: string;
}

/**
 * Living members of a process group. Zombies do not count: they hold neither a port nor a file, and in a container whose
 * first process reaps nobody they stay for ever. One of whose threads some are still ending holds both, and counts.
 */
export function groupMembers(group: number): GroupMember[] {
  if (process.platform === "win32") return [];
  return process.platform === "linux" ? membersFromProc(group) : membersFromPs(group);
}

function membersFromProc(group: number): GroupMember[] {
  const members: GroupMember[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      // `pid (name) state ppid pgrp …` (proc_pid_stat(5)); the name may hold blanks and brackets, so read from its last bracket on.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const [state, , pgrp] = fields;
      const threads = Number(fields[NUM_THREADS]);
      if (Number(pgrp) !== group || ((state === "Z" || state === "X") && threads <= 1)) continue;
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      members.push({ pid: Number(name), command });
    } catch {
      // It ended while we looked.
    }
  }
  return members;
}

function membersFromPs(group: number): GroupMember[] {
  const members: GroupMember[] = [];
  for (const line of execFileSync("ps", ["-axo", "pid=,pgid=,stat=,command="], { encoding: "utf8" }).split("\n")) {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line);
    if (match && Number(match[2]) === group && !match[3]!.startsWith("Z"))
      members.push({ pid: Number(match[1]), command: match[4]! });
  }
  return members;
}

/** Send a signal to a whole group; false when nobody is left in it. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(process.platform === "win32" ? group : -group, signal);
    return true;
  } catch {
    return false;
  }
}

/** Wait until a group has no living member; false when `withinMs` was not enough. */
export async function groupEnded(group: number, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  for (;;) {
    if (groupMembers(group).length === 0) return true;
    if (performance.now() > until) return false;
    await sleep(20);
  }
}
