/** Install, remove and show the service of an agent, whatever the service manager. */
import { CliError, EXIT } from "../failure.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Host } from "./host.ts";
import { launchdManager } from "./launchd-manager.ts";
import type { ManagerContext, ServiceManager, ServiceState } from "./manager.ts";
import { MARK, textFault, type ServiceFile, type ServiceSpec } from "./spec.ts";
import { systemdManager } from "./systemd-manager.ts";
import { taskSchedulerManager } from "./task-scheduler-manager.ts";

/** The service manager of this system. Throws `CliError` where none is known. */
function serviceManager(context: ManagerContext): ServiceManager {
  const { platform } = context.host;
  if (platform === "linux") return systemdManager(context);
  if (platform === "darwin") return launchdManager(context);
  if (platform === "win32") return taskSchedulerManager(context);
  throw new CliError(EXIT.failed, `no service manager of ${platform} is known`);
}

/** The arguments of the agent with its log, where it writes one. */
function withLogFile(spec: ServiceSpec, { logFile }: Pick<ServiceManager, "logFile">): ServiceSpec {
  return logFile === undefined ? spec : { ...spec, args: [...spec.args, "--log-file", logFile] };
}

export interface InstallOptions {
  spec: ServiceSpec;
  /** A join token; it is given to the agent once, in its environment, and is stored nowhere. */
  join: string | undefined;
  host: Host;
  say: (line: string) => void;
}

/**
 * Install the service and start it; what is installed already is brought up to date. The agent registers first,
 * so that nothing is installed that could not work. A failure leaves the files that were there before. Throws
 * `CliError`.
 */
export async function installService(options: InstallOptions): Promise<ServiceState> {
  const { host, say, join } = options;
  const first = serviceManager({ host, say, spec: options.spec });
  const spec = withLogFile(options.spec, first);
  const manager = serviceManager({ host, say, spec });
  for (const text of [...spec.command, ...spec.args, ...Object.values(spec.environment)]) {
    const fault = textFault(text);
    if (fault !== null) throw new CliError(EXIT.usage, `'${text}' cannot be a part of a service: ${fault}`);
  }
  manager.check();
  const files = manager.files();
  for (const { path } of files) refuseForeign(host, path);
  const before = files.map((file) => ({ file, text: host.read(file.path) }));
  const changed = before.some(({ file, text }) => text !== file.text);
  const state = manager.state();
  if (state.running && !changed && join === undefined) {
    say(`${spec.id} is installed with these options, and runs`);
    manager.finish();
    return manager.state();
  }
  // Two agents cannot be one worker.
  if (state.running) await manager.stop();
  try {
    await register(options);
    for (const { file, text } of before) {
      if (text === file.text) continue;
      host.write(file);
      say(`wrote ${file.path}`);
    }
    await manager.start();
  } catch (error) {
    await putBack({ host, say, manager, before, wasRunning: state.running });
    throw error;
  }
  manager.finish();
  return manager.state();
}

/** Run the agent until the manager knows it. Its last line says what is wrong. */
async function register({ host, spec, join }: InstallOptions): Promise<void> {
  const [program, ...leading] = spec.command;
  const { TABLAO_TOKEN: _, ...own } = process.env;
  const env = {
    ...own,
    ...(host.platform !== "win32" && { HOME: spec.account.home, USER: spec.account.name, LOGNAME: spec.account.name }),
    ...spec.environment,
    TABLAO_JOIN: join ?? "",
  };
  const code = await host.runAgent([program, ...leading, ...spec.args, "--register-only"], env, spec.account);
  if (code !== 0)
    throw new CliError(code === 2 ? EXIT.usage : EXIT.failed, "the agent could not register, so nothing was installed");
}

interface Before {
  file: ServiceFile;
  text: string | undefined;
}

/** After a failure: the files that were there, and the service that ran. Never throws. */
async function putBack({
  host,
  say,
  manager,
  before,
  wasRunning,
}: {
  host: Host;
  say: (line: string) => void;
  manager: ServiceManager;
  before: readonly Before[];
  wasRunning: boolean;
}): Promise<void> {
  try {
    const isNew = before.every(({ text }) => text === undefined);
    const isWritten = before.some(({ file, text }) => host.read(file.path) !== text);
    if (isNew && isWritten) await manager.disable();
    for (const { file, text } of before) {
      if (host.read(file.path) === text) continue;
      if (text === undefined) host.remove(file.path);
      else host.write({ ...file, text });
      say(`${text === undefined ? "removed" : "put back"} ${file.path}`);
    }
    if (isNew && isWritten) manager.forget();
    if (wasRunning) await manager.start();
  } catch (error) {
    say(`what was there before could not be put back: ${messageOf(error)}`);
  }
}

/** Stop the service and remove what the installation wrote. Throws `CliError`, also when it is not installed. */
export async function uninstallService({ host, say, spec }: Omit<InstallOptions, "join">): Promise<void> {
  const manager = serviceManager({ host, say, spec });
  const present = manager.files().filter(({ path }) => host.exists(path));
  if (present.length === 0 && !manager.state().installed)
    throw new CliError(
      EXIT.notFound,
      `the service ${spec.id} is not installed${spec.scope === "user" ? ` for ${spec.account.name}` : ""}`,
      spec.scope === "user" ? "Of the machine's own services, remove it with --system" : undefined,
    );
  for (const { path } of present) refuseForeign(host, path);
  manager.check();
  await manager.disable();
  for (const { path } of present) {
    host.remove(path);
    say(`removed ${path}`);
  }
  manager.forget();
}

/** A file that we did not write is somebody else's. */
function refuseForeign(host: Host, file: string): void {
  const text = host.read(file);
  if (text !== undefined && !text.slice(0, 1_000).includes(MARK))
    throw new CliError(EXIT.failed, `${file} was not written by this command, so it is left alone`);
}

/** How the service is, for people and for scripts. */
export interface ServiceReport extends ServiceState {
  service: string;
  scope: ServiceSpec["scope"];
  manager: string;
  starts: string;
  log: string;
}

/** How the service is; null where it is not installed, or no service manager is known. Changes nothing. */
export function serviceReport({ host, spec }: Pick<InstallOptions, "host" | "spec">): ServiceReport | null {
  try {
    const manager = serviceManager({ host, spec, say: () => undefined });
    const state = manager.state();
    if (!state.installed) return null;
    const { name, log } = manager;
    return { service: spec.id, scope: spec.scope, manager: name, starts: manager.starts(), log, ...state };
  } catch (error) {
    if (error instanceof CliError) return null;
    throw error;
  }
}

/** The report in one line. */
export function reportText({ service, manager, enabled, running, pid, text, starts, log }: ServiceReport): string {
  const how = running ? `running${pid === null ? "" : ` (process ${pid})`}` : `not running: ${text}`;
  return `service ${service}: ${how}; ${enabled ? starts : `it is switched off in ${manager}`}; log: ${log}`;
}
