/** One agent per worker name: a lock file with the process id of its holder. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Take the lock; answers with its release. A lock whose process is gone (`kill -9`, power cut) is taken over. Throws with a
 * sentence for the user when another agent holds it.
 */
export async function takeLock(file: string, pid: number = process.pid): Promise<() => Promise<void>> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  for (let tries = 1; ; tries++) {
    try {
      await writeFile(file, String(pid), { flag: "wx", mode: 0o600 });
      return async () => {
        await rm(file, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || tries === 3) throw error;
    }
    const holder = Number((await readFile(file, "utf8").catch(() => "")).trim());
    if (holder !== pid && isAlive(holder)) {
      throw new Error(
        `another agent (process ${holder}) runs under this name; give this one its own with --name, or stop that one`,
      );
    }
    await rm(file, { force: true });
  }
}

/** Whether a process of this id exists. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
