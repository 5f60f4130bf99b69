import { spawn } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { testFolder } from "../../test/support/folders.ts";
import { STRAYS, strays, straysScript, strayToken } from "../../test/support/strays.ts";
import { until } from "../../test/support/wait.ts";
import { removeStaleLeaseFolders } from "./lease-folder.ts";
import { endLeftProcesses, leftBehind, listWithPs, recordProcess, type ProcessRecord } from "./left-processes.ts";
import type { ProcessRow } from "./windows-processes.ts";

const STARTED_MS = Date.parse("2026-11-28T08:00:00Z");
const record: ProcessRecord = {
  pid: 500,
  boot: "",
  start: "",
  from_ms: STARTED_MS,
  until_ms: STARTED_MS + 40,
  image: "blender.exe",
};
const FOLDER = String.raw`C:\Users\Ann\.tablao\workers\ann\leases\1-1`;

/** A process that has nothing to do with the lease, changed. */
function row(change: Partial<ProcessRow>): ProcessRow {
  return { pid: 9, parent: 4, group: 0, startMs: STARTED_MS + 20, image: "other.exe", commandLine: "other", ...change };
}
const renderer = row({ pid: 500, image: "Blender.exe" });
const ids = (rows: ProcessRow[]): number[] => leftBehind(record, FOLDER, rows, "win32").toSorted((a, b) => a - b);

describe("what a lease has left on Windows", () => {
  test("is its process and what that has started", () => {
    const child = row({ pid: 600, parent: 500, startMs: STARTED_MS + 5_000 });
    const grandchild = row({ pid: 601, parent: 600, startMs: STARTED_MS + 6_000 });
    expect(ids([row({}), grandchild, child, renderer])).toEqual([500, 600, 601]);
  });

  test("is no process to which its id was given: one that was started later, or that is another program", () => {
    expect(ids([{ ...renderer, startMs: STARTED_MS + 60_000 }])).toEqual([]);
    expect(ids([{ ...renderer, image: "notepad.exe" }])).toEqual([]);
  });

  test("is what works in its folder, when its process has ended; not what the next process of its id has started", () => {
    const commandLine = `blender.exe -b "${FOLDER.toUpperCase()}\\in\\scene.blend"`;
    const orphan = row({ pid: 600, parent: 500, startMs: STARTED_MS + 5_000, commandLine });
    const below = row({ pid: 601, parent: 600, startMs: STARTED_MS + 6_000 });
    const another = { ...renderer, startMs: STARTED_MS + 60_000 };
    const anothers = row({ pid: 700, parent: 500, startMs: STARTED_MS + 61_000 });
    expect(ids([orphan, below, another, anothers])).toEqual([600, 601]);
    // `1-1` begins `1-10`.
    const tenth = { ...orphan, commandLine: commandLine.replace("1-1", "1-10") };
    expect(ids([tenth])).toEqual([]);
    expect(ids([{ ...tenth, commandLine: "" }])).toEqual([]);
  });

  test("is no child of an older process that had the id before", () => {
    const older = row({ pid: 601, parent: 600, startMs: STARTED_MS - 60_000 });
    expect(ids([renderer, row({ pid: 600, parent: 500, startMs: STARTED_MS + 5_000 }), older])).toEqual([500, 600]);
  });

  test("is ended by taskkill, once each", async () => {
    const folder = testFolder("lease");
    const pid = 4_000_000;
    recordProcess(folder, pid, "C:\\Program Files\\Blender\\Blender.exe", Date.now());
    const calls: string[] = [];
    const run = async (program: string, args: readonly string[]): Promise<string> => {
      if (!program.endsWith("powershell.exe")) calls.push([program, ...args].join(" "));
      const image = "blender.exe";
      return JSON.stringify([
        { pid, parent: 4, image, line: null, start: Date.now() },
        { pid: pid + 1, parent: 4, image, line: "", start: Date.now() },
      ]);
    };
    expect(await endLeftProcesses([folder], "win32", run)).toBeUndefined();
    expect(calls).toEqual([expect.stringMatching(/\\System32\\taskkill\.exe \/PID 4000000 \/T \/F$/)]);
  });

  test("is not called gone when the processes cannot be listed", async () => {
    const folder = testFolder("lease");
    recordProcess(folder, 4_000_000, "blender.exe", Date.now());
    const run = async (): Promise<string> => await Promise.reject(new Error("powershell.exe is blocked\nby a rule"));
    expect(await endLeftProcesses([folder], "win32", run)).toBe(
      "the processes of this machine cannot be listed (powershell.exe is blocked): renderers of an earlier run may still work",
    );
    // Where nothing was recorded, nothing is asked.
    expect(await endLeftProcesses([testFolder("empty")], "win32", run)).toBeUndefined();
  });
});

