/**
 * What a journey has: a manager on an emulated platform. Agents and people reach it through the edge
 * in front of it, the test itself directly.
 */
import { messageOf } from "../../src/lib/errors.ts";
import { isEnded } from "../../src/protocol/constants.ts";
import { fileListSchema, type FileList } from "../../src/protocol/file.ts";
import type { Task } from "../../src/protocol/task.ts";
import { startCountingProxy, type CountingProxy } from "../support/counting-proxy.ts";
import { startAgent, submit, tablao, taskOf, type Agent, type CommandResult, type Manager } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { HANG_MS, until } from "../support/wait.ts";
import { edge, type EdgeStatus } from "./edge.ts";
import type { LimitName } from "./limits/index.ts";
import { startPlatform, type Platform } from "./platform.ts";

/** How a platform behaves during a journey. */
export interface Conditions {
  /** Limits that act from the beginning. */
  limits: readonly LimitName[];
  /** The status of the pages that an edge answers with; without one, nothing stands in front. */
  edge?: EdgeStatus | undefined;
  /** What happens in the middle of the journey. */
  midway?: ((ground: Ground) => Promise<void>) | undefined;
}

/** How much a journey moves. */
export interface Scale {
  /** Size of the large file, in MiB. */
  largeMb: number;
  /** Inputs of the scene with many. */
  inputs: number;
}

export class Ground {
  readonly platform: Platform;
  /** What stands between the manager and everybody else. */
  readonly front: CountingProxy;
  /** For agents and the command line: through the front. Its `client` goes past it. */
  readonly manager: Pick<Manager, "url" | "token" | "client">;
  readonly scale: Scale;
  /** How long the journey waits for a state. */
  readonly withinMs: number;
  readonly #conditions: Conditions;
  readonly #folder = temporaryFolder("journey");
  readonly #agents: Agent[] = [];
  readonly #others: Ground[] = [];

  private constructor(
    platform: Platform,
    front: CountingProxy,
    conditions: Conditions,
    scale: Scale,
    withinMs: number,
  ) {
    this.platform = platform;
    this.front = front;
    this.manager = { url: front.url, token: platform.token, client: platform.client };
    this.scale = scale;
    this.withinMs = withinMs;
    this.#conditions = conditions;
  }

  /** Start a manager under these conditions. */
  static async start(conditions: Conditions, scale: Scale, withinMs = HANG_MS): Promise<Ground> {
    const platform = await startPlatform();
    const foreign = conditions.edge && edge(conditions.edge);
    const front = await startCountingProxy(platform.url, foreign && { foreign });
    await platform.limit(...conditions.limits);
    return new Ground(platform, front, conditions, scale, withinMs);
  }

  /** A folder of the journey, removed at the end. */
  get folder(): string {
    return this.#folder.path;
  }

  /** The middle of the journey: something is under way. */
  async midway(): Promise<void> {
    await this.#conditions.midway?.(this);
  }

  /** A second manager under the same conditions. */
  async another(): Promise<Ground> {
    const { limits, edge } = this.#conditions;
    const other = await Ground.start({ limits, edge }, this.scale, this.withinMs);
    this.#others.push(other);
    return other;
  }

  /** Start a real agent. */
  async agent(name: string, ...args: string[]): Promise<Agent> {
    const agent = await startAgent(this.manager, { name, args });
    this.#agents.push(agent);
    return agent;
  }

  /** Run a command of the command line; throws unless it succeeds. */
  async command(...args: string[]): Promise<CommandResult> {
    const result = await tablao({ manager: this.manager }, ...args);
    if (result.code !== 0) throw new Error(`tablao ${args[0]} ended with ${result.code}: ${result.stderr}`);
    return result;
  }

  /** Submit a task with the command line; returns its id. */
  async submit(...args: string[]): Promise<number> {
    return await submit(this.manager, ...args);
  }

  /** The task as it is now. */
  async task(id: number): Promise<Task> {
    return await taskOf(this.manager, id);
  }

  /** Committed files of a task, in frame order. */
  async files(id: number): Promise<FileList["files"]> {
    return (await this.manager.client.call(fileListSchema, "GET", `/tasks/${id}/files?limit=1000`)).files;
  }

  /**
   * Poll until `probe` answers something other than false. Throws when an agent ends meanwhile, and
   * when `withinMs` are over.
   */
  async until<T>(what: string, probe: () => Promise<T | false>): Promise<T> {
    const seen = await until<{ ended: Agent } | { value: T }>(
      async () => {
        const ended = this.#agents.find(({ child }) => !child.running());
        if (ended) return { ended };
        const value = await probe();
        return value !== false && { value };
      },
      { withinMs: this.withinMs, what, everyMs: 300 },
    );
    if ("ended" in seen) throw new Error(`the agent ${seen.ended.name} ended: ${seen.ended.said().slice(-500)}`);
    return seen.value;
  }

  /**
   * Wait until a task is completed, and call `meanwhile` before each look. Throws when the task ends
   * otherwise.
   */
  async untilCompleted(id: number, meanwhile?: () => Promise<void>): Promise<Task> {
    let last = "never seen";
    const task = await this.until(`task ${id} is completed`, async () => {
      await meanwhile?.();
      const task = await this.task(id);
      last = `${task.status}, frames ${JSON.stringify(task.frames)}, error ${task.error}`;
      return isEnded(task.status) && task;
    }).catch((error: unknown) => {
      throw new Error(`task ${id} is not completed (${last}): ${messageOf(error)}`, { cause: error });
    });
    if (task.status !== "completed") throw new Error(`task ${id} is not completed (${last})`);
    return task;
  }

  /** Answers that a manager never gives, whatever its platform does: 500 is a bug of ours. */
  bugs(): string[] {
    const own = this.front.seen.filter(({ status }) => status === 500).map(({ method, path }) => `${method} ${path}`);
    return [...own, ...this.#others.flatMap((other) => other.bugs())];
  }

  async stop(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.stop()));
    await Promise.all(this.#others.map((other) => other.stop()));
    await this.front.close();
    await this.platform.stop();
    this.#folder.remove();
  }
}
