/**
 * A real farm for tests: `npm start`'s manager on a free port with a state folder of its own,
 * agents, and the command line.
 *
 *     const manager = await startManager();
 *     const agent = await startAgent(manager, { name: "a" });
 *     const { code, stdout } = await tablao(manager, "submit", "--type", "print_string", …);
 *     afterAll(endFarm);
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { ManagerClient } from "../../src/client/manager-client.ts";
import { groupEnded } from "../../src/client/process-group.ts";
import { tokenCreatedSchema } from "../../src/protocol/token.ts";
import { taskSchema, type Task, type TaskStatus } from "../../src/protocol/task.ts";
import { workersSchema } from "../../src/protocol/worker.ts";
import { cleanEnvironment, endAllChildren, startChild, type Child } from "./child.ts";
import { temporaryFolder } from "./folders.ts";
import { HANG_MS, until } from "./wait.ts";

/** The checkout under test. */
export const CHECKOUT = path.resolve(import.meta.dirname, "../..");
const START = path.join(CHECKOUT, "src/launcher/start.ts");
const TABLAO = path.join(CHECKOUT, "src/cli/tablao.js");

const folders: { remove(): void }[] = [];

function keptFolder(name: string): string {
  const folder = temporaryFolder(name);
  folders.push(folder);
  return folder.path;
}

/** End all processes and remove all folders. For `afterAll`. */
export async function endFarm(): Promise<void> {
  await endAllChildren();
  for (const folder of folders.splice(0)) folder.remove();
}

export interface Manager {
  url: string;
  port: number;
  /** The admin token. */
  token: string;
  state: string;
  /** The launcher. */
  child: Child;
  /** Calls as admin. */
  client: ManagerClient;
  /** Stop it as Ctrl-C would; its state stays. */
  stop(): Promise<void>;
  /** `kill -9` of the launcher, which also ends everything that it started. */
  kill(): Promise<void>;
  /** Start it again with the same state, port and token. Only after `stop` or `kill`. */
  restart(): Promise<void>;
}

export interface ManagerOptions {
  /** By default a new folder. */
  state?: string;
  /** By default a free port, kept over restarts. */
  port?: number;
  token?: string;
  env?: NodeJS.ProcessEnv;
}

/** The process group of all processes under the launcher. */
export function groupOf(state: string): number {
  return Number(readFileSync(path.join(state, "group.json"), "utf8"));
}

/** Wait until no process of the group runs any more. */
export async function untilGone(group: number): Promise<void> {
  if (!(await groupEnded(group, HANG_MS))) throw new Error("processes of the manager are left");
}

/** Start a manager and wait until it serves. */
export async function startManager(options: ManagerOptions = {}): Promise<Manager> {
  const state = options.state ?? path.join(keptFolder("manager"), "state");
  const token = options.token ?? `test-${randomBytes(16).toString("hex")}`;
  const launch = async (port: number): Promise<{ child: Child; url: string }> => {
    const env = cleanEnvironment({
      // As npm starts it: then it stops by itself when the test's process is gone.
      npm_lifecycle_event: "start",
      PORT: String(port),
      TABLAO_STATE: state,
      TABLAO_ADMIN_TOKEN: token,
      ...options.env,
    });
    const child = startChild(process.execPath, [START], { cwd: CHECKOUT, env });
    const probe = (): string | undefined => {
      const url = /serves at (\S+)/.exec(child.stdout())?.[1];
      if (url === undefined && !child.running()) throw new Error(`npm start ended: ${child.stderr()}`);
      return url;
    };
    return { child, url: await until(probe, { what: "npm start serves" }) };
  };
  const first = await launch(options.port ?? 0);
  const port = Number(new URL(first.url).port);
  // Started with an empty token, the manager has made one.
  const secret = token === "" ? readFileSync(path.join(state, "admin-token"), "utf8").trim() : token;
  const manager: Manager = {
    url: first.url,
    port,
    token: secret,
    state,
    child: first.child,
    client: new ManagerClient({ url: first.url, secret, retryForMs: HANG_MS }),
    stop: async () => {
      await manager.child.end("SIGTERM");
    },
    kill: async () => {
      const group = groupOf(state);
      await manager.child.end("SIGKILL");
      await untilGone(group);
    },
    restart: async () => {
      if (manager.child.running()) throw new Error("stop or kill the manager first");
      manager.child = (await launch(port)).child;
    },
  };
  return manager;
}

export interface Agent {
  name: string;
  id: number;
  child: Child;
  stateDir: string;
  /** Its output so far. */
  said(): string;
  /** SIGTERM: it releases its leases and stops. */
  stop(): Promise<void>;
  /** `kill -9` of the agent, not of its renderers: as the kernel does when memory runs out. */
  kill(): Promise<void>;
}

