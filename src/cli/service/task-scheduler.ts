/**
 * The service as a task of Windows' Task Scheduler: https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema.
 * Pure. It begins when its user signs in, or, where an administrator installs it, when the machine starts.
 */
import path from "node:path";
import { MARK, xmlText, type ServiceFile, type ServiceSpec } from "./spec.ts";

/**
 * Task Scheduler restarts a task that could not be started, not one that ended. So the task is begun again and
 * again, which does nothing while it runs.
 */
const REPEAT = "PT5M";

/** The task's name, in a folder of its own. */
export function taskName({ id }: Pick<ServiceSpec, "id">): string {
  return `\\Tablao\\${id}`;
}

/** The folder of the program on Windows. */
function ownFolder({ account }: Pick<ServiceSpec, "account">): string {
  return path.win32.join(account.home, "AppData", "Local", "Tablao");
}

/** The task as it was registered. */
export function taskPath(spec: Pick<ServiceSpec, "id" | "account">): string {
  return path.win32.join(ownFolder(spec), "services", `${spec.id}.xml`);
}

/** The agent's log. */
export function taskLog(spec: Pick<ServiceSpec, "id" | "account">): string {
  return path.win32.join(ownFolder(spec), "logs", `${spec.id}.log`);
}

/** All files of the service. */
export function taskFiles(spec: ServiceSpec): ServiceFile[] {
  return [{ path: taskPath(spec), text: taskText(spec), encoding: "utf16le", mode: 0o600 }];
}

/** What of an argument a command file of Windows cannot be given; null when there is nothing. */
export function argumentFault(text: string): string | null {
  const found = /["%^&|<>!]/.exec(text);
  return found === null ? null : `it has ${found[0]}, which a command file of Windows reads as something else`;
}

/** An argument as programs of Windows split them. The backslashes before the last quote would escape it. */
export function argumentWord(text: string): string {
  return text !== "" && !/[\s,;=()]/.test(text) ? text : `"${text.replace(/\\+$/, "$&$&")}"`;
}

/** The task. */
export function taskText(spec: ServiceSpec): string {
  const [program, ...leading] = spec.command;
  const isSystem = spec.scope === "system";
  const user = xmlText(spec.account.name);
  const repeat = `<Repetition>
        <Interval>${REPEAT}</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>`;
  const trigger = isSystem
    ? `<BootTrigger>
      <Enabled>true</Enabled>
      ${repeat}
    </BootTrigger>`
    : `<LogonTrigger>
      <Enabled>true</Enabled>
      ${repeat}
      <UserId>${user}</UserId>
    </LogonTrigger>`;
  return `\uFEFF<?xml version="1.0" encoding="UTF-16"?>
<!-- ${MARK} -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Tablao worker</Description>
  </RegistrationInfo>
  <Triggers>
    ${trigger}
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>${user}</UserId>
      <LogonType>${isSystem ? "S4U" : "InteractiveToken"}</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>6</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>${xmlText(program)}</Command>
      <Arguments>${xmlText([...leading, ...spec.args].map(argumentWord).join(" "))}</Arguments>
      <WorkingDirectory>${xmlText(spec.account.home)}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
`;
}
