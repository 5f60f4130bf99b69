/** One command at a time fills a folder: two would fetch everything twice, and take each other's half files. */
import path from "node:path";
import { takeLock, type Lock } from "../client/lock.ts";
import { messageOf } from "../lib/errors.ts";
import { CliError, EXIT } from "./failure.ts";

/** In the folder while a command fills it. */
export const LOCK_NAME = ".tablao-download.lock";

/** Lock the folder of a download or a backup. Throws `CliError` when another command fills it. */
export async function lockFolder(dir: string): Promise<Lock> {
  let lock: Awaited<ReturnType<typeof takeLock>>;
  try {
    lock = await takeLock(path.join(dir, LOCK_NAME));
  } catch (thrown) {
    throw new CliError(EXIT.failed, `cannot write to ${dir}: ${messageOf(thrown)}`);
  }
  if (lock.ok) return lock.value;
  throw new CliError(
    EXIT.failed,
    `another download runs in ${dir} (process ${lock.error.pid})`,
    "Wait for its end, or name another folder.",
  );
}
