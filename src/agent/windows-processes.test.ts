import { describe, expect, test } from "vitest";
import { killWindowsTree, listWindowsProcesses } from "./windows-processes.ts";

describe("taskkill", () => {
  test("P2: ends the process and what it has started, by its full path", async () => {
    const calls: string[][] = [];
    const run = async (...call: [string, readonly string[]]) => {
      calls.push(call.flat());
      return "";
    };
    await killWindowsTree(500, run, () => expect.unreachable());
    expect(calls).toEqual([["C:\\Windows\\System32\\taskkill.exe", "/PID", "500", "/T", "/F"]]);
  });

  test("that fails, or is not there, leaves the process itself to be ended; one that is gone is no error", async () => {
    const ended: number[] = [];
    const fails = async (): Promise<string> => await Promise.reject(new Error("ENOENT"));
    await killWindowsTree(500, fails, (pid) => ended.push(pid));
    expect(ended).toEqual([500]);
    await killWindowsTree(500, fails, () => {
      throw new Error("ESRCH");
    });
  });
});

describe("the list of processes", () => {
  test("is read from PowerShell, which may not see every command line", async () => {
    const text = JSON.stringify([
      { pid: 500, parent: 400, image: "blender.exe", line: '"C:\\b.exe" -b', start: 1_795_852_800_123.4 },
      { pid: 600, parent: 4, image: "lsass.exe", line: null, start: 1_795_852_700_000 },
    ]);
    expect(await listWindowsProcesses(async () => `\uFEFF${text}\r\n`)).toEqual([
      {
        pid: 500,
        parent: 400,
        group: 0,
        startMs: 1_795_852_800_123.4,
        image: "blender.exe",
        commandLine: '"C:\\b.exe" -b',
      },
      { pid: 600, parent: 4, group: 0, startMs: 1_795_852_700_000, image: "lsass.exe", commandLine: "" },
    ]);
  });

  test("that is cut or has another form is an error", async () => {
    for (const text of ["", "[{", "{}", '[{"pid": "500"}]'])
      await expect(listWindowsProcesses(async () => text)).rejects.toThrow();
  });
});