describe("what a lease has left on macOS", () => {
  const PS = `
    1     0     1 Fri Nov 27 20:57:19 2026     /sbin/launchd
  500     1   500 Sat Nov 28 08:00:00 2026     /Applications/Blender.app/Contents/MacOS/Blender -b /w/leases/1-1/in/a b.blend
  501   500   500 Sat Nov 28 08:00:05 2026     helper
  502     1   500 Sat Nov 28 08:00:06 2026     daemon --in /w/leases/1-1/out
  503   501   503 Sat Nov 28 08:00:07 2026     own session
  600     1   600 Sat Nov 28 08:00:00 2026     another
`;
  const find = async (text: string): Promise<number[]> =>
    leftBehind(record, "/w/leases/1-1", await listWithPs(async () => text), "darwin").toSorted((a, b) => a - b);

  test("is its group and what that has started, read from ps", async () => {
    expect(await find(PS)).toEqual([500, 501, 502, 503]);
  });

  test("is what of the group works in the folder, when the process itself has ended", async () => {
    expect(await find(PS.replace(/^ {2}500.*\n/m, ""))).toEqual([502]);
  });

  test("is nothing of another process to which the id was given", async () => {
    const later = PS.replaceAll("08:00:0", "09:30:0").replaceAll("/w/leases/1-1/", "/home/ann/");
    expect(await find(later)).toEqual([]);
  });
});

describe.skipIf(process.platform !== "linux")("what a lease has left on Linux", () => {
  test("P2: is gone before the next agent takes work; the shell of a person in the folder goes on", async () => {
    const token = strayToken();
    const work = realpathSync(testFolder("leases"));
    const folder = path.join(work, "7-1");
    mkdirSync(path.join(folder, "out"), { recursive: true });
    const env = { PATH: process.env["PATH"], TABLAO_LEASE: `00ff:${folder}` };
    const go = path.join(work, "go");
    const wait = `until [ -e ${go} ]; do sleep 0.1; done`;
    const shell = spawn("sh", ["-c", `${straysScript(token)} ${wait}`], {
      cwd: path.join(folder, "out"),
      detached: true,
      env,
      stdio: "ignore",
    });
    recordProcess(folder, shell.pid!, "sh", Date.now());
    // In a terminal of its own.
    const person = spawn("script", ["-qec", `cd ${folder} && exec sleep 3606.${token}`, "/dev/null"], {
      stdio: "ignore",
    });
    onTestFinished(() => void person.kill("SIGKILL"));
    await until(() => strays(token).length === STRAYS + 1, { what: "all run" });

    expect(await removeStaleLeaseFolders(work)).toEqual({ removed: 1, problems: [] });
    expect(strays(token)).toEqual([`3606.${token}`]);
    expect(existsSync(folder)).toBe(false);
  });

  test("is no process that has the recorded id by now", async () => {
    const token = strayToken();
    const folder = testFolder("lease");
    const other = spawn("sleep", [`3605.${token}`], { detached: true, stdio: "ignore" });
    onTestFinished(() => void other.kill("SIGKILL"));
    await until(() => strays(token).length === 1, { what: "it runs" });
    const foreign: ProcessRecord = { ...record, pid: other.pid!, start: "1", boot: "" };
    writeFileSync(path.join(folder, "process.json"), JSON.stringify(foreign));
    expect(await endLeftProcesses([realpathSync(folder)])).toBeUndefined();
    expect(strays(token)).toHaveLength(1);
  });
});
