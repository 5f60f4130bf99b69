/** The addresses at which processes listen for TCP, from Linux's /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const LISTEN = "0A";

/** Inodes of the sockets that a process has open. */
function socketsOf(pid: number): Set<string> {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // It was closed between the two reads.
    }
  }
  return inodes;
}

/** Ports at which any of these processes listens, each once, in their order. */
export function listeningPorts(pids: number[]): number[] {
  const ours = new Set(pids.flatMap((pid) => [...socketsOf(pid)]));
  const ports = new Set<number>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readFileSync(table, "utf8").trim().split("\n").slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === LISTEN && ours.has(inode!)) ports.add(Number.parseInt(local!.split(":")[1]!, 16));
    }
  }
  return [...ports].toSorted((a, b) => a - b);
}
