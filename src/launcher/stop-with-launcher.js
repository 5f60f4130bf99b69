/**
 * Loaded into the commands that the demo starts (`node --import`): when the demo is gone, by
 * whatever signal, they stop as they do at SIGTERM; so an agent ends its renderers, too.
 */
const GIVE_UP_MS = 5_000;
process.once("disconnect", () => {
  process.kill(process.pid, "SIGTERM");
  setTimeout(() => process.kill(process.pid, "SIGKILL"), GIVE_UP_MS).unref();
});
// A listener keeps the channel referenced, and with it a command that has long finished.
process.channel?.unref();
