/** systemd, by `systemctl` and `loginctl`. */
import path from "node:path";
import { CliError, EXIT } from "../failure.ts";
import { must, saidOf, type ManagerContext, type ServiceManager } from "./manager.ts";
import type { Command } from "./spec.ts";
import { systemdFiles, unitLingers, unitPath } from "./systemd.ts";

/** A file for each user whose services run without being signed in. */
const LINGERING = "/var/lib/systemd/linger";

export function systemdManager(context: ManagerContext): ServiceManager {
  const { host, spec, say } = context;
  const isSystem = spec.scope === "system";
  const unit = `${spec.id}.service`;
  const account = spec.account.name;
  const systemctl = (...args: string[]): Command => ["systemctl", ...(isSystem ? [] : ["--user"]), ...args];
  const lingers = (): boolean => host.exists(`${LINGERING}/${account}`);
  /** Whether an earlier installation of this service switched lingering on. */
  let lingersByUs = unitLingers(host.read(unitPath(spec)) ?? "");

  const show = (): Record<string, string> => {
    const properties = "LoadState,ActiveState,SubState,UnitFileState,MainPID";
    const { stdout } = host.run(systemctl("show", unit, `--property=${properties}`));
    return Object.fromEntries(
      stdout
        .split("\n")
        .filter((line) => line.includes("="))
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
  };

  return {
    name: isSystem ? "systemd" : "systemd's user manager",
    starts: () =>
      isSystem || lingers()
        ? "it starts with the machine"
        : `it starts when ${account} signs in, and ends when ${account} signs out; to start it with the machine, run: sudo loginctl enable-linger ${account}`,
    log: `journalctl ${isSystem ? `-u ${unit}` : `--user -u ${unit}`}`,
    logFile: undefined,
    files: () => systemdFiles(spec, lingersByUs),
    check: () => {
      const ran = host.run(systemctl("show", "--property=Version"));
      if (ran.code === 0) return;
      if (ran.code === null)
        throw new CliError(
          EXIT.failed,
          "systemctl is not here, and systemd is the only service manager of Linux that is known",
          "Have your own one start: tablao worker",
        );
      throw new CliError(
        EXIT.failed,
        `${isSystem ? "systemd" : "systemd's user manager"} does not answer: ${saidOf(ran)}`,
        isSystem
          ? "Does this machine run systemd?"
          : `Sign in as ${account} itself (not by su or sudo), or install with --system as root`,
      );
    },
    state: () => {
      const shown = show();
      const pid = Number(shown["MainPID"] ?? 0);
      const active = shown["ActiveState"] ?? "unknown";
      return {
        installed: host.exists(unitPath(spec)),
        enabled: shown["UnitFileState"] === "enabled",
        running: active === "active" || active === "reloading",
        pid: pid > 0 ? pid : null,
        text: shown["SubState"] ? `${active} (${shown["SubState"]})` : active,
      };
    },
    start: async () => {
      must(context, systemctl("daemon-reload"));
      must(context, systemctl("enable", unit));
      must(context, systemctl("restart", unit));
    },
    stop: async () => void must(context, systemctl("stop", unit)),
    finish: () => {
      if (isSystem || lingers()) return;
      const command: Command = ["loginctl", "enable-linger", account];
      const ran = host.run(command);
      if (ran.code !== 0 || !lingers()) return;
      say(`ran loginctl enable-linger ${account}`);
      lingersByUs = true;
      const last = systemdFiles(spec, true).at(-1)!;
      host.write(last);
      must(context, systemctl("daemon-reload"));
    },
    disable: async () => {
      const known = show()["LoadState"] === "loaded";
      if (known) must(context, systemctl("disable", "--now", unit));
      if (!lingersByUs) return;
      const others = host
        .list(path.posix.dirname(unitPath(spec)))
        .filter((name) => /^tablao-worker.*\.service$/.test(name) && name !== unit);
      if (others.length > 0) say(`${account} still lingers, for ${others.join(", ")}`);
      else must(context, ["loginctl", "disable-linger", account]);
    },
    forget: () => {
      must(context, systemctl("daemon-reload"));
      host.run(systemctl("reset-failed", unit));
    },
  };
}
