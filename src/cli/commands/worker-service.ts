/** `tablao worker install|uninstall`: the agent as a service that starts with the machine. */
import { homedir, userInfo } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Command, Option } from "commander";
import { PROGRAM_FILE } from "../../client/program-file.ts";
import { flagsOf, outputFor } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { accountOf, ownProgram } from "../service/account.ts";
import { thisHost } from "../service/host.ts";
import { installService, reportText, serviceReport, uninstallService, type ServiceReport } from "../service/install.ts";
import { carriedEnvironment, serviceId, type ServiceSpec } from "../service/spec.ts";

/** What only the command that runs the agent knows. */
export interface AgentAccess<F> {
  /** The manager's address and the join token, as the agent itself would find them. */
  joining(flags: F): Promise<{ manager?: string | undefined; join?: string | undefined }>;
  /** Remove what the agent keeps on this machine; answers with the removed paths. */
  purge(flags: F, home: string): Promise<string[]>;
}

interface ServiceFlags {
  system?: boolean;
  user?: string;
  name?: string;
  env?: string[];
  once?: boolean;
  registerOnly?: boolean;
  logFile?: string;
}

/** Add the commands to `tablao worker`, whose options they take. */
export function addWorkerService<F>(worker: Command, agent: AgentAccess<F>): void {
  const add = (name: string, summary: string, description: string): Command =>
    worker
      .command(name)
      .summary(summary)
      .description(description)
      .option("--system", "as a service of the machine, which needs root or an administrator")
      .option("--user <name>", "with --system: the account that the agent runs as (the one that called sudo)");

  add(
    "install",
    "make the agent a service that starts with the machine",
    "Make the agent a service: of systemd, launchd or Windows' Task Scheduler. It runs with the options given here, registers first (TABLAO_JOIN), and says each file that it writes and each command that it runs. Run again, it changes the options.",
  ).action(async (_: unknown, command: Command) => {
    const flags = flagsOf<ServiceFlags & F>(command);
    const out = outputFor(flags);
    const unfit = Object.entries({
      "--once": flags.once,
      "--register-only": flags.registerOnly,
      "--log-file": flags.logFile,
    });
    for (const [flag, value] of unfit)
      if (value !== undefined) throw new CliError(EXIT.usage, `${flag} cannot be given to a service`);
    const { manager, join } = await agent.joining(flags);
    const steps: string[] = [];
    const say = (line: string): void => {
      steps.push(line);
      out.note(line);
    };
    const host = thisHost();
    const spec = specOf(host, flags, ["worker", ...agentArguments(worker, manager)]);
    await installService({ spec, join, host, say });
    const report = serviceReport({ host, spec });
    if (report === null || !report.running)
      throw new CliError(
        EXIT.failed,
        `the service ${spec.id} was installed and does not run: ${report?.text ?? "it is not known"}`,
        report === null ? undefined : `Its log: ${report.log}`,
      );
    if (out.json) out.value({ service: report, steps });
    else out.line(reportText(report));
  });

  add(
    "uninstall",
    "stop the service and remove what install wrote",
    "Stop the service of the agent and remove what install wrote. The worker's identity, its cache and its log stay, so that it can be installed again without a token.",
  )
    .option("--purge", "remove the identity and the cache, too; the worker then joins only with a token")
    .action(async (_: unknown, command: Command) => {
      const flags = flagsOf<ServiceFlags & { purge?: boolean } & F>(command);
      const out = outputFor(flags);
      const host = thisHost();
      const spec = specOf(host, flags, ["worker"]);
      const steps: string[] = [];
      const say = (line: string): void => {
        steps.push(line);
        out.note(line);
      };
      await uninstallService({ spec, host, say });
      if (flags.purge) for (const removed of await agent.purge(flags, spec.account.home)) say(`removed ${removed}`);
      if (out.json) out.value({ service: null, steps });
      else
        out.line(
          `service ${spec.id}: removed${flags.purge ? "" : "; its identity and its cache are kept (--purge removes them)"}`,
        );
    });
}

/** The services of the worker with this name on this machine: the user's, and the machine's. */
export function serviceReports(flags: { name?: string }): ServiceReport[] {
  const host = thisHost();
  const { username: name, uid } = userInfo();
  const account = { name, uid, home: homedir() };
  const scopes = host.platform === "win32" ? (["user"] as const) : (["user", "system"] as const);
  return scopes.flatMap((scope) => {
    const spec = { id: serviceId(flags.name), scope, account, command: ["tablao"] as const, args: [], environment: {} };
    return serviceReport({ host, spec }) ?? [];
  });
}

function specOf(host: ReturnType<typeof thisHost>, flags: ServiceFlags, args: string[]): ServiceSpec {
  const scope = flags.system ? "system" : "user";
  const { username: name, uid } = userInfo();
  const account = accountOf(host, { name, uid, home: homedir(), env: process.env }, { scope, user: flags.user });
  const script = fileURLToPath(new URL("../tablao.js", import.meta.url));
  return {
    id: serviceId(flags.name),
    scope,
    account,
    command: ownProgram(host, { node: process.execPath, program: PROGRAM_FILE, script }),
    args,
    // A task of Windows has the variables of its user.
    environment: host.platform === "win32" ? {} : carriedEnvironment(process.env, flags.env ?? []),
  };
}

/** Never a part of a service: tokens, and how this command itself answers. */
const NOT_KEPT = new Set(["join", "token", "json", "manager", "version"]);

/**
 * The options that were given to `worker`, and to the program, as arguments for the service. Paths are absolute:
 * a service has another folder.
 */
export function agentArguments(worker: Command, manager: string | undefined): string[] {
  const given = (command: Command): string[] =>
    command.options
      .filter((option) => !NOT_KEPT.has(option.attributeName()))
      .filter((option) => command.getOptionValueSource(option.attributeName()) === "cli")
      .flatMap((option) => words(option, command.getOptionValue(option.attributeName())));
  const root = worker.parent;
  return [...(manager === undefined ? [] : ["--manager", manager]), ...(root ? given(root) : []), ...given(worker)];
}

const IS_PATH = /<(path|dir|file)>/;

function words(option: Option, value: unknown): string[] {
  const flag = option.long!;
  if (typeof value === "boolean") return value === !option.negate ? [flag] : [];
  // A list of an option with commas is one argument; an option that is repeatable has one for each value.
  const isList = /<\w+,\w+>/.test(option.flags);
  const values = Array.isArray(value) && !isList ? value : [value];
  return values.flatMap((one) => [flag, IS_PATH.test(option.flags) ? path.resolve(String(one)) : String(one)]);
}
