/**
 * The process that runs a local manager: Miniflare and its workerd. It leads a process group of its
 * own; `manager-process.ts` starts it, sends it one order, and ends it. What it prints is the
 * manager's log.
 */
import { messageOf } from "../lib/errors.ts";
import { startCron } from "./cron.ts";
import { serve, type Order } from "./serve.ts";

/** The one message to the launcher: it serves, or why it does not. */
export type Outcome = { serving: true } | { serving: false; reason: string };

/**
 * Miniflare restarts a workerd that crashed. How often to look whether that failed: then the launcher
 * must hear of it, because nothing serves any more.
 */
const CRASH_CHECK_MS = 5_000;

/** Carry out the launcher's order, and run until it says SIGTERM. */
async function run(order: Order): Promise<void> {
  const tell = (outcome: Outcome): void => void process.send?.(outcome);
  try {
    const manager = await serve(order);
    process.once("SIGTERM", () => void manager.stop().finally(() => process.exit(0)));
    if (manager.applied.length > 0) console.log(`migrations applied: ${manager.applied.join(", ")}`);
    startCron((cron) => manager.trigger(cron));
    const check = (): void =>
      void manager.miniflare.ready.catch((thrown: unknown) => {
        console.error(thrown);
        process.exit(1);
      });
    setInterval(check, CRASH_CHECK_MS);
    tell({ serving: true });
  } catch (thrown) {
    console.error(thrown);
    tell({ serving: false, reason: messageOf(thrown) });
  }
}

// All files that Miniflare and workerd make are for the owner only.
process.umask(0o077);
process.once("message", (order) => void run(order as Order));
