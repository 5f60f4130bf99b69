/**
 * The service as a job of launchd: `man launchd.plist`. Pure. An agent of the user (at sign-in) or a daemon (at
 * start-up). launchd bounds no log, so the agent writes and rotates its own (`--log-file`).
 */
import path from "node:path";
import { MARK, RESTART_S, STOP_S, xmlText, type ServiceFile, type ServiceSpec } from "./spec.ts";

/** The job's label, after the file's name. */
export function launchdLabel({ id }: Pick<ServiceSpec, "id">): string {
  return `tablao.${id}`;
}

/** Where launchd keeps the job: `system`, or the user's session. */
export function launchdDomain({ scope, account }: Pick<ServiceSpec, "scope" | "account">): string {
  return scope === "system" ? "system" : `gui/${account.uid}`;
}

/** The job's file. */
export function plistPath(spec: Pick<ServiceSpec, "id" | "scope" | "account">): string {
  const folder =
    spec.scope === "system" ? "/Library/LaunchDaemons" : path.posix.join(spec.account.home, "Library/LaunchAgents");
  return path.posix.join(folder, `${launchdLabel(spec)}.plist`);
}

/** The agent's log, in a folder that every account of a Mac has. */
export function launchdLog({ id, account }: Pick<ServiceSpec, "id" | "account">): string {
  return path.posix.join(account.home, "Library/Logs", `${id}.log`);
}

/** All files of the service. The job's may hold secrets. */
export function launchdFiles(spec: ServiceSpec): ServiceFile[] {
  return [{ path: plistPath(spec), text: plistText(spec), encoding: "utf8", mode: 0o600 }];
}

const string = (text: string): string => `<string>${xmlText(text)}</string>`;
const key = (name: string, value: string): string => `  <key>${xmlText(name)}</key>\n  ${value}\n`;

/** The job. */
export function plistText(spec: ServiceSpec): string {
  const words = [...spec.command, ...spec.args].map((word) => `    ${string(word)}\n`).join("");
  const variables = Object.entries(spec.environment)
    .map(([name, value]) => `    <key>${xmlText(name)}</key>\n    ${string(value)}\n`)
    .join("");
  // What the agent itself cannot write into its log: an error of Node.
  const errors = string(`${launchdLog(spec)}.errors`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- ${MARK} -->
<plist version="1.0">
<dict>
${[
  key("Label", string(launchdLabel(spec))),
  spec.scope === "system" ? key("UserName", string(spec.account.name)) : "",
  key("ProgramArguments", `<array>\n${words}  </array>`),
  key("EnvironmentVariables", `<dict>\n${variables}  </dict>`),
  key("WorkingDirectory", string(spec.account.home)),
  key("RunAtLoad", "<true/>"),
  // Not after an end with 0: a person has stopped or drained it.
  key("KeepAlive", "<dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>"),
  key("ThrottleInterval", `<integer>${RESTART_S}</integer>`),
  key("ExitTimeOut", `<integer>${STOP_S}</integer>`),
  // Without it, launchd slows the processor and the disk down for the job.
  key("ProcessType", string("Interactive")),
  key("StandardOutPath", errors),
  key("StandardErrorPath", errors),
].join("")}</dict>
</plist>
`;
}
