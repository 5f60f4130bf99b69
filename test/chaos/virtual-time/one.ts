/**
 * One cheap run: the product's objects, four agents and the scenario of a seed, in one process and
 * in virtual time.
 */
import { WATCH_CRON } from "../../../src/protocol/constants.ts";
import type { HistoryEvent } from "../../../src/protocol/history.ts";
import type { TaskPatch } from "../../../src/protocol/task.ts";
import type { Result } from "../../../src/lib/result.ts";
import type { Refusal } from "../../../src/protocol/problem.ts";
import type { RegistryRpc } from "../../../src/rpc/registry.ts";
import type { TaskRpc } from "../../../src/rpc/task.ts";
import { definitionOf } from "../../support/definition.ts";
import { SimulatedAgent, type Habits } from "../agent.ts";
import { auditBlenders, mixedMinors } from "../blender-audit.ts";
import { audit, storedTask, watchProblems, type Facts, type StoredTask } from "../audit.ts";
import { Rng } from "../rng.ts";
import { Journal } from "../event-journal.ts";
import { HOW, NO_FAULTS } from "../manager-faults.ts";
import { mayTakeFinished, scenarioOf, type Event, type Scenario } from "../scenario.ts";
import type { Machine, Need } from "../blender-rules.ts";
import { blendersOf, canRender, rescuer, type BlenderWorld } from "./blenders.ts";
import { DirectPort, type Network } from "./direct-port.ts";
import { Platform } from "./platform.ts";
import type { Product } from "./product.ts";
import { auditRetention } from "../retention-audit.ts";
import { InputsPhase } from "./inputs.ts";
import { RetentionPhase } from "./retention.ts";
import { enter, World } from "./world.ts";

const ADMIN = { role: "admin", id: 0, name: "admin" } as const;
/**
 * Long enough for several runs of the watchdog: in some runs calls between objects go on failing, its
 * own included.
 */
const FINISH_WITHIN_MS = 60 * 60_000;
/**
 * Orphans are swept a lease and a minute after their lease's end, and a failed sweep is tried
 * again.
 */
const QUIET_MS = 10 * 60_000;
/** How often the platform runs the watchdog's cron trigger. */
const WATCHDOG_MS = 5 * 60_000;
/**
 * P13: what is due is done within six minutes, also after a lost alarm. The rest is for retries of
 * what failed until then.
 */
const STUCK_MS = 6.5 * 60_000;

export interface OneResult {
  problems: string[];
  counts: Map<string, number>;
}

export async function runOne(seed: string, product: Product): Promise<OneResult> {
  const one = new One(seed, product);
  const problems = await one
    .run()
    .catch((error: unknown) => [
      ...one.journal.surprises,
      `the run broke off: ${error instanceof Error ? error.stack : String(error)}`,
    ]);
  one.close();
  return { problems, counts: one.journal.counts };
}

class One {
  readonly journal = new Journal();
  readonly #product: Product;
  readonly #rng: Rng;
  readonly #world = new World();
  readonly #platform: Platform;
  readonly #scenario: Scenario;
  readonly #blenders: BlenderWorld;
  /** What the tasks that Blender renders need, by id. */
  readonly #needs = new Map<number, Need>();
  readonly #network: Network = { rate: 0, inFlight: 0 };
  readonly #agents: SimulatedAgent[] = [];
  readonly #deleted = new Set<number>();
  /** The ids of all tasks. */
  readonly #ids: number[] = [];
  /** In some runs, rules of retention delete tasks. */
  #retention: RetentionPhase | null = null;
  /** In others, inputs are deleted that nothing uses. */
  #inputs: InputsPhase | null = null;
  /** Events that have not ended: a user's request may take its time. */
  #happening = 0;

