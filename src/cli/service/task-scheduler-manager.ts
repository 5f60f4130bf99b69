/** Windows' Task Scheduler, by `schtasks`. Checked on paper only: it was never run on Windows. */
import { CliError, EXIT } from "../failure.ts";
import { must, type ManagerContext, type ServiceManager } from "./manager.ts";
import type { Command } from "./spec.ts";
import { argumentFault, taskFiles, taskLog, taskName, taskPath } from "./task-scheduler.ts";

export function taskSchedulerManager(context: ManagerContext): ServiceManager {
  const { host, spec } = context;
  const isSystem = spec.scope === "system";
  const name = taskName(spec);
  const schtasks = (verb: string, ...args: string[]): Command => ["schtasks", verb, "/TN", name, ...args];
  const isKnown = (): boolean => host.run(schtasks("/Query")).code === 0;

  return {
    name: "Task Scheduler",
    starts: () =>
      isSystem
        ? "it starts with the machine"
        : `it starts when ${spec.account.name} signs in; to start it with the machine, install with --system as an administrator`,
    log: taskLog(spec),
    logFile: taskLog(spec),
    files: () => taskFiles(spec),
    check: () => {
      for (const text of [...spec.command, ...spec.args]) {
        const fault = argumentFault(text);
        if (fault !== null) throw new CliError(EXIT.usage, `'${text}' cannot be an argument of a task: ${fault}`);
      }
      if (host.run(["schtasks", "/Query", "/TN", "\\"]).code === null)
        throw new CliError(EXIT.failed, "schtasks is not here");
    },
    state: () => {
      const { code, stdout } = host.run(schtasks("/Query", "/FO", "CSV", "/NH"));
      // "\Tablao\tablao-worker","N/A","Running"; the words are those of the system's language.
      const text = /"([^"]*)"\s*$/m.exec(stdout)?.[1] ?? "";
      return {
        installed: code === 0 || host.exists(taskPath(spec)),
        enabled: code === 0,
        running: code === 0 && text === "Running",
        pid: null,
        text: code === 0 ? text : "not known to Task Scheduler",
      };
    },
    start: async () => {
      if (isKnown()) host.run(schtasks("/End"));
      must(context, schtasks("/Create", "/XML", taskPath(spec), "/F"));
      must(context, schtasks("/Run"));
    },
    // Task Scheduler ends processes without a word: their leases run out after a minute.
    stop: async () => void must(context, schtasks("/End")),
    finish: () => undefined,
    disable: async () => {
      if (!isKnown()) return;
      host.run(schtasks("/End"));
      must(context, schtasks("/Delete", "/F"));
    },
    forget: () => undefined,
  };
}
