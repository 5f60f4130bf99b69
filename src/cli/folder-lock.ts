/** One command at a time fills a folder: two would fetch everything twice, and take each other's half files. */
import path from "node:path";
import { FOLDER_LOCK_NAME, takeLock, type Lock } from "../client/lock.ts";
import { messageOf } from "../lib/errors.ts";
import { CliError, EXIT } from "./failure.ts";

/** Lock the folder of a download or a backup. Throws `CliError` when another command fills it. */
export async function lockFolder(dir: string): Promise<Lock> {
  let lock: Awaited<ReturnType<typeof takeLock>>;
  try {
    lock = await takeLock(path.join(dir, FOLDER_LOCK_NAME));
  } catch (thrown) {
    throw new CliError(EXIT.failed, `cannot write to ${dir}: ${messageOf(thrown)}`);
  }
  if (lock.ok) return lock.value;
  throw new CliError(
    EXIT.failed,
    `another download, or an agent, runs in ${dir} (process ${lock.error.pid})`,
    "Wait for its end, or name another folder.",
  );
}