  constructor(seed: string, product: Product) {
    this.#product = product;
    this.#rng = new Rng(`long/${seed}`);
    enter(this.#world, this.#rng.fork("chance"));
    this.#scenario = scenarioOf(this.#rng.fork("scenario"));
    const { agents, tasks, forMs } = this.#scenario;
    this.#blenders = blendersOf(this.#rng.fork("blenders"), agents.length, tasks.length + 1, forMs);
    const classes = { task: product.TaskDO, registry: product.WorkerRegistry };
    this.#platform = new Platform(this.#world, this.#rng.fork("platform"), classes);
  }

  async run(): Promise<string[]> {
    await this.#during(this.#prepare(), 60_000);
    this.#network.rate = this.#scenario.networkRate;
    const watch = this.#watch();
    this.#platform.loses = 0.04;
    this.#runWatchdog();
    this.#watchOverdue();
    for (const event of [...this.#scenario.events, ...this.#blenders.events])
      this.#world.after(event.atMs, () => {
        this.journal.count(event.kind);
        this.#happening++;
        const happened = this.#happen(event).finally(() => this.#happening--);
        void happened.catch((error: unknown) => this.journal.surprise(`${event.kind}: ${String(error)}`));
      });
    this.#fillDisks(this.#rng.fork("disks"));
    await this.#world.run(() => false, this.#scenario.forMs);
    for (const stored of this.#platform.stored.values()) {
      this.journal.count("refused writes", stored.refusedWrites);
      stored.writesLeft = null;
      stored.alarmsToRefuse = 0;
    }
    // Events that last longer have their own end; the network works from now on.
    this.#network.rate = 0;
    // In some runs calls between objects fail to the very end, so that the last report of a task is
    // lost as well.
    const badly = { rate: 0.8, how: ["refuse", "refuse", "refuse", "lose the answer"] as const, slowMs: 0 };
    const atTheEnd = this.#rng.fork("end").chance(0.35);
    this.#platform.faults = atTheEnd ? { ...NO_FAULTS, task: badly, registry: badly } : NO_FAULTS;
    this.#platform.unpunctual = false;
    this.#platform.loses = 0;
    await this.#finish();
    this.#platform.faults = NO_FAULTS;
    const overstayed = await this.#retain(this.#rng.fork("retention"));
    watch.stop();
    for (const agent of this.#agents) agent.stop();
    await this.#world.run(() => false, 20_000);
    for (const agent of this.#agents) agent.kill();
    await this.#sweepInputs(this.#rng.fork("inputs"));
    this.#platform.reset();
    // From now on nobody calls the objects but the watchdog.
    this.#loseAlarms(this.#rng.fork("lost"));
    this.#platform.loses = 0.1;
    // Deferred work is due now, and D1 and R2 fail or are slow in half of the calls.
    const hard = { rate: 0.5, how: HOW, slowMs: 1_000 };
    this.#platform.faults = { ...NO_FAULTS, d1: hard, r2: hard };
    await this.#world.run(() => false, 100_000);
    this.#platform.faults = NO_FAULTS;
    this.#platform.loses = 0;
    await this.#world.run(() => false, QUIET_MS);
    this.journal.count("lost alarms", this.#platform.lost);
    const facts = await this.#during(this.#facts(), 60_000);
    const { log } = this.#retention ?? {};
    const historyOf = (id: number): HistoryEvent[] =>
      facts.history
        .filter((row) => row.task_id === id)
        .flatMap((row) => JSON.parse(row.events) as HistoryEvent[])
        .toSorted((a, b) => a.seq - b.seq);
    const blenders = auditBlenders(this.#needs, facts.tasks, historyOf, this.journal);
    return [
      ...audit(facts),
      ...blenders,
      ...overstayed,
      ...(log ? auditRetention(log, this.#everSubmitted, historyOf) : []),
    ];
  }

  get #everSubmitted(): number[] {
    return [...new Set([...this.#ids, ...this.#deleted])];
  }

  /** In a third of the runs, days pass. Answers the tasks that a rule should have deleted and did not. */
  async #retain(rng: Rng): Promise<string[]> {
    if (!rng.chance(1 / 3)) return [];
    const { journal } = this;
    const options = {
      product: this.#product,
      platform: this.#platform,
      world: this.#world,
      rng,
      journal,
      ids: this.#ids,
      ask: <T>(call: (task: TaskRpc) => Promise<T>, id: number): Promise<T> => this.#ask(call, id),
      leaseMs: 5_000,
    };
    journal.count("retention");
    const phase = new RetentionPhase(options);
    this.#retention = phase;
    await this.#during(phase.run(), FINISH_WITHIN_MS);
    await this.#finish();
    if (!rng.chance(0.5)) return [];
    return await this.#during(
      phase.last(async () => undefined),
      FINISH_WITHIN_MS,
    );
  }

  /** In a third of the runs, none of them with retention, days pass in which inputs come and go. */
  async #sweepInputs(rng: Rng): Promise<void> {
    if (this.#retention || !rng.chance(1 / 2)) return;
    const { journal } = this;
    journal.count("inputs");
    this.#inputs = new InputsPhase({
      product: this.#product,
      platform: this.#platform,
      world: this.#world,
      rng,
      journal,
      tasks: Math.max(...this.#ids),
      stored: (id) => {
        const rows = this.#tables(id);
        return rows["record"]?.[0] ? storedTask(id, rows) : null;
      },
    });
    await this.#during(this.#inputs.run(), FINISH_WITHIN_MS);
    for (const id of this.#inputs.tasks) this.#deleted.add(id);
  }

  /** In half of the runs, a database refuses a write now and then. */
  #fillDisks(rng: Rng): void {
    if (rng.chance(0.5)) return;
    const untilMs = this.#world.nowMs + this.#scenario.forMs;
    const names = ["registry/registry", ...this.#scenario.tasks.map((_, i) => `task/${i + 1}`)];
    const fill = (): void => {
      if (this.#world.nowMs >= untilMs) return;
      const stored = this.#platform.storedOf(rng.pick(names));
      stored.writesLeft = rng.int(0, 4);
      stored.alarmsToRefuse = rng.pick([0, 0, 1, 2]);
      this.#world.after(rng.int(50, 1_000), fill);
    };
    fill();
  }

  /** A third of the alarms that are set are lost at once. */
  #loseAlarms(rng: Rng): void {
    for (const stored of this.#platform.stored.values()) {
      if (stored.alarmMs === null || !rng.chance(1 / 3)) continue;
      stored.setAlarm(null);
      this.#platform.lost++;
    }
  }

  #runWatchdog(): void {
    const run = (): void => {
      this.#world.after(WATCHDOG_MS, run);
      void this.#product.scheduled({ cron: WATCH_CRON }, this.#platform.env).then(
        () => this.journal.count("watchdog"),
        () => this.journal.count("watchdog failed"),
      );
    };
    this.#world.after(this.#rng.fork("watchdog").int(0, WATCHDOG_MS), run);
  }

  /** P13: while nothing fails, nothing stays due for long. */
  #watchOverdue(): void {
    let calmMs = this.#world.nowMs;
    const check = (): void => {
      this.#world.after(5_000, check);
      if (this.#platform.faults !== NO_FAULTS) calmMs = this.#world.nowMs;
      for (const id of this.#ids) {
        const rows = this.#tables(id);
        if (!rows["record"]?.[0]) continue;
        const dueMs = Math.max(dueOf(storedTask(id, rows)) - this.#world.offsetMs, calmMs);
        if (this.#world.nowMs - dueMs > STUCK_MS)
          this.journal.surprise(`P13: task ${id} should have woken ${this.#world.nowMs - dueMs} ms ago`);
      }
    };
    check();
  }

  close(): void {
    this.#platform.close();
  }

  /** Run the world until this is done. */
  async #during<T>(work: Promise<T>, forMs: number): Promise<T> {
    let over = false;
    const done = work.finally(() => (over = true));
    done.catch(() => undefined);
    if (!(await this.#world.run(() => over, forMs))) throw new Error("nothing more happens, or not in time");
    return await done;
  }

  async #prepare(): Promise<void> {
    for (const [i, habits] of this.#scenario.agents.entries()) await this.#join(habits, this.#blenders.machines[i]!);
    for (const [i, task] of this.#scenario.tasks.entries()) {
      await this.#submit(i + 1, task);
      this.#ids.push(i + 1);
    }
    for (const task of this.#blenders.tasks) {
      const id = this.#ids.length + 1;
      await this.#submit(id, task);
      this.#ids.push(id);
      this.#needs.set(id, task.need);
    }
    for (const agent of this.#agents) agent.start();
  }

  /** Register a worker; the caller starts its agent. */
  async #join(habits: Habits, machine: Machine): Promise<SimulatedAgent> {
    const i = this.#agents.length;
    const { blenders, release } = machine;
    const register = {
      hostname: `host-${i}`,
      system: "Linux",
      version: release,
      programs: { "tablao-tool": "1", ...(blenders.length > 0 && { blender: blenders[0]! }) },
      ...(blenders.length > 1 && { versions: { blender: [...blenders] } }),
    };
    const made = await this.#askRegistry((r) => r.registerWorker(register, ADMIN, "127.0.0.1"));
    if (!made.ok) throw new Error(made.error.detail);
    const worker = made.value.worker.id;
    const rng = this.#rng.fork(`agent/${i}`);
    const world = this.#world;
    const port = new DirectPort({
      product: this.#product,
      platform: this.#platform,
      world,
      network: this.#network,
      worker,
      ...(release !== "0.1.0" && { blenders }),
      rng: rng.fork("network"),
      journal: this.journal,
    });
    const agent = new SimulatedAgent({
      worker,
      rng,
      port,
      journal: this.journal,
      habits,
      machine,
      // A task takes the registry's word that a worker has Blender at all; which one, it decides itself.
      strays: blenders.length > 0 ? this.#blenders.tasks.map((_, k) => this.#scenario.tasks.length + 1 + k) : [],
      sleep: (ms) => world.sleep(ms),
      now: () => world.nowMs,
    });
    this.#agents.push(agent);
    return agent;
  }

  async #submit(id: number, { submit }: Scenario["tasks"][number]): Promise<void> {
    const definition = definitionOf(submit.type, submit.settings ?? {}, {
      id,
      priority: submit.priority ?? 50,
      chunk: submit.chunk ?? 1,
      order: submit.order ?? "ascending",
      depends_on: submit.depends_on ?? [],
      lease_ms: (submit.lease_s ?? 60) * 1_000,
      tries: submit.tries ?? 3,
    });
    const made = await this.#product.callTask(this.#platform.env, id, (task) => task.create(definition, ADMIN));
    if (!made.ok) throw new Error(made.error.detail);
  }

  async #happen(event: Event): Promise<void> {
    const world = this.#world;
    switch (event.kind) {
      case "kill manager":
        return this.#platform.reset();
      case "abort":
        return this.#platform.reset(event.what === "registry" ? "registry/registry" : `task/${event.what}`);
      case "clock":
        world.offsetMs += event.byMs;
        return;
      case "service": {
        const plan = { rate: event.rate, how: event.how, slowMs: 1_000 };
        this.#platform.faults = { ...this.#platform.faults, [event.service]: plan };
        await world.sleep(event.forMs);
        this.#platform.faults = { ...this.#platform.faults, [event.service]: null };
        return;
      }
      case "kill agent": {
        const agent = this.#agents[event.agent]!;
        agent.kill();
        await agent.running;
        await world.sleep(event.forMs);
        return agent.start();
      }
      case "freeze agent":
        return this.#agents[event.agent]!.freeze(event.forMs);
      case "patch":
        return await this.#patch(event.task, event.body as TaskPatch);
      case "delete":
        this.#deleted.add(event.task);
        return await this.#admin((task) => task.remove(ADMIN), event.task);
    }
  }

  async #patch(id: number, body: TaskPatch): Promise<void> {
    const seen = mayTakeFinished(body) ? await this.#ask((task) => task.view(), id) : undefined;
    const patch = seen?.ok ? { ...body, files_version: seen.value.files_version } : body;
    await this.#admin((task) => task.patch(patch, ADMIN, null), id);
  }

  async #admin(call: (task: TaskRpc) => Promise<Result<unknown, Refusal>>, id: number): Promise<void> {
    const result = await this.#ask(call, id);
    if (!result.ok && !["conflict", "not_found", "overloaded"].includes(result.error.code))
      this.journal.surprise(`an admin was answered ${JSON.stringify(result)}`);
  }

  /** As users do: repeat the call until it is answered. */
  async #ask<T>(call: (task: TaskRpc) => Promise<T>, id: number): Promise<T> {
    for (;;) {
      try {
        return await this.#product.callTask(this.#platform.env, id, call);
      } catch (error) {
        if (!(error as { retryable?: boolean }).retryable) throw error;
        await this.#world.sleep(100);
      }
    }
  }

  async #askRegistry<T>(call: (registry: RegistryRpc) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.#product.callRegistry(this.#platform.env, call);
      } catch (error) {
        if (!(error as { retryable?: boolean }).retryable) throw error;
        await this.#world.sleep(100);
      }
    }
  }

