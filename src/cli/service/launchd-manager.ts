/** launchd, by `launchctl`. Checked on paper only: it was never run on a Mac. */
import { CliError, EXIT } from "../failure.ts";
import { launchdDomain, launchdFiles, launchdLabel, launchdLog, plistPath } from "./launchd.ts";
import { must, saidOf, type ManagerContext, type ServiceManager } from "./manager.ts";
import { STOP_S, type Command } from "./spec.ts";

/** How often to look whether a job has ended. */
const LOOK_MS = 500;

export function launchdManager(context: ManagerContext): ServiceManager {
  const { host, spec } = context;
  const domain = launchdDomain(spec);
  const target = `${domain}/${launchdLabel(spec)}`;
  const print: Command = ["launchctl", "print", target];
  const isKnown = (): boolean => host.run(print).code === 0;

  /** `bootout` answers before the job has ended. */
  const stop = async (): Promise<void> => {
    if (!isKnown()) return;
    must(context, ["launchctl", "bootout", target]);
    for (let waited = 0; isKnown(); waited += LOOK_MS) {
      if (waited > (STOP_S + 10) * 1_000) throw new CliError(EXIT.failed, `${target} does not end`);
      await host.sleep(LOOK_MS);
    }
  };

  return {
    name: "launchd",
    starts: () =>
      spec.scope === "system"
        ? "it starts with the machine"
        : `it starts when ${spec.account.name} signs in; to start it with the machine, install with --system as root`,
    log: launchdLog(spec),
    logFile: launchdLog(spec),
    files: () => launchdFiles(spec),
    check: () => {
      const ran = host.run(["launchctl", "print", domain]);
      if (ran.code === 0) return;
      if (ran.code === null) throw new CliError(EXIT.failed, "launchctl is not here");
      throw new CliError(
        EXIT.failed,
        `launchd has no session ${domain}: ${saidOf(ran)}`,
        "Sign in at the screen of the Mac, or install with --system as root",
      );
    },
    state: () => {
      const { code, stdout } = host.run(print);
      const state = /^\s*state = (.+)$/m.exec(stdout)?.[1];
      const pid = /^\s*pid = (\d+)$/m.exec(stdout)?.[1];
      return {
        installed: host.exists(plistPath(spec)),
        enabled: host.exists(plistPath(spec)),
        running: code === 0 && pid !== undefined,
        pid: code === 0 && pid !== undefined ? Number(pid) : null,
        text: code === 0 ? (state ?? "known to launchd") : "not known to launchd",
      };
    },
    start: async () => {
      await stop();
      must(context, ["launchctl", "enable", target]);
      must(context, ["launchctl", "bootstrap", domain, plistPath(spec)]);
    },
    stop,
    finish: () => undefined,
    disable: stop,
    forget: () => undefined,
  };
}
