/** `npm start`: it starts and stops, and leaves no process behind, whichever process is killed. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { groupMembers } from "../../src/client/process-group.ts";
import { tokenListSchema } from "../../src/protocol/token.ts";
import { cleanEnvironment, startChild, type Child } from "../support/child.ts";
import { CHECKOUT, endFarm, groupOf, startManager, submit, taskOf, untilGone, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { portIsFree } from "../support/ports.ts";
import { until } from "../support/wait.ts";

afterAll(endFarm);

const NPM = process.platform === "win32" ? "npm.cmd" : "npm";

async function nothingIsLeft({ state, port }: Pick<Manager, "state" | "port">): Promise<void> {
  await untilGone(groupOf(state));
  expect(await portIsFree(port)).toBe(true);
}

async function startToItsEnd(env: NodeJS.ProcessEnv): Promise<{ code: number | null; stderr: string }> {
  const child = startChild(process.execPath, [path.join(CHECKOUT, "src/launcher/start.ts")], {
    cwd: CHECKOUT,
    env: cleanEnvironment(env),
  });
  const { code } = await child.ended;
  return { code, stderr: child.stderr() };
}

/** How Node prints our errors: one line, no stack. */
const ONE_LINE = /^npm start: [^\n]+\n$/;

test("it serves, keeps its secrets to the owner, and SIGTERM ends every process with exit code 0", async () => {
  const manager = await startManager();
  expect((await fetch(`${manager.url}/healthz`)).status).toBe(200);
  expect((await fetch(`${manager.url}/tasks`)).status).toBe(401);

  const group = groupMembers(groupOf(manager.state));
  expect(group.some(({ command }) => command.includes("workerd"))).toBe(true);
  for (const { command } of group) expect(command).not.toContain(manager.token);
  for (const name of ["admin-token", "signing-key", "join-token", "manager.json"]) {
    expect(statSync(path.join(manager.state, name)).mode & 0o777, name).toBe(0o600);
  }
  expect(manager.child.stdout()).not.toContain(manager.token);
  const shown = manager.child.stdout();
  expect(shown).toMatch(/curl -fsS http:\/\/127\.0\.0\.1:\d+\/join\.sh \| TABLAO_JOIN=tablao_join_\S+ sh\n/);
  expect(shown).toMatch(/works until \d{4}-\d\d-\d\d \d\d:\d\d UTC, for any number of machines/);
  expect(shown).toContain("Only this machine can reach it");
  expect(shown).not.toContain("npx");
  const { tokens } = tokenListSchema.parse(
    await (await fetch(`${manager.url}/tokens`, { headers: { authorization: `Bearer ${manager.token}` } })).json(),
  );
  const [join] = tokens.filter(({ role }) => role === "join");
  expect(join!.expires_ms! - join!.created_ms).toBe(86_400_000);

  expect(await manager.child.end("SIGTERM")).toEqual({ code: 0, signal: null });
  expect(manager.child.stderr()).toBe("");
  await nothingIsLeft(manager);
});

test("P4: kill -9 of the launcher ends all its processes, and the next start on the state has every task", async () => {
  const manager = await startManager();
  const id = await submit(manager, "--type", "print_string", "--settings", '{"text":"hello"}', "--frames", "1-3");
  await manager.kill();
  await nothingIsLeft(manager);
  await manager.restart();
  expect((await taskOf(manager, id)).frames).toMatchObject({ total: 3, pending: 3 });
  // The join token is made once: the second start shows where it is kept, not the token itself.
  expect(manager.child.stdout()).not.toContain("tablao_join_");
  await manager.stop();
});

test("processes that outlived launcher and child are ended by the next start", async () => {
  const manager = await startManager();
  const group = groupOf(manager.state);
  // The leader is stopped first: then no process notices that the launcher dies.
  manager.child.process.kill("SIGSTOP");
  process.kill(group, "SIGKILL");
  manager.child.process.kill("SIGKILL");
  await manager.child.ended;
  expect(groupMembers(group).filter(({ command }) => command.includes("workerd"))).not.toEqual([]);
  await manager.restart();
  expect(groupOf(manager.state)).not.toBe(group);
  expect(groupMembers(group)).toEqual([]);
  await manager.stop();
});

test("a manager that dies under the launcher ends it with a reason", async () => {
  const manager = await startManager();
  process.kill(groupOf(manager.state), "SIGKILL");
  expect(await manager.child.ended).toEqual({ code: 1, signal: null });
  expect(manager.child.stderr()).toMatch(/^npm start: the manager ended unexpectedly.*manager\.log/);
  await nothingIsLeft(manager);
});

