/**
 * The phase of retention in a run in virtual time: days pass, and the daily job deletes by rules, while
 * people change rules, download, requeue, and submit tasks that depend on others, and all faults go on.
 */
import type { Refusal } from "../../../src/protocol/problem.ts";
import type { Result } from "../../../src/lib/result.ts";
import type { RegistryRpc } from "../../../src/rpc/registry.ts";
import type { TaskRpc } from "../../../src/rpc/task.ts";
import { definitionOf } from "../../support/definition.ts";
import type { RetentionLog } from "../retention-audit.ts";
import { HOW, NO_FAULTS } from "../manager-faults.ts";
import type { Rng } from "../rng.ts";
import type { Journal } from "../event-journal.ts";
import type { Platform } from "./platform.ts";
import type { Product } from "./product.ts";
import type { World } from "./world.ts";

const ADMIN = { role: "admin", id: 0, name: "admin" } as const;
const DAY_MS = 86_400_000;
/** Runs of the daily job. */
const DAYS = 4;
/** Frames of a task that waits for another one. */
const FRAMES = "1-3";

type Days = number | "forever";

export interface RetentionOptions {
  product: Product;
  platform: Platform;
  world: World;
  rng: Rng;
  journal: Journal;
  /** The ids of all tasks; those that are submitted here are added. */
  ids: number[];
  /** Repeat a call of a task until it is answered. */
  ask: <T>(call: (task: TaskRpc) => Promise<T>, id: number) => Promise<T>;
  /** Lease time of the tasks that are submitted, in milliseconds. */
  leaseMs: number;
}

export class RetentionPhase {
  readonly #o: RetentionOptions;
  readonly log: RetentionLog = {
    rules: [{ begunMs: 0, answeredMs: 0, days: "forever", afterDownload: "forever" }],
    own: [],
    downloads: [],
    dependents: [],
    jobs: [],
  };
  #happening = 0;

  constructor(options: RetentionOptions) {
    this.#o = options;
  }

  /** Days under faults. Afterwards faults have ended, and all that was begun is over. */
  async run(): Promise<void> {
    const { world, rng, platform, ids } = this.#o;
    for (let day = 0; day < DAYS; day++) {
      const faults = rng.fork(`faults/${day}`);
      const plan = (): (typeof NO_FAULTS)["task"] =>
        faults.chance(0.5) ? { rate: faults.pick([0.1, 0.3]), how: [...HOW], slowMs: 1_000 } : null;
      platform.faults = { d1: plan(), r2: plan(), task: plan(), registry: plan() };
      for (let n = rng.int(1, 4); n > 0; n--) this.#later(rng.int(0, 4_000), rng.fork(`person/${day}/${n}`));
      const jobMs = rng.int(0, 3_000);
      this.#at(jobMs, () => this.#job());
      // While the job asks the tasks: a task is submitted for each of some, or one begins again.
      for (const id of ids.filter(() => rng.chance(0.5)))
        this.#at(jobMs + rng.int(0, 15), () => (rng.chance(0.6) ? this.#submit(id, true) : this.#requeue(id, rng)));
      if (rng.chance(0.4)) world.after(rng.int(0, 4_000), () => platform.reset());
      if (rng.chance(0.3)) world.after(rng.int(0, 4_000), () => platform.reset("registry/registry"));
      await world.sleep(5_000);
      platform.faults = NO_FAULTS;
      await this.#quiet();
      world.offsetMs += rng.pick([0.5, 1, 1, 2, 3]) * DAY_MS;
      await world.sleep(1_000);
    }
  }

  /** All tasks have ended and nothing fails: what must be gone, and is not. */
  async last(historyEnded: () => Promise<void>): Promise<string[]> {
    const { world, ids, ask } = this.#o;
    await historyEnded();
    world.offsetMs += 20 * DAY_MS;
    await world.sleep(2_000);
    for (let round = 0; round < 2; round++) await this.#job();
    const rule = this.log.rules.at(-1)!;
    const left: string[] = [];
    for (const id of ids) {
      const view = await ask((task) => task.view(), id);
      if (!view.ok) continue;
      const own = this.log.own.findLast(({ task }) => task === id);
      const days = own?.days ?? rule.days;
      if (days !== "forever") left.push(`P14: task ${id} should have been deleted after ${days} days`);
    }
    return left;
  }

