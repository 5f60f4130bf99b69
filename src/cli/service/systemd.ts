/**
 * The service as a unit of systemd: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html.
 * Pure. The log is the journal's, which also bounds its size.
 */
import path from "node:path";
import { MARK, RESTART_S, STOP_S, type ServiceFile, type ServiceSpec } from "./spec.ts";

/** In a unit whose installation made its user's services start with the machine. systemd ignores keys with `X-`. */
const LINGER = "X-TablaoLinger=yes";

/** The folder of units. */
function unitFolder({ scope, account }: Pick<ServiceSpec, "scope" | "account">): string {
  return scope === "system" ? "/etc/systemd/system" : path.posix.join(account.home, ".config/systemd/user");
}

/** The unit's file. */
export function unitPath(spec: Pick<ServiceSpec, "id" | "scope" | "account">): string {
  return path.posix.join(unitFolder(spec), `${spec.id}.service`);
}

/** The file with the variables, which may be secret: the properties of a unit can be read by everybody. */
function environmentPath({ id, scope, account }: Pick<ServiceSpec, "id" | "scope" | "account">): string {
  return scope === "system"
    ? `/etc/tablao/${id}.env`
    : path.posix.join(account.home, ".config/tablao/services", `${id}.env`);
}

/** All files of the service, the unit last. `lingers`: the installation switched lingering on. */
export function systemdFiles(spec: ServiceSpec, lingers: boolean): ServiceFile[] {
  return [
    { path: environmentPath(spec), text: environmentText(spec), encoding: "utf8", mode: 0o600 },
    { path: unitPath(spec), text: unitText(spec, lingers), encoding: "utf8", mode: 0o644 },
  ];
}

/** Whether the installation that wrote this unit switched lingering on. */
export function unitLingers(unit: string): boolean {
  return unit.split("\n").includes(LINGER);
}

/** The unit. */
function unitText(spec: ServiceSpec, lingers: boolean): string {
  const isSystem = spec.scope === "system";
  const [program, ...leading] = spec.command;
  const words = [programWord(program), ...[...leading, ...spec.args].map(argumentWord)];
  return `# ${MARK}
[Unit]
Description=Tablao worker
${isSystem ? "Wants=network-online.target\nAfter=network-online.target\n" : ""}# It is tried again for ever: a manager may be away for days.
StartLimitIntervalSec=0
${lingers ? `${LINGER}\n` : ""}
[Service]
Type=exec
${isSystem ? `User=${escapePercent(spec.account.name)}\n` : ""}ExecStart=${words.join(" ")}
EnvironmentFile=${pathValue(environmentPath(spec))}
WorkingDirectory=~
# It ends with 0 when a person has stopped or drained it, and with 2 when its options are wrong.
Restart=on-failure
RestartSec=${RESTART_S}
RestartPreventExitStatus=2
# SIGTERM goes to the agent alone, which ends its renderers and gives its frames back.
KillMode=mixed
TimeoutStopSec=${STOP_S}
# A renderer that the kernel ends for want of memory is a failure of its frame, not of the service.
OOMPolicy=continue

[Install]
WantedBy=${isSystem ? "multi-user.target" : "default.target"}
`;
}

/** The variables. In this file, neither % nor $ mean anything between quotes. */
function environmentText({ environment }: Pick<ServiceSpec, "environment">): string {
  const lines = Object.entries(environment).map(
    ([name, value]) => `${name}="${value.replace(/[\\"$`]/g, (character) => `\\${character}`)}"\n`,
  );
  return `# ${MARK}\n${lines.join("")}`;
}

const escapePercent = (text: string): string => text.replaceAll("%", "%%");

/** In quotes, in which a backslash escapes. */
const quoted = (text: string): string => `"${escapePercent(text).replace(/[\\"]/g, (character) => `\\${character}`)}"`;

/** The program's path: variables are not replaced in it. */
const programWord = (text: string): string => quoted(text);

/** An argument: `$NAME` would be replaced also between quotes. */
const argumentWord = (text: string): string => quoted(text).replaceAll("$", "$$$$");

/** A path as a value: it goes to the line's end, without quotes. */
const pathValue = (text: string): string => escapePercent(text);
