/**
 * One run: a manager of its own, four agents, a faulty network, and the events of the seed. Then
 * faults end, the farm gets time to finish, the manager is killed once more, and the audit reads
 * what is stored.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { taskListSchema, taskSchema, type Task } from "../../src/protocol/task.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { SimulatedAgent } from "./agent.ts";
import { audit, storedTask, watchProblems, type Facts, type StoredTask } from "./audit.ts";
import { Rng } from "./rng.ts";
import { HttpPort } from "./http-port.ts";
import { Journal } from "./event-journal.ts";
import { NO_FAULTS, type ManagerFaults } from "./manager-faults.ts";
import { Manager } from "./manager.ts";
import { FaultyNetwork } from "./proxy.ts";
import { mayTakeFinished, scenarioOf, type Event, type Scenario } from "./scenario.ts";

/**
 * From the end of all faults: a lease, the waits of agents and deferred work, and a slow machine.
 */
const FINISH_WITHIN_MS = 90_000;
/** Beyond the longest wait there is: a lease, and the time after it in which orphans are swept. */
const JUMP_MS = 200_000;

export interface RunResult {
  seed: string;
  problems: string[];
  counts: Record<string, number>;
  ms: number;
  /** The folder of its state and its manager's log. */
  folder: string;
}

type Rows = Parameters<typeof storedTask>[1];

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Carry out one run. Never rejects: every failure is among the problems. */
export async function run(seed: string, bundle: string, parent: string): Promise<RunResult> {
  const beganMs = performance.now();
  const folder = path.join(parent, `run-${seed}`);
  mkdirSync(folder, { recursive: true });
  const one = new Run(new Rng(seed), new Manager(bundle, folder));
  let problems: string[];
  try {
    problems = await one.run();
  } catch (error) {
    problems = [...one.journal.surprises, `the run broke off: ${error instanceof Error ? error.stack : String(error)}`];
  } finally {
    await one.end();
  }
  return { seed, problems, counts: Object.fromEntries(one.journal.counts), ms: performance.now() - beganMs, folder };
}

class Run {
  readonly journal = new Journal();
  readonly #rng: Rng;
  readonly #manager: Manager;
  readonly #scenario: Scenario;
  readonly #network: FaultyNetwork;
  readonly #agents: SimulatedAgent[] = [];
  readonly #ports: HttpPort[] = [];
  readonly #deleted = new Set<number>();
  #faults: ManagerFaults = NO_FAULTS;
  #restarting: Promise<void> = Promise.resolve();
  #over = false;

  constructor(rng: Rng, manager: Manager) {
    this.#rng = rng;
    this.#manager = manager;
    this.#scenario = scenarioOf(rng);
    const count = (what: string): void => this.journal.count(what);
    this.#network = new FaultyNetwork(rng.fork("network"), () => manager.port, count);
  }

