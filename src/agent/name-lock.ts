/** One agent per worker name: two would share an identity, and end each other's leases. */
import { takeLock } from "../client/lock.ts";
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
