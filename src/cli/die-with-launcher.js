/**
 * Loaded into wrangler's process (`node --import`), which leads its own process group. When the launcher ends, by whatever
 * signal, the channel to it closes: then the whole group goes, workerd included, so that no port and no database stays held.
 * Nothing acknowledged is lost by SIGKILL: the manager promises as much.
 */
function endGroup() {
  if (process.platform === "win32") process.exit(1);
  process.kill(-process.pid, "SIGKILL");
}
process.once("disconnect", endGroup);

// Wrangler closes the channel itself when a short command is done; that is no reason to die.
const disconnect = process.disconnect?.bind(process);
process.disconnect = () => {
  process.off("disconnect", endGroup);
  disconnect?.();
};
