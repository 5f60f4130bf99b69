/**
 * The agent as a service. Under systemd it really runs; the files for launchd and Task Scheduler are checked by
 * parsers, because neither runs here.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { plistText } from "../../src/cli/service/launchd.ts";
import { serviceId, type ServiceSpec } from "../../src/cli/service/spec.ts";
import { systemdFiles } from "../../src/cli/service/systemd.ts";
import { taskText } from "../../src/cli/service/task-scheduler.ts";
import { workersSchema } from "../../src/protocol/worker.ts";
import { cleanEnvironment, startChild } from "../support/child.ts";
import { endFarm, startManager, submit, tablao, taskOf, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { testWith } from "../support/programs.ts";
import { startUserManager } from "../support/user-manager.ts";
import { until } from "../support/wait.ts";

/** Characters that mean something to systemd, XML, or a shell. */
const AWKWARD = `it's 100% "q" $HOME \${HOME} %h \\x & <b> ä`;

let manager: Manager;
beforeAll(async () => void (manager = await startManager()));
afterAll(endFarm);

const spec = (over: Partial<ServiceSpec> = {}): ServiceSpec => ({
  id: "tablao-worker",
  scope: "user",
  account: { name: "ana", uid: 501, gid: 20, home: "/home/ana" },
  command: ["/bin/true"],
  args: ["worker", "--manager", "https://farm.example", "--name", AWKWARD, "--tags", "a,b"],
  environment: { PATH: "/usr/bin:/bin", OCIO: `/x/${AWKWARD}` },
  ...over,
});

testWith("systemd-analyze").each(["user", "system"] as const)(
  "systemd-analyze finds nothing wrong with the %s unit",
  (scope) => {
    const folder = testFolder("unit");
    const files = systemdFiles(spec({ scope, account: { name: "root", home: folder } }), true);
    const file = path.join(folder, "tablao-worker.service");
    writeFileSync(file, files.at(-1)!.text);
    const args = [...(scope === "user" ? ["--user"] : []), "verify", "--man=no", file];
    const env = cleanEnvironment({ HOME: folder, XDG_RUNTIME_DIR: folder, SYSTEMD_LOG_LEVEL: "warning" });
    const ran = startChild("systemd-analyze", args, { env });
    return ran.ended.then(({ code }) =>
      expect({ code, said: ran.stderr() + ran.stdout() }).toEqual({ code: 0, said: "" }),
    );
  },
);

testWith("python3")("the job of launchd is a property list with the same words", () => {
  const read = "import plistlib, json, sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)";
  const parse = (each: ServiceSpec): Record<string, unknown> =>
    JSON.parse(execFileSync("python3", ["-c", read], { input: plistText(each), encoding: "utf8" }));
  const job = parse(spec());
  expect(job).toEqual({
    Label: "tablao.tablao-worker",
    ProgramArguments: [...spec().command, ...spec().args],
    EnvironmentVariables: spec().environment,
    WorkingDirectory: "/home/ana",
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 15,
    ExitTimeOut: 30,
    ProcessType: "Interactive",
    StandardOutPath: "/home/ana/Library/Logs/tablao-worker.log.errors",
    StandardErrorPath: "/home/ana/Library/Logs/tablao-worker.log.errors",
  });
  expect(parse(spec({ scope: "system" }))).toEqual({ ...job, UserName: "ana" });
});

/**
 * What Microsoft's schema says of the elements that are used: the children that each may have, in order where the
 * type is a sequence, and the values (https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema).
 */