  async run(): Promise<string[]> {
    await this.#manager.start();
    await this.#manager.applySchema();
    await this.#network.start();
    for (const [i] of this.#scenario.agents.entries()) await this.#join(i);
    for (const { submit } of this.#scenario.tasks) {
      const { status, body } = await this.#manager.admin("POST", "/tasks", submit);
      if (status !== 202) throw new Error(`POST /tasks: ${status} ${JSON.stringify(body)}`);
    }
    const watching = this.#watch();
    await this.#chaos();
    await this.#finish();
    this.#over = true;
    await watching;
    await this.#settle();
    return audit(await this.#facts());
  }

  /** End all processes that still run. */
  async end(): Promise<void> {
    this.#over = true;
    for (const agent of this.#agents) agent.kill();
    for (const port of this.#ports) port.close();
    this.#network.stop();
    await this.#restarting.catch(() => undefined);
    await this.#manager.kill();
  }

  async #join(i: number): Promise<void> {
    const register = { hostname: `host-${i}`, system: "Linux", platform: "linux", programs: { "tablao-tool": "1" } };
    const { status, body } = await this.#manager.admin("POST", "/workers", register);
    const worker = status === 201 ? Object.values(workerRegisteredSchema.parse(body))[0] : undefined;
    if (!worker?.secret) throw new Error(`POST /workers: ${status} ${JSON.stringify(body)}`);
    const { journal } = this;
    const port = new HttpPort({ url: this.#network.url, worker: worker.id, secret: worker.secret, journal });
    const agent = new SimulatedAgent({
      worker: worker.id,
      rng: this.#rng.fork(`agent/${i}/life`),
      port,
      journal,
      habits: this.#scenario.agents[i]!,
      sleep,
      now: () => performance.now(),
    });
    this.#ports.push(port);
    this.#agents.push(agent);
    port.listen((push) => {
      if (push.type === "cancel") agent.cancel(push.lease_ids);
      else if (push.type === "work") agent.wake();
    });
    agent.start();
  }

  async #chaos(): Promise<void> {
    const { events, networkRate, forMs } = this.#scenario;
    const beganMs = performance.now();
    this.#network.rate = networkRate;
    const people: Promise<void>[] = [];
    for (const event of events) {
      await sleep(Math.max(0, event.atMs - (performance.now() - beganMs)));
      this.journal.count(event.kind);
      people.push(
        this.#happen(event).catch((error: unknown) => this.journal.surprise(`${event.kind}: ${String(error)}`)),
      );
    }
    await sleep(Math.max(0, forMs - (performance.now() - beganMs)));
    await Promise.all(people);
    this.#network.rate = 0;
    this.#faults = NO_FAULTS;
    await this.#applyFaults();
  }

  async #happen(event: Event): Promise<void> {
    switch (event.kind) {
      case "kill manager":
        this.#restarting = this.#restarting.then(async () => {
          await this.#manager.kill();
          await sleep(this.#rng.int(0, 800));
          await this.#manager.start();
          await this.#applyFaults();
        });
        return await this.#restarting;
      case "abort":
        return await this.#control(`abort/${event.what}`, {});
      case "clock":
        await this.#restarting;
        return await this.#manager.setClock(this.#manager.offsetMs + event.byMs).catch(() => undefined);
      case "service":
        this.#faults = { ...this.#faults, [event.service]: { rate: event.rate, how: event.how, slowMs: 1_000 } };
        await this.#applyFaults();
        await sleep(event.forMs);
        this.#faults = { ...this.#faults, [event.service]: null };
        return await this.#applyFaults();
      case "kill agent": {
        const agent = this.#agents[event.agent]!;
        agent.kill();
        await agent.running;
        await sleep(event.forMs);
        return agent.start();
      }
      case "freeze agent":
        return this.#agents[event.agent]!.freeze(event.forMs);
      case "patch": {
        const seen = mayTakeFinished(event.body) ? await this.#task(event.task).catch(() => undefined) : undefined;
        const patch = { ...event.body, ...(seen && { files_version: seen.files_version }) };
        const { status, body } = await this.#manager.admin("PATCH", `/tasks/${event.task}`, patch);
        if (status !== 204 && status !== 409)
          this.journal.surprise(`PATCH ${JSON.stringify(event.body)} was answered ${status} ${JSON.stringify(body)}`);
        return;
      }
      case "delete": {
        this.#deleted.add(event.task);
        const { status } = await this.#manager.admin("DELETE", `/tasks/${event.task}`);
        if (status !== 202 && status !== 404) this.journal.surprise(`DELETE was answered ${status}`);
      }
    }
  }

  async #applyFaults(): Promise<void> {
    await this.#control("faults", { faults: this.#faults, seed: String(this.#rng.next()) });
  }

  /**
   * Set a switch. Nothing is sent while the manager is away; a restarted one gets the settings
   * again.
   */
  async #control(what: string, body: object): Promise<void> {
    await this.#manager.control(what, body).catch(() => undefined);
  }

