import { existsSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { testFolder } from "../../test/support/folders.ts";
import { Stopwatch } from "../../test/support/real-time.ts";
import { until } from "../../test/support/wait.ts";
import { isAlive } from "../client/process-stat.ts";
import { STRAYS, strays, straysScript, strayToken, UNTOLD } from "../../test/support/strays.ts";
import { runProcess, type RunningProcess } from "./process.ts";

function run(script: string, args: string[] = []): { running: RunningProcess; lines: string[] } {
  const lines: string[] = [];
  const running = runProcess({
    command: [process.execPath, "-e", script, ...args],
    cwd: testFolder("process"),
    env: { PATH: process.env["PATH"] },
    onLine: (line) => lines.push(line),
  });
  return { running, lines };
}

/**
 * A process counts as dead when it is gone, or waits to be reaped by the process that inherited it.
 */
async function isGone(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return true;
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return / Z /.test(stat);
}

describe("a lease's process", () => {
  test("gets its arguments as they are, without a shell", async () => {
    const { running, lines } = run("console.log(JSON.stringify(process.argv.slice(1))); console.error('last')", [
      "$(id)",
      "a b",
      "*",
      "",
    ]);
    expect(await running.exit).toEqual({ kind: "exit", code: 0, signal: null });
    expect(lines.toSorted()).toEqual(['["$(id)","a b","*",""]', "last"]);
  });

  test("that cannot be started reports that, without a crash of the agent", async () => {
    for (const command of [["/nowhere/blender"], [process.execPath, "a\0b"]] as [string, ...string[]][]) {
      const running = runProcess({ command, cwd: testFolder("process"), env: {}, onLine: () => {} });
      expect((await running.exit).kind).toBe("not_started");
      await running.kill();
    }
  });

  test("P2: a group whose members ignore TERM is dead within 5 s", async () => {
    const script = `
      process.on("SIGTERM", () => {});
      const child = require("node:child_process").spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"], { stdio: "inherit" });
      console.log("child " + child.pid);
      setInterval(() => {}, 1000);`;
    const { running, lines } = run(script);
    await until(() => lines.includes("up"), { what: "the grandchild runs" });
    const grandchild = Number(lines.find((line) => line.startsWith("child"))!.slice(6));
    const watch = new Stopwatch();
    await running.kill();
    expect(watch.elapsedMs).toBeLessThan(5_000);
    expect(await running.exit).toMatchObject({ signal: "SIGKILL" });
    await until(() => isGone(grandchild), { what: "the grandchild is gone" });
  });

  test("leaves no children behind when it ends, and does not wait for them", async () => {
    const script = `
      const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
      console.log(child.pid);
      child.unref();
      setTimeout(() => process.exit(3), 50);`;
    const { running, lines } = run(script);
    const watch = new Stopwatch();
    expect(await running.exit).toMatchObject({ code: 3 });
    expect(watch.elapsedMs).toBeLessThan(4_000);
    await until(() => isGone(Number(lines[0])), { what: "the child is gone" });
  });

  test("is killed also while it is stopped", async () => {
    const { running, lines } = run("console.log('up'); setInterval(() => {}, 1000)");
    await until(() => lines.length > 0, { what: "it runs" });
    process.kill(running.pid!, "SIGSTOP");
    await delay(50);
    await running.kill(300);
    expect(await running.exit).toMatchObject({ kind: "exit" });
  });

  describe.skipIf(process.platform !== "linux")("P2: and what has left its group", () => {
    const start = (script: string): RunningProcess =>
      runProcess({
        command: ["/bin/sh", "-c", script],
        cwd: testFolder("process"),
        env: { PATH: process.env["PATH"] },
        onLine: () => {},
      });

    test("is ended with it, when the agent ends it", async () => {
      const token = strayToken();
      const running = start(`${straysScript(token)} wait`);
      await until(() => strays(token).length === STRAYS, { what: "all run" });
      await running.kill();
      expect(strays(token)).toEqual([]);
      expect(await running.exit).toMatchObject({ kind: "exit" });
    });

    test("is ended when it ends by itself, where group, mark, folder or parent tell whose it is", async () => {
      const token = strayToken();
      const folder = testFolder("go");
      const running = start(`${straysScript(token)} until [ -e ${folder}/go ]; do sleep 0.1; done; exit 3`);
      await until(() => strays(token).length === STRAYS, { what: "all run" });
      writeFileSync(path.join(folder, "go"), "");
      expect(await running.exit).toEqual({ kind: "exit", code: 3, signal: null });
      expect(strays(token)).toEqual([`${UNTOLD}.${token}`]);
    });

    test("gets SIGTERM first: a renderer in a session of its own removes its temporary files", async () => {
      const folder = testFolder("term");
      // The wrapper waits for it, as wrappers do, and ignores the signal itself.
      const inner = `trap "echo tidy > ${folder}/tidy; exit 0" TERM; echo > ${folder}/up; while :; do sleep 0.05; done`;
      const running = start(`trap "" TERM; trap : TERM; setsid sh -c '${inner}' & wait; wait`);
      await until(() => existsSync(path.join(folder, "up")), { what: "it runs" });
      await running.kill();
      expect(existsSync(path.join(folder, "tidy"))).toBe(true);
    });

    test("of another process of the same lease goes on", async () => {
      const cwd = testFolder("process");
      const options = { cwd, env: { PATH: process.env["PATH"] }, onLine: () => {} };
      const token = strayToken();
      const renderer = runProcess({ command: ["/bin/sh", "-c", "exit 0"], ...options });
      const ffmpeg = runProcess({ command: ["sleep", `3600.${token}`], ...options });
      await renderer.exit;
      expect(strays(token)).toHaveLength(1);
      await ffmpeg.kill(0);
      expect(strays(token)).toEqual([]);
    });
  });
});
