import { expect, test } from "vitest";
import { accountOf, ownProgram } from "./account.ts";
import type { Host, Ran } from "./host.ts";
import { installService, serviceReport, uninstallService, type InstallOptions } from "./install.ts";
import { carriedEnvironment, MARK, serviceId, type ServiceFile, type ServiceSpec } from "./spec.ts";

const OK: Ran = { code: 0, stdout: "", stderr: "" };
const FAILED: Ran = { code: 1, stdout: "", stderr: "No medium found\n" };
const MISSING: Ran = { code: null, stdout: "", stderr: "" };

/** A machine with files in memory. `answers`: what commands say that begin so; the first that fits counts. */
function machine(platform: NodeJS.Platform, answers: [string, Ran | (() => Ran)][] = []) {
  const files = new Map<string, string>();
  const modes = new Map<string, number>();
  const ran: string[] = [];
  const agents: { command: string; env: NodeJS.ProcessEnv; uid: number | undefined }[] = [];
  const said: string[] = [];
  let agentCode = 0;
  const host: Host = {
    platform,
    run: (command) => {
      const text = command.join(" ");
      ran.push(text);
      const answer = answers.find(([start]) => text.startsWith(start))?.[1] ?? OK;
      return typeof answer === "function" ? answer() : answer;
    },
    runAgent: async (command, env, { uid }) => {
      agents.push({ command: command.join(" "), env, uid });
      return agentCode;
    },
    read: (file) => files.get(file),
    write: ({ path, text, mode }: ServiceFile) => {
      files.set(path, text);
      modes.set(path, mode);
    },
    remove: (file) => void files.delete(file),
    exists: (file) => files.has(file),
    list: (folder) =>
      [...files.keys()].filter((file) => file.startsWith(`${folder}/`)).map((file) => file.slice(folder.length + 1)),
    sleep: async () => undefined,
  };
  const say = (line: string): void => void said.push(line);
  return { host, say, files, modes, ran, agents, said, agentEnds: (code: number) => void (agentCode = code) };
}

const SPEC: ServiceSpec = {
  id: "tablao-worker",
  scope: "user",
  account: { name: "ana", uid: 1000, gid: 1000, home: "/home/ana" },
  command: ["/home/ana/.tablao/bin/tablao"],
  args: ["worker", "--manager", "https://farm.example"],
  environment: { PATH: "/usr/bin", HTTPS_PROXY: "http://ana:secret@proxy" },
};
const UNIT = "/home/ana/.config/systemd/user/tablao-worker.service";
const ENVIRONMENT = "/home/ana/.config/tablao/services/tablao-worker.env";
const RUNS: [string, Ran] = [
  "systemctl --user show tablao-worker.service",
  { ...OK, stdout: "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=42\n" },
];

/** The commands that change something. */
const changes = (ran: readonly string[]): string[] => ran.filter((line) => !/ (show|print|\/Query)\b/.test(line));

test("P9: systemd: the agent registers first with the token, which is in no file and no argument", async () => {
  const { host, say, files, modes, ran, agents, said } = machine("linux");
  await installService({ host, say, spec: SPEC, join: "tablao_join_x" });
  expect(agents.map(({ command, env }) => [command, env["TABLAO_JOIN"], env["HOME"]])).toEqual([
    [
      "/home/ana/.tablao/bin/tablao worker --manager https://farm.example --register-only",
      "tablao_join_x",
      "/home/ana",
    ],
  ]);
  expect(changes(ran)).toEqual([
    "systemctl --user daemon-reload",
    "systemctl --user enable tablao-worker.service",
    "systemctl --user restart tablao-worker.service",
    "loginctl enable-linger ana",
  ]);
  expect([...files.keys()]).toEqual([ENVIRONMENT, UNIT]);
  expect([...files.values()].join("")).not.toContain("tablao_join_x");
  // A proxy's password is readable by its owner only, and not a property of the unit.
  expect(files.get(UNIT)).not.toContain("secret");
  expect(modes.get(ENVIRONMENT)).toBe(0o600);
  expect(said).toEqual([
    `wrote ${ENVIRONMENT}`,
    `wrote ${UNIT}`,
    "ran systemctl --user daemon-reload",
    "ran systemctl --user enable tablao-worker.service",
    "ran systemctl --user restart tablao-worker.service",
  ]);
});

