/**
 * One agent per worker name: two would share an identity. And one per folder of inputs and leases,
 * which two of the same name share with `--work-dir`: each would remove the other's leases.
 */
import { join } from "node:path";
import { FOLDER_LOCK_NAME, takeLock } from "../client/lock.ts";
import type { ProcessIdentity } from "../client/process-stat.ts";

/**
 * Take the lock of a worker's name; answers with its release. The lock of an agent that is gone
 * (`kill -9`, power cut) is taken over. Throws with a sentence for the user when another agent
 * holds it.
 */
export async function lockName(file: string, owner?: ProcessIdentity): Promise<() => void> {
  const lock = await takeLock(file, owner);
  if (lock.ok) return lock.value.release;
  throw new Error(
    `another agent (process ${lock.error.pid}) runs under this name; give this one its own with --name, or stop that one`,
  );
}

/**
 * Take the lock of a folder of inputs, which keeps downloads of the command line out, too; answers
 * with its release. Throws with a sentence for the user when somebody else uses it.
 */
export async function lockCache(dir: string): Promise<() => void> {
  const lock = await takeLock(join(dir, FOLDER_LOCK_NAME));
  if (lock.ok) return lock.value.release;
  throw new Error(
    `another agent, or a download, (process ${lock.error.pid}) uses ${dir}; give this one a folder of its own with --work-dir, or stop that one`,
  );
}
