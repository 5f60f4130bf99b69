/**
 * Loaded into `wrangler dev` (`node --import`), which leads its own process group. When the
 * launcher ends, by whatever signal, the channel to it closes: then the whole group goes, workerd
 * included, so that no port and no database stays held. Nothing acknowledged is lost by SIGKILL:
 * the manager promises as much.
 */
process.once("disconnect", () => {
  if (process.platform === "win32") process.exit(1);
  process.kill(-process.pid, "SIGKILL");
});
