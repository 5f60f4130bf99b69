/**
 * Loaded into an agent's process (`node --import`) that a launcher of ours started: when the launcher is gone, by whatever
 * signal, the agent stops as it does at SIGTERM, so that it ends its renderers, too.
 */
const GIVE_UP_MS = 5_000;
process.once("disconnect", () => {
  process.kill(process.pid, "SIGTERM");
  setTimeout(() => process.kill(process.pid, "SIGKILL"), GIVE_UP_MS).unref();
});
