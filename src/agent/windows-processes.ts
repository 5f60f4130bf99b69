/**
 * Processes on Windows. They have a parent and no group, and a parent's id stays in its children when it
 * has ended and the id is another's. Programs of the system are called by their full path: Windows looks
 * for a bare name in the current folder first.
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { z } from "zod";

/** A process, as `left-processes.ts` compares it. */
export interface ProcessRow {
  pid: number;
  parent: number;
  /** 0 on Windows. */
  group: number;
  /** When it was started, in Unix milliseconds. */
  startMs: number;
  /** The file name of its program. */
  image: string;
  /** Its command line; empty where it may not be read. */
  commandLine: string;
}

/** Runs a program; answers with its output. Rejects when it fails. Tests pass their own. */
export type RunProgram = (program: string, args: readonly string[]) => Promise<string>;

/** `taskkill` and the list of processes take a second on a busy machine. */
const TIMEOUT_MS = 20_000;
/** The command lines of some hundred processes. */
const MAX_OUTPUT_BYTES = 64 * 1024 ** 2;

/** Run a program of the system to its end. */
export const runProgram: RunProgram = async (program, args) =>
  await new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      { windowsHide: true, timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES, encoding: "utf8" },
      (error, stdout) => (error ? reject(error) : resolve(stdout)),
    );
  });

/** The path of a program in the system's folder. */
function systemProgram(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const root = env["SystemRoot"] ?? env["SYSTEMROOT"] ?? env["windir"] ?? "C:\\Windows";
  return path.win32.join(root, "System32", name);
}

/**
 * End a process and all that descend from it, at once. When `taskkill` fails, at least the process itself
 * is ended: then its children go on. Never rejects.
 */
export async function killWindowsTree(
  pid: number,
  run: RunProgram = runProgram,
  endOne: (pid: number) => void = (id) => void process.kill(id, "SIGKILL"),
): Promise<void> {
  try {
    await run(systemProgram("taskkill.exe"), ["/PID", String(pid), "/T", "/F"]);
  } catch {
    try {
      endOne(pid);
    } catch {
      // It has ended.
    }
  }
}

/**
 * PowerShell, since `wmic` is gone from Windows 11 and `tasklist` tells no parents. Times are those of
 * the process's creation, in Unix milliseconds.
 */
const LIST_COMMAND = [
  "$ErrorActionPreference = 'Stop'",
  "[Console]::OutputEncoding = [Text.Encoding]::UTF8",
  "$epoch = [DateTime]::new(1970, 1, 1, 0, 0, 0, 'Utc')",
  "$rows = Get-CimInstance Win32_Process | Where-Object CreationDate | ForEach-Object { @{" +
    " pid = $_.ProcessId; parent = $_.ParentProcessId; image = $_.Name; line = $_.CommandLine;" +
    " start = ($_.CreationDate.ToUniversalTime() - $epoch).TotalMilliseconds } }",
  "ConvertTo-Json -Compress -InputObject @($rows)",
].join("; ");

const listSchema = z.array(
  z.object({ pid: z.int(), parent: z.int(), image: z.string(), line: z.string().nullable(), start: z.number() }),
);

/** All processes. Rejects when PowerShell cannot tell them. */
export async function listWindowsProcesses(run: RunProgram = runProgram): Promise<ProcessRow[]> {
  const shell = systemProgram(path.win32.join("WindowsPowerShell", "v1.0", "powershell.exe"));
  const text = await run(shell, ["-NoProfile", "-NonInteractive", "-Command", LIST_COMMAND]);
  return listSchema.parse(JSON.parse(text.replace(/^\uFEFF/, ""))).map(({ pid, parent, image, line, start }) => {
    return { pid, parent, group: 0, startMs: start, image, commandLine: line ?? "" };
  });
}
