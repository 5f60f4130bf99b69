/** Process groups: which processes are left in one, and how to end it for certain. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { readProcessStat } from "./process-stat.ts";

export interface GroupMember {
  pid: number;
  command: string;
}

/**
 * Processes of a group that have not ended (`ProcessStat.ended`). Windows has no groups: the list
 * is empty there.
 */
export function groupMembers(group: number): GroupMember[] {
  if (process.platform === "win32") return [];
  return process.platform === "linux" ? membersFromProc(group) : membersFromPs(group);
}

function membersFromProc(group: number): GroupMember[] {
  const members: GroupMember[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readProcessStat(name);
    if (!stat || stat.group !== group || stat.ended) continue;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      members.push({ pid: Number(name), command });
    } catch {
      // It ended between the two reads.
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

/**
 * Send a signal to a whole group (on Windows, to the process of this id); false when nothing of it
 * is left.
 */
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