  #tables(id: number): Parameters<typeof storedTask>[1] {
    const stored = this.#platform.stored.get(`task/${id}`);
    const tables = ["definition", "record", "pages", "journal", "leases", "outbox", "dependents"];
    return Object.fromEntries(tables.map((table) => [table, stored?.rows(table) ?? []]));
  }

  #watch(): { stop(): void } {
    let on = true;
    const check = (): void => {
      if (!on) return;
      for (const id of this.#ids) {
        const rows = this.#tables(id);
        if (!rows["record"]?.[0]) continue;
        const task = storedTask(id, rows);
        for (const problem of [...watchProblems(task), ...mixedMinors(task, this.#needs.get(id))])
          this.journal.surprise(problem);
      }
      this.#world.after(100, check);
    };
    check();
    return { stop: () => (on = false) };
  }

  get #pending(): boolean {
    return this.#network.inFlight > 0 || this.#happening > 0;
  }

  async #finish(): Promise<void> {
    const open = new Set(this.#ids);
    const limitMs = this.#world.nowMs + FINISH_WITHIN_MS;
    while ((open.size > 0 || this.#pending) && this.#world.nowMs < limitMs) {
      for (const id of open) await this.#during(this.#goOn(id, open), 60_000);
      if (!this.#pending && [...open].every((id) => this.#isHopeless(id)))
        await this.#during(this.#rescue(open), 60_000);
      await this.#world.run(() => false, 200);
    }
  }

  /** No worker can do it. */
  #isHopeless(id: number): boolean {
    return this.#needs.has(id) && !this.#blenders.machines.some((machine) => canRender(this.#needs.get(id), machine));
  }

  /** Only tasks that no worker can do are left. Nothing was given out of them, and a worker that can do each joins. */
  async #rescue(open: ReadonlySet<number>): Promise<void> {
    for (const id of open) {
      const view = await this.#ask((task) => task.view(), id);
      if (!view.ok) throw new Error(`task ${id}: ${view.error.detail}`);
      const { status, frames, errors } = view.value;
      if (status !== "queued" || frames.pending < frames.total || errors > 0)
        this.journal.surprise(`P12: task ${id}, which no worker can do, is ${status} ${JSON.stringify(frames)}`);
      const machine = rescuer(this.#needs.get(id));
      this.#blenders.machines.push(machine);
      // A registration whose answer is lost makes a worker that never comes, for which failed frames would wait.
      const { faults } = this.#platform;
      this.#platform.faults = { ...faults, registry: null };
      const agent = await this.#join(this.#scenario.agents[0]!, machine);
      this.#platform.faults = faults;
      agent.start();
      this.journal.count("Blender: nobody had it");
    }
  }

  async #goOn(id: number, open: Set<number>): Promise<void> {
    if (this.#deleted.has(id)) return void open.delete(id);
    const view = await this.#ask((task) => task.view(), id);
    // What a rule deleted is checked in the end.
    if (!view.ok && this.#retention) {
      this.#deleted.add(id);
      return void open.delete(id);
    }
    if (!view.ok) throw new Error(`task ${id}: ${view.error.detail}`);
    const { status } = view.value;
    if (status === "completed" && !this.#pending) open.delete(id);
    else if (status === "paused") await this.#admin((task) => task.patch({ status: "resume" }, ADMIN, null), id);
    else if (status === "canceled" || status === "failed")
      await this.#admin((task) => task.patch({ status: "requeue" }, ADMIN, null), id);
  }

  async #facts(): Promise<Facts> {
    const ids = this.#ids;
    if (this.#retention)
      for (const id of ids) if (!(await this.#ask((task) => task.view(), id)).ok) this.#deleted.add(id);
    const kept = ids.filter((id) => !this.#deleted.has(id));
    const tasks = kept.map((id) => storedTask(id, this.#tables(id)));
    const deleted = [...this.#deleted].map((id) => ({ id, rows: Object.values(this.#tables(id)).flat().length }));
    const objects = [...this.#platform.objects].map(([key, { text }]) => ({ key, text }));
    const history = this.#platform.history.prepare("SELECT * FROM history ORDER BY task_id, seq").all();
    const totals = {
      open: this.#platform.history.prepare("SELECT * FROM history_open_days").all(),
      packed: this.#platform.history.prepare("SELECT * FROM history_days").all(),
    };
    const listed = await this.#product.callRegistry(this.#platform.env, (r) => r.listTasks({ limit: 100 }));
    if (!listed.ok) throw new Error(listed.error.detail);
    const { journal } = this;
    journal.count(
      "frames",
      tasks.reduce((sum, task) => sum + task.ledger.counts.done, 0),
    );
    return {
      tasks,
      deleted,
      objects,
      history: history as unknown as Facts["history"],
      totals: totals as unknown as Facts["totals"],
      listed: listed.value.tasks,
      journal,
    };
  }
}

/**
 * When the object must wake next, by its rows; Infinity when nothing is due. That a report was made
 * is not stored, so reports are left out.
 */
function dueOf({ ledger, chores }: StoredTask): number {
  const remove = chores.remove as { due_ms: number } | null;
  const times = [chores.outbox_due_ms, chores.news_due_ms, remove?.due_ms ?? null];
  for (const { until_ms } of ledger.leases) times.push(until_ms);
  for (const { due_ms } of ledger.sweeps) times.push(due_ms);
  return Math.min(...times.map((atMs) => atMs ?? Infinity));
}