test("systemd: what is installed and runs is not touched; other options restart it; a token registers anew", async () => {
  const { host, say, files, ran, agents, said } = machine("linux", [RUNS]);
  await installService({ host, say, spec: SPEC, join: undefined });
  const text = files.get(UNIT);
  ran.length = agents.length = 0;
  await installService({ host, say, spec: SPEC, join: undefined });
  expect(changes(ran)).toEqual(["loginctl enable-linger ana"]);
  expect([agents, said.at(-1)]).toEqual([[], "tablao-worker is installed with these options, and runs"]);
  await installService({ host, say, spec: { ...SPEC, args: [...SPEC.args, "--slots", "2"] }, join: undefined });
  // Stopped first: two agents cannot be one worker.
  expect(changes(ran).slice(1, 5)).toEqual([
    "systemctl --user stop tablao-worker.service",
    "systemctl --user daemon-reload",
    "systemctl --user enable tablao-worker.service",
    "systemctl --user restart tablao-worker.service",
  ]);
  expect(files.get(UNIT)).not.toBe(text);
  await installService({ host, say, spec: SPEC, join: "tablao_join_y" });
  expect(agents.at(-1)?.env["TABLAO_JOIN"]).toBe("tablao_join_y");
});

test.each<[string, [string, Ran][], RegExp]>([
  ["no systemd", [["systemctl", MISSING]], /^systemctl is not here/],
  ["no user manager", [["systemctl", FAILED]], /^systemd's user manager does not answer: No medium found$/],
])("systemd: with %s, nothing is written and no token is used", async (_, answers, message) => {
  const { host, say, files, agents } = machine("linux", answers);
  await expect(installService({ host, say, spec: SPEC, join: "tablao_join_x" })).rejects.toThrow(message);
  expect([[...files], agents]).toEqual([[], []]);
});

test("an agent that cannot register leaves nothing, and a service that ran before runs again", async () => {
  const fresh = machine("linux");
  fresh.agentEnds(1);
  const install = (options: Pick<InstallOptions, "host" | "say">) =>
    installService({ ...options, spec: SPEC, join: "tablao_join_x" });
  await expect(install(fresh)).rejects.toThrow("the agent could not register, so nothing was installed");
  expect([[...fresh.files], changes(fresh.ran)]).toEqual([[], []]);

  const running = machine("linux", [RUNS]);
  running.agentEnds(1);
  await expect(install(running)).rejects.toThrow("could not register");
  expect(changes(running.ran).at(-1)).toBe("systemctl --user restart tablao-worker.service");
});

test("a unit that systemd refuses is removed again; the one before is put back", async () => {
  const refused: [string, Ran] = [
    "systemctl --user restart",
    { code: 1, stdout: "", stderr: "Unit has a bad setting" },
  ];
  const fresh = machine("linux", [refused]);
  await expect(installService({ ...fresh, spec: SPEC, join: undefined })).rejects.toThrow(
    "'systemctl --user restart tablao-worker.service' failed: Unit has a bad setting",
  );
  expect([...fresh.files]).toEqual([]);
  expect(fresh.said).toContain(`removed ${UNIT}`);

  const before = machine("linux");
  await installService({ ...before, spec: SPEC, join: undefined });
  const after = machine("linux", [refused]);
  for (const [file, text] of before.files) after.files.set(file, text);
  await expect(
    installService({ ...after, spec: { ...SPEC, args: ["worker", "--slots", "2"] }, join: undefined }),
  ).rejects.toThrow("bad setting");
  expect(after.files).toEqual(before.files);
});

test("a file that somebody else wrote is neither written nor removed", async () => {
  const { host, say, files, agents } = machine("linux");
  files.set(UNIT, "[Service]\nExecStart=/bin/true\n");
  const message = `${UNIT} was not written by this command, so it is left alone`;
  await expect(installService({ host, say, spec: SPEC, join: "x" })).rejects.toThrow(message);
  await expect(uninstallService({ host, say, spec: SPEC })).rejects.toThrow(message);
  expect([[...files.keys()], agents]).toEqual([[UNIT], []]);
});

test("lingering that the installation switched on is switched off with the last service, and no other", async () => {
  const lingers = machine("linux", [
    RUNS,
    ["loginctl enable-linger", () => (lingers.files.set("/var/lib/systemd/linger/ana", ""), OK)],
  ]);
  await installService({ ...lingers, spec: SPEC, join: undefined });
  expect(lingers.said).toContain("ran loginctl enable-linger ana");
  expect(serviceReport({ ...lingers, spec: SPEC })?.starts).toBe("it starts with the machine");
  await uninstallService({ ...lingers, spec: SPEC });
  expect(lingers.ran).toContain("systemctl --user disable --now tablao-worker.service");
  expect(lingers.ran).toContain("loginctl disable-linger ana");
  expect([...lingers.files.keys()]).toEqual(["/var/lib/systemd/linger/ana"]);

  const own = machine("linux", [RUNS]);
  own.files.set("/var/lib/systemd/linger/ana", "");
  await installService({ ...own, spec: SPEC, join: undefined });
  await uninstallService({ ...own, spec: SPEC });
  expect(own.ran.filter((line) => line.startsWith("loginctl"))).toEqual([]);
});

test("a service that is not installed cannot be removed, and has no report", async () => {
  const { host, say, ran } = machine("linux");
  await expect(uninstallService({ host, say, spec: SPEC })).rejects.toThrow("tablao-worker is not installed for ana");
  expect(changes(ran)).toEqual([]);
  expect(serviceReport({ host, spec: SPEC })).toBeNull();
});

test("launchd: an old job ends before the new one is taken, and the agent writes its log", async () => {
  let known = 2;
  const { host, say, files, modes, ran } = machine("darwin", [
    [
      "launchctl print gui/1000/tablao.tablao-worker",
      () => (known-- > 0 ? { ...OK, stdout: "\tstate = running\n\tpid = 42\n" } : FAILED),
    ],
  ]);
  await installService({ host, say, spec: SPEC, join: "tablao_join_x" });
  const plist = "/home/ana/Library/LaunchAgents/tablao.tablao-worker.plist";
  expect(changes(ran)).toEqual([
    "launchctl bootout gui/1000/tablao.tablao-worker",
    "launchctl enable gui/1000/tablao.tablao-worker",
    `launchctl bootstrap gui/1000 ${plist}`,
  ]);
  expect([modes.get(plist), files.get(plist)?.includes(MARK)]).toEqual([0o600, true]);
  expect(files.get(plist)).toContain(
    "<string>--log-file</string>\n    <string>/home/ana/Library/Logs/tablao-worker.log</string>",
  );
  await uninstallService({ host, say, spec: SPEC });
  expect([...files]).toEqual([]);
});

test("launchd: without a session of the user, nothing is written", async () => {
  const { host, say, files } = machine("darwin", [["launchctl print gui/1000", FAILED]]);
  await expect(installService({ host, say, spec: SPEC, join: "x" })).rejects.toThrow("launchd has no session gui/1000");
  expect([...files]).toEqual([]);
});

test("Task Scheduler: the task is created from its file, started, and deleted with it", async () => {
  let known = false;
  const query = (): Ran => (known ? { ...OK, stdout: '"\\Tablao\\tablao-worker","N/A","Running"\r\n' } : FAILED);
  const windows = machine("win32", [
    ["schtasks /Query /TN \\Tablao", query],
    ["schtasks /Create", () => ((known = true), OK)],
  ]);
  const spec = { ...SPEC, account: { name: "STUDIO\\ana", home: "C:\\Users\\ana" }, environment: {} };
  const state = await installService({ ...windows, spec, join: "tablao_join_x" });
  const file = "C:\\Users\\ana\\AppData\\Local\\Tablao\\services\\tablao-worker.xml";
  expect(changes(windows.ran)).toEqual([
    `schtasks /Create /TN \\Tablao\\tablao-worker /XML ${file} /F`,
    "schtasks /Run /TN \\Tablao\\tablao-worker",
  ]);
  expect(state).toEqual({ installed: true, enabled: true, running: true, pid: null, text: "Running" });
  await uninstallService({ ...windows, spec });
  expect(changes(windows.ran).slice(2)).toEqual([
    "schtasks /End /TN \\Tablao\\tablao-worker",
    "schtasks /Delete /TN \\Tablao\\tablao-worker /F",
  ]);
  expect([...windows.files]).toEqual([]);
});

test.each(['say "hi"', "50%", "a&b"])(
  "Task Scheduler: an argument with %s is refused before anything is done",
  async (name) => {
    const { host, say, files, ran } = machine("win32");
    const spec = { ...SPEC, args: ["worker", "--name", name] };
    await expect(installService({ host, say, spec, join: "x" })).rejects.toThrow("cannot be an argument of a task");
    expect([[...files], ran]).toEqual([[], []]);
  },
);

test("a line break in an option is refused by name", async () => {
  const { host, say, files } = machine("linux");
  const spec = { ...SPEC, args: ["worker", "--name", "a\nExecStartPre=/bin/evil"] };
  await expect(installService({ host, say, spec, join: "x" })).rejects.toThrow("it has a line break");
  expect([...files]).toEqual([]);
});

test("a system without a known service manager says so", async () => {
  const { host, say } = machine("freebsd");
  await expect(installService({ host, say, spec: SPEC, join: "x" })).rejects.toThrow(
    "no service manager of freebsd is known",
  );
});

const ANA = { name: "ana", uid: 1000, home: "/home/ana", env: {} };
const ROOT = { name: "root", uid: 0, home: "/root", env: {} };
const FOUND: [string, Ran][] = [
  ["id -u", { ...OK, stdout: "1000\n" }],
  ["id -g", { ...OK, stdout: "100\n" }],
  ["getent", { ...OK, stdout: "ana:x:1000:100:Ana:/home/ana:/bin/sh\n" }],
];

test("the account of a service: this one, or the one that called sudo, or the one that is named", () => {
  const { host } = machine("linux", FOUND);
  const ana = { name: "ana", uid: 1000, gid: 100, home: "/home/ana" };
  expect(accountOf(host, ANA, { scope: "user" })).toEqual({ name: "ana", uid: 1000, home: "/home/ana" });
  expect(accountOf(host, { ...ROOT, env: { SUDO_USER: "ana" } }, { scope: "system" })).toEqual(ana);
  expect(accountOf(host, ROOT, { scope: "system", user: "ana" })).toEqual(ana);
  expect(() => accountOf(host, ANA, { scope: "system" })).toThrow("--system needs root");
  expect(() => accountOf(host, ROOT, { scope: "system" })).toThrow("--user NAME");
  expect(() => accountOf(host, ANA, { scope: "user", user: "bea" })).toThrow("give --system, too");
  expect(() => accountOf(machine("linux", [["id", FAILED]]).host, ROOT, { scope: "system", user: "x" })).toThrow(
    "there is no account x",
  );
  const windows = machine("win32", [["net session", FAILED]]).host;
  expect(() => accountOf(windows, { ...ANA, uid: -1 }, { scope: "system" })).toThrow("--system needs an administrator");
  expect(accountOf(windows, { ...ANA, uid: -1, env: { USERDOMAIN: "STUDIO" } }, { scope: "user" }).name).toBe(
    "STUDIO\\ana",
  );
});

test("the program of a service: the wrapper of the join line, a package's file with its Node, never npx's cache", () => {
  const { host, files } = machine("linux");
  const place = { node: "/usr/bin/node", script: "/src/cli/tablao.js" };
  const program = "/home/ana/.tablao/program/tablao-0123456789abcdef.mjs";
  expect(ownProgram(host, { ...place, program: undefined })).toEqual(["/usr/bin/node", "/src/cli/tablao.js"]);
  expect(ownProgram(host, { ...place, program })).toEqual(["/usr/bin/node", program]);
  files.set("/home/ana/.tablao/bin/tablao", "");
  expect(ownProgram(host, { ...place, program })).toEqual(["/home/ana/.tablao/bin/tablao"]);
  expect(() => ownProgram(host, { ...place, program: "/home/ana/.npm/_npx/1/tablao.mjs" })).toThrow("npx");
});

test("what of the environment goes into a service", () => {
  const env = { PATH: "/bin", HTTPS_PROXY: "", TABLAO_JOIN: "x", TABLAO_TOKEN: "x", LICENCE: "7@lic", OTHER: "x" };
  expect(carriedEnvironment(env, ["LICENCE", "UNSET"])).toEqual({ PATH: "/bin", LICENCE: "7@lic" });
});

test("services of different names have different ids, which no service manager reads as more than a name", () => {
  expect([undefined, "node-7", "a b"].map(serviceId)).toEqual([
    "tablao-worker",
    "tablao-worker-node-7",
    expect.stringMatching(/^tablao-worker-a_b-[0-9a-f]{8}$/),
  ]);
  expect(serviceId("../x")).toMatch(/^tablao-worker-\.\._x-[0-9a-f]{8}$/);
});