  #at(ms: number, what: () => Promise<void>): void {
    this.#happening++;
    this.#o.world.after(ms, () => {
      what()
        .catch((error: unknown) => this.#o.journal.surprise(`retention: ${String(error)}`))
        .finally(() => this.#happening--);
    });
  }

  async #quiet(): Promise<void> {
    while (this.#happening > 0) await this.#o.world.sleep(100);
  }

  async #job(): Promise<void> {
    const { product, platform, journal } = this.#o;
    const job = { begunMs: Date.now(), answeredMs: null as number | null };
    this.log.jobs.push(job);
    try {
      const { deleted, kept } = await product.deleteExpired(platform.env);
      journal.count("deleted by a rule", deleted.length);
      journal.count("kept by a task", kept.length);
    } catch (error) {
      if (!(error as { retryable?: boolean }).retryable) throw error;
      journal.count("daily job failed");
    }
    job.answeredMs = Date.now();
  }

  #later(ms: number, rng: Rng): void {
    const act = rng.pick(["rule", "rule", "own", "download", "download", "requeue", "submit", "submit"] as const);
    this.#o.journal.count(`retention: ${act}`);
    this.#at(ms, () => this.#act(act, rng));
  }

  async #act(what: "rule" | "own" | "download" | "requeue" | "submit", rng: Rng): Promise<void> {
    const { ids } = this.#o;
    const id = rng.pick(ids);
    const days = (): Days => rng.pick<Days>([1, 2, 4, "forever"]);
    switch (what) {
      case "rule":
        return await this.#setRule(days(), days());
      case "own":
        return await this.#setOwn(id, rng.pick([days(), null]), rng.pick([days(), null]));
      case "download":
        return await this.#download(id);
      case "requeue":
        return await this.#requeue(id, rng);
      case "submit":
        return await this.#submit(id, rng.chance(0.5));
    }
  }

  async #requeue(id: number, rng: Rng): Promise<void> {
    const frames = rng.pick([undefined, "1", "1", "all"]);
    const view = await this.#o.ask((task) => task.view(), id);
    if (!view.ok) return this.#expected(view);
    const files_version = frames === undefined ? undefined : view.value.files_version;
    const patch = { status: "requeue" as const, frames, files_version };
    this.#expected(await this.#o.ask((task) => task.patch(patch, ADMIN, null), id));
  }

  /** The refusals that a person may get at any time. */
  #expected(result: Result<unknown, Refusal>): void {
    if (!result.ok && !["conflict", "not_found", "overloaded", "invalid"].includes(result.error.code))
      this.#o.journal.surprise(`retention: a person was answered ${JSON.stringify(result)}`);
  }

  async #registry<T>(call: (registry: RegistryRpc) => Promise<T>): Promise<T> {
    const { product, platform, world } = this.#o;
    for (;;) {
      try {
        return await product.callRegistry(platform.env, call);
      } catch (error) {
        if (!(error as { retryable?: boolean }).retryable) throw error;
        await world.sleep(100);
      }
    }
  }

  #rules: Promise<void> = Promise.resolve();

  /** One after the other, as one person does: who sets the last rule is then certain. */
  async #setRule(days: Days, afterDownload: Days): Promise<void> {
    const set = async (): Promise<void> => {
      const rule = { begunMs: Date.now(), answeredMs: null as number | null, days, afterDownload };
      this.log.rules.push(rule);
      const values = { retention_days: days, retention_after_download_days: afterDownload };
      const answer = await this.#registry((registry) => registry.setSettings(values));
      this.#expected(answer);
      if (answer.ok) rule.answeredMs = Date.now();
      else this.log.rules.splice(this.log.rules.indexOf(rule), 1);
    };
    this.#rules = this.#rules.then(set);
    await this.#rules;
  }

  async #setOwn(task: number, days: Days | null, afterDownload: Days | null): Promise<void> {
    const own = { task, begunMs: Date.now(), answeredMs: null as number | null, days, afterDownload };
    this.log.own.push(own);
    const patch = { retention_days: days, retention_after_download_days: afterDownload };
    const set = await this.#o.ask((object) => object.patch(patch, ADMIN, null), task);
    this.#expected(set);
    // A refused call changed nothing: the task may not have been submitted yet.
    if (set.ok) own.answeredMs = Date.now();
    else this.log.own.splice(this.log.own.indexOf(own), 1);
  }

  async #download(task: number): Promise<void> {
    const begunMs = Date.now();
    const view = await this.#o.ask((object) => object.view(), task);
    if (!view.ok) return this.#expected(view);
    const version = view.value.files_version!;
    await this.#o.world.sleep(500);
    const download = { task, begunMs, answeredMs: null as number | null };
    this.log.downloads.push(download);
    const noted = await this.#o.ask((object) => object.downloaded(version, ADMIN), task);
    this.#expected(noted);
    if (noted.ok) download.answeredMs = Date.now();
    else this.log.downloads.splice(this.log.downloads.indexOf(download), 1);
  }

  async #submit(on: number, paused: boolean): Promise<void> {
    const { ids, leaseMs, ask, journal } = this.#o;
    const id = Math.max(...ids) + 1;
    // The number is taken at once: another submission may come while this one is under way.
    ids.push(id);
    const definition = definitionOf(
      "demo_render",
      { frames: FRAMES, width: 16, height: 16 },
      {
        id,
        paused,
        depends_on: [{ task: on, frames: "all" }],
        lease_ms: leaseMs,
        tries: 20,
      },
    );
    const begunMs = Date.now();
    const made = await ask((task) => task.create(definition, ADMIN), id);
    this.#expected(made);
    if (made.ok) this.log.dependents.push({ task: id, on, begunMs, answeredMs: Date.now() });
    else {
      journal.count("retention: refused for a deleted task");
      ids.splice(ids.indexOf(id), 1);
    }
  }
}
