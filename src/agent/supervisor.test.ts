import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { testFolder } from "../../test/support/folders.ts";
import { STRAYS, strays, straysScript, strayToken } from "../../test/support/strays.ts";
import { until } from "../../test/support/wait.ts";
import { readProcessStat } from "../client/process-stat.ts";

const SHELLS = ["/bin/sh", "/bin/bash", "/bin/dash"].filter((shell) => existsSync(shell));

/** Programs of the test itself, which no supervisor may touch. */
function bystander(token: string, cwd: string): ChildProcess {
  const child = spawn("sleep", [`3605.${token}`], { cwd, stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/**
 * A process that supervises as the agent does, and runs the script as the agent runs a renderer. It
 * prints the supervisor's id, again when that has changed.
 */
async function agent(script: string, { folder = testFolder("lease"), shell = "/bin/sh", after = "" } = {}) {
  const at = (name: string): string => JSON.stringify(path.join(import.meta.dirname, name));
  const program = `
    import { supervisor } from ${at("supervisor.ts")};
    import { runProcess } from ${at("process.ts")};
    supervisor.start((text) => console.log("problem " + text), process.platform, ${JSON.stringify(shell)});
    const running = runProcess({
      command: ["/bin/sh", "-c", ${JSON.stringify(script)}],
      cwd: ${JSON.stringify(folder)},
      env: { PATH: process.env.PATH },
      onLine: (line) => console.log("line " + line),
    });
    let pid;
    setInterval(() => {
      if (supervisor.pid !== pid) console.log("supervisor " + (pid = supervisor.pid));
    }, 10);
    ${after}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const supervisorPid = (nth = 0): number | undefined => {
    const pids = [...said.matchAll(/^supervisor (\d+)$/gm)].map(([, pid]) => Number(pid));
    return pids[nth];
  };
  return { child, said: () => said, supervisorPid, kill: () => child.kill("SIGKILL") };
}

const isGone = (pid: number): boolean => readProcessStat(pid)?.ended !== false;

describe.skipIf(process.platform !== "linux")("when the agent is killed", () => {
  test.each(SHELLS)(
    "P2: no process of its lease is left, whatever it left behind to hide; those of others are (%s)",
    async (shell) => {
      const token = strayToken();
      const folder = testFolder("lease");
      const mine = bystander(token, path.dirname(folder));
      const { kill, supervisorPid } = await agent(`${straysScript(token)} echo up; wait`, { folder, shell });
      await until(() => strays(token).length === STRAYS + 1, { what: "all run" });
      const pid = await until(() => supervisorPid(), { what: "the supervisor runs" });
      kill();
      await until(() => strays(token).length === 1, { what: "all are gone" });
      expect(strays(token)).toEqual([`3605.${token}`]);
      await until(() => isGone(pid), { what: "the supervisor is gone" });
      expect(mine.exitCode).toBeNull();
    },
  );

  test("a supervisor that was killed is replaced, and the new one knows what runs", async () => {
    const token = strayToken();
    const { kill, said, supervisorPid } = await agent(`${straysScript(token)} wait`);
    const first = await until(() => supervisorPid(), { what: "the supervisor runs" });
    await until(() => strays(token).length === STRAYS, { what: "all run" });
    process.kill(first, "SIGKILL");
    await until(() => /^supervisor \d+$/m.test(said().split("supervisor undefined\n")[1] ?? ""), {
      what: "another one runs",
    });
    expect(said()).toContain("problem the supervisor of this agent's renderers ended (SIGKILL)");
    kill();
    await until(() => strays(token).length === 0, { what: "all are gone" });
  });

  test("it has forgotten what has ended, and takes the signals of a terminal for its agent's", async () => {
    const token = strayToken();
    const { child, said, supervisorPid } = await agent("exit 0", { after: `await running.exit; console.log("over");` });
    await until(() => said().includes("over"), { what: "the process is over" });
    const pid = await until(() => supervisorPid(), { what: "the supervisor runs" });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(pid, signal);
    // It goes on: else the agent would say so, and start another one.
    const other = bystander(token, testFolder("other"));
    expect(isGone(pid)).toBe(false);
    child.kill("SIGKILL");
    await once(child, "exit");
    await until(() => isGone(pid), { what: "the supervisor is gone" });
    expect(other.exitCode).toBeNull();
    expect(said()).not.toContain("problem");
  });
});