export interface AgentOptions {
  name?: string;
  /** Further arguments of `tablao worker`. */
  args?: string[];
  env?: NodeJS.ProcessEnv;
  /**
   * By default a new folder. With the folder of an earlier agent of this name, it is the same
   * worker again.
   */
  stateDir?: string;
  /** The file of another program than this checkout's, such as a release's. */
  program?: string;
}

let agents = 0;
/** In the place of an agent's id. */
const ENDED = -1;

/** Start an agent and wait until the manager sees it online. */
export async function startAgent(manager: Pick<Manager, "url" | "client">, options: AgentOptions = {}): Promise<Agent> {
  const name = options.name ?? `agent-${++agents}`;
  const stateDir = options.stateDir ?? keptFolder("agent");
  const { token } = await manager.client.call(tokenCreatedSchema, "POST", "/tokens", { json: { role: "join", name } });
  const args = [
    options.program ?? TABLAO,
    "worker",
    "--manager",
    manager.url,
    "--name",
    name,
    "--state-dir",
    stateDir,
    ...(options.args ?? []),
  ];
  const env = cleanEnvironment({ TABLAO_JOIN: token, HOME: stateDir, ...options.env });
  const child = startChild(process.execPath, args, { env });
  const id = await until(
    async () => {
      // A throw would count as a try that failed, and be waited out.
      if (!child.running()) return ENDED;
      const workers = Object.values(await manager.client.call(workersSchema, "GET", "/workers"));
      return workers.find((worker) => worker.name === name && worker.connection === "online")?.id;
    },
    { what: `agent ${name} is online` },
  );
  if (id === ENDED) throw new Error(`the agent ended: ${child.stdout()}${child.stderr()}`);
  return {
    name,
    id,
    child,
    stateDir,
    said: () => child.stdout() + child.stderr(),
    stop: async () => {
      await child.end("SIGTERM");
    },
    kill: async () => {
      await child.end("SIGKILL");
    },
  };
}

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
  /** stdout as JSON; throws when it is not JSON. */
  json(): unknown;
}

/** The manager that a command uses, and what else it needs. */
export interface CommandOptions {
  manager?: Pick<Manager, "url" | "token">;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string;
  /** The file of another program than this checkout's, such as a release's. */
  program?: string;
}

/**
 * A command that runs while the test does something else. It reads no file of this machine's user.
 */
export function startTablao(options: CommandOptions, ...args: string[]): Child {
  const { manager, cwd, env, input, program = TABLAO } = options;
  const own = manager ? { TABLAO_URL: manager.url, TABLAO_TOKEN: manager.token } : {};
  const home = keptFolder("home");
  const environment = cleanEnvironment({ XDG_CONFIG_HOME: home, HOME: home, ...own, ...env });
  return startChild(process.execPath, [program, ...args], {
    env: environment,
    ...(cwd && { cwd }),
    ...(input !== undefined && { input }),
  });
}

/** Run a command to its end. */
export async function tablao(manager: Manager | CommandOptions, ...args: string[]): Promise<CommandResult> {
  const child = startTablao("client" in manager ? { manager } : manager, ...args);
  const { code } = await child.ended;
  const stdout = child.stdout();
  return { code, stdout, stderr: child.stderr(), json: () => JSON.parse(stdout) };
}

const submitted = z.object({ id: z.int(), status: z.string() });

/** Submit with the command line; returns the task's id. */
export async function submit(manager: Pick<Manager, "url" | "token">, ...args: string[]): Promise<number> {
  return await submitWith({ manager }, ...args);
}

/** The same, with another program or another environment. */
export async function submitWith(options: CommandOptions, ...args: string[]): Promise<number> {
  const result = await tablao(options, "submit", ...args, "--json");
  if (result.code !== 0) throw new Error(`submit ended with ${result.code}: ${result.stderr}`);
  return submitted.parse(result.json()).id;
}

/** The task as the manager has it now. */
export async function taskOf(manager: Pick<Manager, "client">, id: number): Promise<Task> {
  return await manager.client.call(taskSchema, "GET", `/tasks/${id}`);
}

/** Wait until a task has one of these statuses. */
export async function untilStatus(
  manager: Pick<Manager, "client">,
  id: number,
  statuses: TaskStatus[],
  withinMs = HANG_MS,
): Promise<Task> {
  let last: Task | undefined;
  const probe = async (): Promise<Task | undefined> => {
    last = await taskOf(manager, id);
    return statuses.includes(last.status) ? last : undefined;
  };
  try {
    return await until(probe, { withinMs, what: `task ${id} is ${statuses.join(" or ")}`, everyMs: 200 });
  } catch (thrown) {
    const seen = last ? `${last.status}, frames ${JSON.stringify(last.frames)}, error ${last.error}` : "never seen";
    throw new Error(`task ${id} is not ${statuses.join(" or ")} within ${withinMs} ms; it is ${seen}`, {
      cause: thrown,
    });
  }
}