  /** Check the tasks all the time: promises about the present must hold at every moment. */
  async #watch(): Promise<void> {
    while (!this.#over) {
      for (const [i] of this.#scenario.tasks.entries()) {
        const rows = (await this.#manager.control(`rows/${i + 1}`).catch(() => undefined)) as Rows | undefined;
        if (!rows?.["record"]?.[0]) continue;
        for (const problem of watchProblems(storedTask(i + 1, rows))) this.journal.surprise(problem);
      }
      await sleep(250);
    }
  }

  async #task(id: number): Promise<Task | undefined> {
    const headers = { authorization: `Bearer ${this.#manager.token}` };
    const signal = AbortSignal.timeout(3_000);
    const response = await fetch(`${this.#manager.url}/tasks/${id}`, { headers, signal });
    return response.status === 200 ? taskSchema.parse(await response.json()) : undefined;
  }

  /** No more faults: stopped processes go on, until everything is rendered. */
  async #finish(): Promise<void> {
    await this.#restarting;
    await this.#applyFaults();
    const limitMs = performance.now() + FINISH_WITHIN_MS;
    const open = new Set(this.#scenario.tasks.map((_, i) => i + 1).filter((id) => !this.#deleted.has(id)));
    while (open.size > 0 || this.#network.inFlight > 0) {
      for (const id of open) {
        const task = await this.#task(id).catch(() => undefined);
        if (task?.status === "completed" && this.#network.inFlight === 0) open.delete(id);
        else if (task?.status === "paused") await this.#manager.admin("PATCH", `/tasks/${id}`, { status: "resume" });
        else if (task?.status === "canceled" || task?.status === "failed")
          await this.#manager.admin("PATCH", `/tasks/${id}`, { status: "requeue" });
      }
      if (performance.now() > limitMs) return;
      await sleep(100);
    }
  }

  /** Stop the agents, kill the manager, and let it do its deferred work from what is stored. */
  async #settle(): Promise<void> {
    for (const agent of this.#agents) agent.stop();
    await Promise.race([Promise.all(this.#agents.map((agent) => agent.running)), sleep(10_000)]);
    for (const agent of this.#agents) agent.kill();
    await this.#manager.kill();
    this.#manager.offsetMs += JUMP_MS;
    await this.#manager.start();
    for (let round = 0; round < 3; round++) {
      for (const [i] of this.#scenario.tasks.entries()) await this.#manager.control(`alarm/${i + 1}`, {});
      await this.#manager.setClock(this.#manager.offsetMs + 60_000);
    }
    // Parts that came after their file was joined belong to no file: the daily sweep deletes them
    // after a week.
    await this.#manager.control("daily", { at_ms: Date.now() + 8 * 86_400_000 });
  }

  async #facts(): Promise<Facts> {
    const manager = this.#manager;
    const tasks: StoredTask[] = [];
    const deleted: Facts["deleted"] = [];
    for (const [i] of this.#scenario.tasks.entries()) {
      const id = i + 1;
      const rows = (await manager.control(`rows/${id}`)) as Rows;
      if (this.#deleted.has(id)) deleted.push({ id, rows: Object.values(rows).flat().length });
      else tasks.push(storedTask(id, rows));
    }
    const listed = taskListSchema.parse((await manager.admin("GET", "/tasks?limit=100")).body).tasks;
    const objects = (await manager.control("objects")) as Facts["objects"];
    const history = (await manager.control("history")) as Facts["history"];
    const totals = (await manager.control("totals")) as Facts["totals"];
    this.journal.count(
      "frames",
      tasks.reduce((sum, task) => sum + task.ledger.counts.done, 0),
    );
    this.journal.count(
      "events",
      history.reduce((sum, row) => sum + (JSON.parse(row.events) as unknown[]).length, 0),
    );
    return { tasks, deleted, objects, history, totals, listed, journal: this.journal };
  }
}