const CHILDREN: Record<string, string[]> = {
  Task: ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"],
  RegistrationInfo: ["Description"],
  Triggers: ["BootTrigger", "LogonTrigger"],
  BootTrigger: ["Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit", "Delay"],
  LogonTrigger: ["Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit", "UserId", "Delay"],
  Repetition: ["Interval", "Duration", "StopAtDurationEnd"],
  Principals: ["Principal"],
  Principal: ["UserId", "LogonType", "RunLevel"],
  Settings: [
    "MultipleInstancesPolicy",
    "DisallowStartIfOnBatteries",
    "StopIfGoingOnBatteries",
    "StartWhenAvailable",
    "RestartOnFailure",
    "ExecutionTimeLimit",
    "Priority",
  ],
  RestartOnFailure: ["Interval", "Count"],
  Actions: ["Exec"],
  Exec: ["Command", "Arguments", "WorkingDirectory"],
};
const DURATION = /^PT\d+[MS]$/;
const BOOLEAN = /^(true|false)$/;
const VALUES: Record<string, RegExp> = {
  Enabled: BOOLEAN,
  StopAtDurationEnd: BOOLEAN,
  DisallowStartIfOnBatteries: BOOLEAN,
  StopIfGoingOnBatteries: BOOLEAN,
  StartWhenAvailable: BOOLEAN,
  Interval: DURATION,
  ExecutionTimeLimit: DURATION,
  Count: /^([1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$/,
  Priority: /^([0-9]|10)$/,
  LogonType: /^(S4U|InteractiveToken|Password)$/,
  RunLevel: /^(LeastPrivilege|HighestAvailable)$/,
  MultipleInstancesPolicy: /^(Parallel|Queue|IgnoreNew|StopExisting)$/,
};

interface Element {
  tag: string;
  text: string;
  children: Element[];
}

testWith("python3").each(["user", "system"] as const)(
  "the %s task of Task Scheduler has the elements, order and values of its schema",
  (scope) => {
    const each = spec({
      scope,
      account: { name: "STUDIO\\ana & co", home: "C:\\Users\\ana" },
      command: ["C:\\Users\\ana\\AppData\\Local\\Tablao\\bin\\tablao.cmd"],
      args: ["worker", "--work-dir", "D:\\work dir\\", "--tags", "a,b"],
    });
    const read = `import json, sys
import xml.etree.ElementTree as tree
def node(e): return {"tag": e.tag, "text": (e.text or "").strip(), "children": [node(c) for c in e]}
json.dump(node(tree.parse(sys.stdin.buffer).getroot()), sys.stdout)`;
    const input = Buffer.from(taskText(each), "utf16le");
    const root = JSON.parse(execFileSync("python3", ["-c", read], { input, encoding: "utf8" })) as Element;
    const name = ({ tag }: Element): string =>
      tag.replace("{http://schemas.microsoft.com/windows/2004/02/mit/task}", "");
    const texts: Record<string, string> = {};
    const check = (element: Element): void => {
      const allowed = CHILDREN[name(element)];
      const names = element.children.map(name);
      expect(names, name(element)).toEqual((allowed ?? []).filter((child) => names.includes(child)));
      if (allowed === undefined) expect(element.text, name(element)).toMatch(VALUES[name(element)] ?? /./);
      texts[name(element)] = element.text;
      element.children.forEach(check);
    };
    check(root);
    expect(texts).toMatchObject({
      UserId: "STUDIO\\ana & co",
      LogonType: scope === "system" ? "S4U" : "InteractiveToken",
      Command: "C:\\Users\\ana\\AppData\\Local\\Tablao\\bin\\tablao.cmd",
      Arguments: 'worker --work-dir "D:\\work dir\\\\" --tags "a,b"',
    });
  },
);

testWith(
  "systemctl",
  "unshare",
  "curl",
)(
  "P5: the join line makes a service of systemd that runs, comes back after kill -9, gives its frames back, and is removed",
  async () => {
    const folder = testFolder("service");
    const home = path.join(folder, "ho me");
    mkdirSync(home);
    const systemd = await startUserManager(folder, home);
    try {
      const token = (await tablao(manager, "token", "create", "--role", "join")).stdout.trim();
      const env = cleanEnvironment({
        ...systemd.env,
        PATH: `${path.dirname(process.execPath)}:${process.env["PATH"]}`,
      });
      delete env["XDG_CONFIG_HOME"];
      const run = async (program: string, ...args: string[]) => {
        const [enter, ...entering] = systemd.enter;
        const child = startChild(enter, [...entering, program, ...args], { env });
        const { code } = await child.ended;
        return { code, out: child.stdout(), said: child.stdout() + child.stderr() };
      };
      const program = path.join(home, ".tablao/bin/tablao");
      const id = serviceId(AWKWARD);
      const unit = `${id}.service`;
      const property = async (name: string): Promise<string> =>
        (await run("systemctl", "--user", "show", unit, "--value", `--property=${name}`)).out.trim();
      const workerIs = async (connection: "online" | "offline"): Promise<void> => {
        const probe = async (): Promise<boolean> =>
          Object.values(await manager.client.call(workersSchema, "GET", "/workers")).some(
            (worker) => worker.name === AWKWARD && worker.connection === connection,
          );
        await until(probe, { what: `the worker is ${connection}` });
      };
      const files = (): string[] =>
        readdirSync(home, { recursive: true, withFileTypes: true })
          .filter((entry) => !entry.isDirectory() && !/\.tablao|\.cache/.test(entry.parentPath))
          .map((entry) => path.join(path.relative(home, entry.parentPath), entry.name))
          .toSorted();

      // One line: it installs the program, registers, and starts the service.
      const script = await (await fetch(`${manager.url}/join.sh`)).text();
      const joined = startChild(
        systemd.enter[0],
        [...systemd.enter.slice(1), "sh", "-s", "--", "--name", AWKWARD, "--tags", "gpu,big"],
        {
          input: script,
          env: { ...env, TABLAO_JOIN: token, TABLAO_SERVICE: "1" },
        },
      );
      expect(await joined.ended, joined.stderr()).toMatchObject({ code: 0 });
      expect(joined.stderr()).toContain(`wrote ${home}/.config/systemd/user/${unit}`);
      expect(joined.stderr()).toContain(`ran systemctl --user enable ${unit}`);
      expect(joined.stdout()).toMatch(
        /^service \S+: running \(process \d+\); it starts when \S+ signs in, .*log: journalctl/,
      );
      await workerIs("online");
      const status = await run(program, "worker", "status", "--name", AWKWARD, "--json");
      const pid = Number(await property("MainPID"));
      expect(JSON.parse(status.out)).toMatchObject({ services: [{ service: id, running: true, enabled: true, pid }] });
      expect(files()).toEqual([
        `.config/systemd/user/default.target.wants/${unit}`,
        `.config/systemd/user/${unit}`,
        `.config/tablao/services/${id}.env`,
      ]);

      // P9: the token is nowhere.
      const found = startChild("grep", ["-rlF", token, home, "/proc/self/environ"], { env: {} });
      expect(await found.ended, found.stdout()).toMatchObject({ code: 1 });
      expect((await run("systemctl", "--user", "show", unit)).out).not.toContain(token);

      // Again: nothing changes.
      const again = await run(
        program,
        "worker",
        "install",
        "--manager",
        manager.url,
        "--name",
        AWKWARD,
        "--tags",
        "gpu,big",
      );
      expect(again).toMatchObject({ code: 0 });
      expect(again.said).toContain("is installed with these options, and runs");
      expect(Number(await property("MainPID"))).toBe(pid);

      // kill -9: it comes back. Sooner than usual, for the test.
      const dropIn = path.join(home, `.config/systemd/user/${unit}.d`);
      mkdirSync(dropIn);
      writeFileSync(path.join(dropIn, "test.conf"), "[Service]\nRestartSec=100ms\n");
      await run("systemctl", "--user", "daemon-reload");
      process.kill(pid, "SIGKILL");
      await until(async () => (await property("NRestarts")) === "1", { what: "it is started again" });
      execFileSync("rm", ["-r", dropIn]);
      const task = await submit(
        manager,
        "--type",
        "sleep_simple",
        "--settings",
        '{"seconds":600}',
        "--frames",
        "1-2",
        "--tags",
        "gpu",
      );
      const leased = async (): Promise<number> => (await taskOf(manager, task)).frames.leased;
      await until(async () => (await leased()) > 0, { what: "it renders" });

      // Uninstalled: the frames are given back before the command has ended, and what was written is gone.
      const removed = await run(program, "worker", "uninstall", "--name", AWKWARD);
      expect(removed.code, removed.said).toBe(0);
      expect(await leased()).toBe(0);
      expect(removed.said).toContain(`removed ${home}/.config/systemd/user/${unit}`);
      expect(files()).toEqual([]);
      expect(await property("LoadState")).toBe("not-found");
      await workerIs("offline");
      expect(await run(program, "worker", "status", "--name", AWKWARD)).toMatchObject({ code: 3 });
      expect(await run(program, "worker", "uninstall", "--name", AWKWARD)).toMatchObject({ code: 3 });

      // Its identity is kept: no token is needed.
      const back = await run(program, "worker", "install", "--manager", manager.url, "--name", AWKWARD);
      expect(back.code, back.said).toBe(0);
      const purged = await run(program, "worker", "uninstall", "--purge", "--name", AWKWARD);
      expect(purged.code, purged.said).toBe(0);
      const left = readdirSync(path.join(home, ".tablao/workers"));
      expect(left.filter((name) => name.endsWith(".json"))).toEqual([]);
      const without = await run(program, "worker", "install", "--manager", manager.url, "--name", AWKWARD);
      expect(without).toMatchObject({ code: 1 });
      expect(without.said).toContain("this worker is not registered yet");
      expect(files()).toEqual([]);
    } finally {
      await systemd.end();
    }
  },
);

test("without a user manager of systemd, nothing is written, and it says what to do", async () => {
  const home = testFolder("home");
  const env = { HOME: home, XDG_RUNTIME_DIR: path.join(home, "none"), TABLAO_JOIN: "tablao_join_00000000000000000000" };
  const ran = await tablao(
    { env: { ...env, DBUS_SESSION_BUS_ADDRESS: "" } },
    "worker",
    "install",
    "--manager",
    manager.url,
  );
  expect(ran).toMatchObject({ code: 1 });
  expect(ran.stderr).toMatch(/^tablao: (systemd's user manager does not answer|systemctl is not here)/);
  expect(existsSync(path.join(home, ".config/systemd"))).toBe(false);
  expect(readdirSync(home)).toEqual([]);
});
