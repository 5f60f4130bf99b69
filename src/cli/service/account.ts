/** Whose service it is, and which program it runs. */
import path from "node:path";
import { CliError, EXIT } from "../failure.ts";
import type { Host } from "./host.ts";
import type { Command, ServiceAccount, ServiceScope } from "./spec.ts";

/** What is known of the process that installs. */
export interface Installer {
  name: string;
  /** -1 on Windows. */
  uid: number;
  home: string;
  env: NodeJS.ProcessEnv;
}

/**
 * The account that the agent runs as: of a user's service this one; of a system service, which root installs, the
 * one that is named, or that called sudo. Throws `CliError`.
 */
export function accountOf(
  host: Host,
  installer: Installer,
  { scope, user }: { scope: ServiceScope; user?: string | undefined },
): ServiceAccount {
  const { name, uid, home, env } = installer;
  if (user !== undefined && scope === "user")
    throw new CliError(EXIT.usage, "--user names the account of a service of the machine: give --system, too");
  if (host.platform === "win32") {
    if (user !== undefined)
      throw new CliError(EXIT.usage, "--user cannot be given on Windows: run this as the account that is to render");
    if (scope === "system" && host.run(["net", "session"]).code !== 0)
      throw new CliError(EXIT.usage, "--system needs an administrator: open PowerShell as one, and run this again");
    return { name: env["USERDOMAIN"] ? `${env["USERDOMAIN"]}\\${name}` : name, home };
  }
  if (scope === "user") return { name, uid, home };
  if (uid !== 0) throw new CliError(EXIT.usage, "--system needs root: run this again with sudo");
  const wanted = user ?? env["SUDO_USER"];
  if (!wanted)
    throw new CliError(EXIT.usage, "whose machine is it? Name the account that the agent runs as: --user NAME");
  return accountNamed(host, wanted);
}

function accountNamed(host: Host, name: string): ServiceAccount {
  const number = (flag: "-u" | "-g"): number => {
    const ran = host.run(["id", flag, "--", name]);
    if (ran.code !== 0 || !/^\d+\s*$/.test(ran.stdout)) throw new CliError(EXIT.usage, `there is no account ${name}`);
    return Number(ran.stdout);
  };
  const [uid, gid] = [number("-u"), number("-g")];
  const asked =
    host.platform === "darwin"
      ? host.run(["dscl", ".", "-read", `/Users/${name}`, "NFSHomeDirectory"]).stdout.replace(/^NFSHomeDirectory:/, "")
      : (host.run(["getent", "passwd", name]).stdout.split(":")[5] ?? "");
  const home = asked.trim();
  if (!home.startsWith("/")) throw new CliError(EXIT.failed, `the home of ${name} cannot be found`);
  return { name, uid, gid, home };
}

/** What starts this program. `program` is the bundle, `script` the one of a checkout. */
export interface ProgramPlace {
  node: string;
  program: string | undefined;
  script: string;
}

/**
 * The command of the service: what the join line installed is started by its wrapper, which starts the newest
 * program and a Node that is there. Throws `CliError` for a program that npx keeps in its cache.
 */
export function ownProgram(host: Host, { node, program, script }: ProgramPlace): Command {
  if (program === undefined) return [node, script];
  if (/[/\\]_npx[/\\]/.test(program))
    throw new CliError(
      EXIT.usage,
      "npx has this program in its cache, which npm may empty",
      "Install it by the join line, or with npm install -g",
    );
  const paths = host.platform === "win32" ? path.win32 : path.posix;
  const folder = paths.dirname(program);
  const wrapper = paths.join(paths.dirname(folder), "bin", host.platform === "win32" ? "tablao.cmd" : "tablao");
  return paths.basename(folder) === "program" && host.exists(wrapper) ? [wrapper] : [node, program];
}