test("P4: a workerd that is killed is started again, at the same address and with every task", async () => {
  const manager = await startManager();
  const id = await submit(manager, "--type", "print_string", "--settings", '{"text":"hello"}', "--frames", "1-3");
  const workerd = (): number =>
    groupMembers(groupOf(manager.state)).find(({ command }) => /workerd\S* serve/.test(command))?.pid ?? 0;
  const first = workerd();
  process.kill(first, "SIGKILL");
  await until(() => workerd() !== 0 && workerd() !== first, { what: "another workerd runs" });
  expect((await taskOf(manager, id)).frames).toMatchObject({ total: 3, pending: 3 });
  await manager.stop();
  await nothingIsLeft(manager);
});

test.runIf(process.platform !== "win32")(
  "P9: nothing in the state folder is for others, whatever its mode was",
  async () => {
    const state = testFolder("state");
    chmodSync(state, 0o755);
    const manager = await startManager({ state });
    await submit(manager, "--type", "print_string", "--settings", '{"text":"hello"}', "--frames", "1-3");
    expect(statSync(state).mode & 0o777).toBe(0o700);
    const open = readdirSync(state, { recursive: true, encoding: "utf8" }).filter(
      (name) => ((statSync(path.join(state, name), { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0,
    );
    expect(open).toEqual([]);
    await manager.stop();
  },
);

test("a second manager on the same state, a taken port and a bad PORT are refused in one line", async () => {
  const manager = await startManager();
  const second = await startToItsEnd({ TABLAO_STATE: manager.state, PORT: "0" });
  expect(second.code).toBe(1);
  expect(second.stderr).toMatch(ONE_LINE);
  expect(second.stderr).toContain(`already running at ${manager.url}`);

  const taken = await startToItsEnd({ TABLAO_STATE: testFolder("state"), PORT: String(manager.port) });
  expect(taken.code).toBe(1);
  expect(taken.stderr).toMatch(ONE_LINE);
  expect(taken.stderr).toContain(`port ${manager.port} on 127.0.0.1 is taken`);

  for (const port of ["abc", "65536", "-1", "80.5"]) {
    const bad = await startToItsEnd({ PORT: port });
    expect(bad.code).toBe(2);
    expect(bad.stderr).toMatch(ONE_LINE);
    expect(bad.stderr).toContain(`PORT is '${port}'`);
  }
  const token = await startToItsEnd({ TABLAO_STATE: testFolder("state"), PORT: "0", TABLAO_ADMIN_TOKEN: "two words" });
  expect(token.code).toBe(2);
  expect(token.stderr).toMatch(/TABLAO_ADMIN_TOKEN must be/);

  const health = await fetch(`${manager.url}/healthz`);
  expect(health.status).toBe(200);
  // Commands count ages by it.
  expect(Math.abs(Date.parse(health.headers.get("date") ?? "") - Date.now())).toBeLessThan(600_000);
  await manager.stop();
});

test("without TABLAO_ADMIN_TOKEN it makes a token once, and keeps it", async () => {
  const state = path.join(testFolder("state"), "deep", "state");
  mkdirSync(path.dirname(state));
  const seen: string[] = [];
  for (let run = 0; run < 2; run++) {
    const manager = await startManager({ state, token: "" });
    const token = readFileSync(path.join(state, "admin-token"), "utf8").trim();
    const answer = await fetch(`${manager.url}/tasks`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(200);
    seen.push(token);
    await manager.stop();
  }
  expect(seen[0]).toMatch(/^tablao_admin_[A-Za-z0-9_-]{43}$/);
  expect(seen[1]).toBe(seen[0]);
});

async function npmStart(state: string): Promise<{ npm: Child; port: number }> {
  const npm = startChild(NPM, ["start"], { cwd: CHECKOUT, env: cleanEnvironment({ TABLAO_STATE: state, PORT: "0" }) });
  const url = await until(() => /serves at (\S+)/.exec(npm.stdout())?.[1], {
    what: "npm start serves",
  });
  return { npm, port: Number(new URL(url).port) };
}

test("as `npm start` it stops at SIGTERM to npm, and npm waits for it", async () => {
  const state = testFolder("state");
  const { npm, port } = await npmStart(state);
  await npm.end("SIGTERM");
  expect(groupMembers(groupOf(state))).toEqual([]);
  expect(await portIsFree(port)).toBe(true);
});

test("as `npm start` it notices that npm was killed, and stops", async () => {
  const state = testFolder("state");
  const { npm, port } = await npmStart(state);
  await npm.end("SIGKILL");
  await untilGone(groupOf(state));
  expect(await portIsFree(port)).toBe(true);
});
