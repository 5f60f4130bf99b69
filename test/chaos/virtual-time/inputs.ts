/**
 * The phase of inputs in a run in virtual time: clients look inputs up, upload them and submit tasks that
 * name them, tasks are changed and removed, days pass, and the daily job deletes what nothing uses
 * (decision 021), while D1, R2 and the objects fail and Workers die.
 *
 * An audit after each deletion, each answer and each day checks P14: what a task names is there, and
 * what was called stored within the last six days. In the end nothing fails any more, and what nothing
 * names must go.
 */
import { createHash } from "node:crypto";
import { SWEEP_CRON } from "../../../src/protocol/constants.ts";
import { pieceListText, type Piece } from "../../../src/protocol/piece-list.ts";
import type { Refusal } from "../../../src/protocol/problem.ts";
import type { Result } from "../../../src/lib/result.ts";
import type { RegistryRpc } from "../../../src/rpc/registry.ts";
import type { TaskRpc } from "../../../src/rpc/task.ts";
import { taskSubmitSchema } from "../../../src/protocol/task.ts";
import type { StoredTask } from "../audit.ts";
import type { Journal } from "../event-journal.ts";
import { HOW, NO_FAULTS, type FaultPlan } from "../manager-faults.ts";
import type { Rng } from "../rng.ts";
import type { Platform } from "./platform.ts";
import type { Product } from "./product.ts";
import type { World } from "./world.ts";

const ADMIN = { role: "admin", id: 0, name: "admin" } as const;
const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
/** The least that the setting takes. */
const UNUSED_DAYS = 7;
/** What is called stored stays so long (P14). */
const PROMISED_MS = 6 * DAY_MS;
/** Days under faults. */
const DAYS = 8;
/** A run waits 90 s for its marker; the rest is for slow calls. */
const RUN_MS = 130 * SECOND_MS;
/** So long after all has ended, no call of D1 or R2 can be under way whose caller has died. */
const LATE_MS = 60 * SECOND_MS;
/**
 * Nights without faults within which all must be gone that nothing uses: retention may delete a task in
 * the first of them, and what it named then stays for UNUSED_DAYS.
 */
const CALM_NIGHTS = UNUSED_DAYS + 4;

/** An input as the clients have it. */
interface Content {
  sha256: string;
  text: string;
  /** Of a piece list. */
  pieces: Piece[] | null;
  /** Bytes of the file that a task names. */
  bytes: number;
}

export interface InputsOptions {
  product: Product;
  platform: Platform;
  world: World;
  rng: Rng;
  journal: Journal;
  /** The tasks that are there already have these numbers at most. */
  tasks: number;
  /** A task as its rows have it; null when it has none. */
  stored: (id: number) => StoredTask | null;
}

export class InputsPhase {
  readonly #o: InputsOptions;
  readonly #contents: Content[];
  readonly #byHash: Map<string, Content>;
  /** Tasks that were submitted here. In the end, all are removed. */
  readonly tasks = new Set<number>();
  /** Hash → until when it must be there, because it was called stored. */
  readonly #promised = new Map<string, number>();
  /** Inputs that a sweep has been seen to give up. */
  readonly #givenUp = new Set<string>();
  #happening = 0;
  /** Faults have ended. */
  #isCalm = false;
  #keys = 0;

  constructor(options: InputsOptions) {
    this.#o = options;
    const { rng } = options;
    const file = (text: string): Content => ({
      sha256: hashOf(text),
      text,
      pieces: null,
      bytes: Buffer.byteLength(text),
    });
    const list = (...of: Content[]): Content => {
      const pieces = of.map(({ sha256, bytes }) => ({ sha256, size: bytes }));
      return { ...file(pieceListText(pieces)), pieces, bytes: of.reduce((sum, { bytes }) => sum + bytes, 0) };
    };
    const files = Array.from({ length: 7 }, (_, i) => file(`input ${i} ${rng.word(rng.int(1, 30))}`));
    // The lists share a piece, and one piece is an input of its own as well.
    const [, , , a, b, c] = files as [Content, Content, Content, Content, Content, Content];
    this.#contents = [...files, list(a, b), list(b, c)];
    this.#byHash = new Map(this.#contents.map((content) => [content.sha256, content]));
  }

  /** Days under faults, then days without. Afterwards no task of the phase is there, and no input. */
  async run(): Promise<void> {
    const { platform, world, rng } = this.#o;
    await this.#reserveOlder();
    await this.#registry((registry) => registry.setSettings({ unused_inputs_days: UNUSED_DAYS }));
    platform.onDeleted = (keys) => {
      const inputs = keys.filter((key) => key.startsWith("assets/"));
      this.#o.journal.count("inputs deleted", inputs.length);
      if (inputs.length > 0) this.#audit("when inputs were deleted");
    };
    platform.onBatch = () => this.#watchGivenUp();
    for (let day = 0; day < DAYS; day++) {
      await this.#day(rng.fork(`day/${day}`));
      world.offsetMs += rng.pick([0.5, 1, 2, 4, 8, 8]) * DAY_MS;
      await world.sleep(SECOND_MS);
    }
    platform.storageMs = 0;
    platform.onBatch = () => undefined;
    this.#isCalm = true;
    await this.#calm();
    platform.onDeleted = () => undefined;
  }

  /** The tasks of the farm were created without the registry: their numbers are taken. */
  async #reserveOlder(): Promise<void> {
    for (;;) {
      const identity = { owner: "admin", task_id: null, idempotency_key: null, body_sha256: "" };
      const reserved = await this.#registry((registry) => registry.reserveTask(identity));
      if (!reserved.ok) throw new Error(reserved.error.detail);
      if (reserved.value.id >= this.#o.tasks) return;
    }
  }

  async #day(rng: Rng): Promise<void> {
    const { platform, world } = this.#o;
    platform.storageMs = rng.pick([0, 200, 3_000]);
    if (rng.chance(0.7)) this.#plan(rng.fork("faults"));
    const jobMs = rng.int(0, 5 * SECOND_MS);
    this.#at(jobMs, () => this.#night(rng.chance(0.25) ? rng.int(0, RUN_MS) : null));
    if (rng.chance(0.35)) this.#at(jobMs + rng.int(0, 100 * SECOND_MS), () => this.#night(null));
    if (rng.chance(0.35)) this.#at(rng.int(0, 100 * SECOND_MS), () => this.#prune());
    for (let n = rng.int(3, 8); n > 0; n--) {
      const atMs = rng.pick([rng.int(0, 8_000), rng.int(90_000, 110_000), rng.int(0, RUN_MS)]);
      const own = rng.fork(`person/${n}`);
      this.#at(atMs, () => this.#act(own));
    }
    if (rng.chance(0.2)) this.#at(rng.int(0, RUN_MS), async () => platform.reset());
    if (rng.chance(0.3)) this.#at(rng.int(0, RUN_MS), async () => platform.reset("registry/registry"));
    for (const id of this.tasks)
      if (rng.chance(0.1)) this.#at(rng.int(0, RUN_MS), async () => platform.reset(`task/${id}`));
    await world.sleep(RUN_MS);
    this.#endFaults();
    await this.#quiet();
    // A time of no answers may have ended since, and with it the other faults have begun again.
    this.#endFaults();
    this.#audit("after a day");
  }

  /** Faults of a day: now and then all the time, and for a while all of the calls. */
  #plan(rng: Rng): void {
    const { platform } = this.#o;
    const plan = (): FaultPlan | null =>
      rng.chance(0.4) ? { rate: rng.pick([0.03, 0.1, 0.3]), how: [...HOW], slowMs: rng.pick([1_000, 50_000]) } : null;
    const rest = { d1: plan(), r2: plan(), task: plan(), registry: plan() };
    platform.faults = rest;
    if (rng.chance(0.5)) {
      const fromMs = rng.int(0, RUN_MS);
      const away: FaultPlan = { rate: 1, how: [rng.pick(HOW)], slowMs: 20_000 };
      const service = rng.pick(["d1", "d1", "r2"] as const);
      this.#at(fromMs, async () => void (platform.faults = { ...rest, [service]: away }));
      this.#at(fromMs + rng.int(5_000, 60_000), async () => void (platform.faults = rest));
    }
    if (rng.chance(0.3)) {
      const fromMs = rng.int(0, RUN_MS);
      this.#at(fromMs, async () => void (platform.isFull = true));
      this.#at(fromMs + rng.int(5_000, 100_000), async () => void (platform.isFull = false));
    }
  }

  #endFaults(): void {
    this.#o.platform.faults = NO_FAULTS;
    this.#o.platform.isFull = false;
  }

  #at(ms: number, what: () => Promise<void>): void {
    this.#happening++;
    this.#o.world.after(ms, () => {
      what()
        .catch((error: unknown) =>
          this.#o.journal.surprise(`inputs: ${error instanceof Error ? error.stack : String(error)}`),
        )
        .finally(() => this.#happening--);
    });
  }

  async #quiet(): Promise<void> {
    while (this.#happening > 0) await this.#o.world.sleep(100);
    await this.#o.world.sleep(LATE_MS);
  }

  /** The triggers of a night, one after the other; each run may die after so long. */
  async #night(diesAfterMs: number | null): Promise<void> {
    const { product, journal } = this.#o;
    for (const cron of ["daily", SWEEP_CRON]) {
      journal.count("daily jobs");
      await this.#request(
        (env) =>
          product
            .scheduled({ cron, scheduledTime: Date.now() }, env)
            .catch((error: unknown) => this.#nightFailed(error)),
        diesAfterMs,
      );
    }
  }

  #nightFailed(error: unknown): void {
    this.#o.journal.count("daily jobs failed");
    if (this.#isCalm) this.#o.journal.surprise(`the daily job failed where nothing else does: ${String(error)}`);
  }

  /** `tablao prune --inputs`, by somebody who gives up when it fails. */
  async #prune(): Promise<void> {
    const { product, world, journal } = this.#o;
    journal.count("prunes");
    for (let calls = 0; calls < 6; calls++) {
      const progress = await this.#request((env) =>
        product.sweepInputs(product.sweepDependencies(env), { days: UNUSED_DAYS, deletes: true }).catch(() => null),
      );
      if (progress === null || progress.done || progress.wait_ms > RUN_MS) return;
      await world.sleep(progress.wait_ms);
    }
  }

  /**
   * What a Worker answers. Null when it dies, which it does after so long; null for `diesAfterMs`: never.
   * What it has begun until then takes effect.
   */
  async #request<T>(work: (env: object) => Promise<T>, diesAfterMs: number | null = null): Promise<T | null> {
    const { platform, world, journal } = this.#o;
    const { env, end } = platform.invocation();
    const answer = work(env);
    if (diesAfterMs === null) return await answer;
    const death = world.sleep(diesAfterMs).then(() => {
      journal.count("dead Workers");
      end();
      return null;
    });
    return await Promise.race([answer, death]);
  }

  /** When the Worker of a client's request dies; most do not. */
  #death(rng: Rng): number | null {
    return !this.#isCalm && rng.chance(0.08) ? rng.int(0, 3 * Math.max(10, this.#o.platform.storageMs)) : null;
  }

  async #act(rng: Rng): Promise<void> {
    const act = rng.pick(["submit", "submit", "submit", "send", "look up", "change", "remove", "end", "end"] as const);
    this.#o.journal.count(`inputs: ${act}`);
    const some = this.#some(rng);
    const id = this.tasks.size > 0 ? rng.pick([...this.tasks]) : null;
    if (act === "submit") return await this.#submit(some, rng);
    if (act === "send") return await this.#send(some, rng);
    if (act === "look up") return void (await this.#lookUp(some, rng));
    if (id === null) return;
    if (act === "change") return await this.#change(id, some, rng);
    if (act === "remove") return this.#expected(await this.#task(id, (task) => task.remove(ADMIN)));
    // Retention deletes it: a day after its end, with a day's notice.
    this.#expected(await this.#task(id, (task) => task.patch({ status: "cancel" }, ADMIN, null)));
    this.#expected(await this.#task(id, (task) => task.patch({ retention_days: 1 }, ADMIN, null)));
  }

  #some(rng: Rng): Content[] {
    return [...new Set(Array.from({ length: rng.int(1, 3) }, () => rng.pick(this.#contents)))];
  }

  /** When a sweep gives inputs up, somebody wants one of them at this very moment. */
  #watchGivenUp(): void {
    const { platform, rng, journal } = this.#o;
    const rows = platform.history
      .prepare(
        "SELECT sha256 || deleting_until_ms AS taken, sha256 FROM inputs WHERE deleting_until_ms > ? AND deleted = 0",
      )
      .all(Date.now());
    for (const row of rows) {
      const [taken, sha256] = [String(row["taken"]), String(row["sha256"])];
      if (this.#givenUp.has(taken)) continue;
      this.#givenUp.add(taken);
      const content = this.#byHash.get(sha256)!;
      const own = rng.fork(taken);
      for (let n = own.pick([0, 1, 2]); n > 0; n--) {
        journal.count("inputs: wanted while given up");
        const act = own.pick(["submit", "send", "send unasked", "send unasked"] as const);
        const its = own.fork(n);
        this.#at(own.int(0, 2 * platform.storageMs), async () => {
          if (act === "submit") await this.#submit([content], its);
          else if (act === "send") await this.#send([content], its);
          else await this.#sendUnasked([content], its);
        });
      }
    }
  }

  /** Which of these are stored; null when that cannot be known. */
  async #lookUp(some: readonly Content[], rng: Rng): Promise<Set<string> | null> {
    const beganMs = Date.now();
    const lists = new Set(some.flatMap(({ sha256, pieces }) => (pieces ? [sha256] : [])));
    const hashes = some.map(({ sha256 }) => sha256);
    const sizes = await this.#request(
      (env) => this.#o.product.sizesOfInputs(env, hashes, Date.now, lists),
      this.#death(rng),
    );
    if (!sizes?.ok) return null;
    const stored = some.filter(({ sha256, pieces }) => {
      const found = sizes.value.get(sha256);
      return found !== undefined && (pieces === null || found.whole !== null);
    });
    for (const content of stored) this.#promise(content, beganMs);
    return new Set(stored.map(({ sha256 }) => sha256));
  }

  /** As a client does: ask what is missing, and send it. */
  async #send(some: readonly Content[], rng: Rng): Promise<void> {
    const stored = await this.#lookUp(some, rng);
    if (stored)
      await this.#sendUnasked(
        some.filter(({ sha256 }) => !stored.has(sha256)),
        rng,
      );
  }

  /** A client that has asked before, or does not ask. */
  async #sendUnasked(some: readonly Content[], rng: Rng): Promise<void> {
    const { product } = this.#o;
    for (const content of some) {
      const { sha256, pieces } = content;
      const beganMs = Date.now();
      if (pieces) {
        await this.#send(this.#piecesOf(content), rng);
        const listedMs = Date.now();
        const taken = await this.#request(
          (env) => product.takePieceList(env, sha256, pieces, Date.now),
          this.#death(rng),
        );
        if (taken?.ok) this.#promise(content, listedMs);
        if (taken && !taken.ok && !["conflict", "overloaded"].includes(taken.error.code)) this.#expected(taken);
        continue;
      }
      const answer = await this.#request((env) => this.#put(env, content, beganMs), this.#death(rng));
      if (answer?.ok) this.#promise(content, beganMs);
      else if (answer) this.#expected(answer);
    }
  }

  /** What `PUT /assets/{sha256}` does. */
  async #put(env: object, { sha256, text, bytes }: Content, beganMs: number): Promise<Result<unknown, Refusal>> {
    const { product } = this.#o;
    const body = new TextEncoder().encode(text);
    const upload = { key: `assets/${sha256}`, body, size: bytes, sha256, hashField: "sha256" };
    const stored = await product.storeOnce((env as { FILES: unknown }).FILES, upload);
    if (!stored.ok) return stored;
    const refused = await product.noteStored(env, [{ sha256, size: bytes }], beganMs, Date.now);
    const error = refused.get(sha256);
    return error ? { ok: false, error } : stored;
  }

  /** Submit until it is answered, and send what is missing, a few times. */
  async #submit(some: readonly Content[], rng: Rng): Promise<void> {
    const { product, journal, world } = this.#o;
    const submit = taskSubmitSchema.parse({ type: "exec", settings: settingsOf(some), paused: true });
    const key = `key-${++this.#keys}`;
    if (rng.chance(0.7)) await this.#send(some, rng);
    for (let tries = 0; tries < 4; tries++) {
      const made = await this.#request(
        (env) => product.submitTask(env, submit, key, ADMIN).catch(retryable),
        this.#death(rng),
      );
      if (made?.ok) {
        journal.count("tasks with inputs");
        this.tasks.add(made.value.id);
        return this.#audit("when a task was submitted");
      }
      if (made?.error.code === "invalid") await this.#send(some, rng);
      else if (made) this.#expected(made);
      await world.sleep(rng.int(10, 5_000));
    }
  }

  /** The task names others from now on. */
  async #change(id: number, some: readonly Content[], rng: Rng): Promise<void> {
    const { product } = this.#o;
    const settings = settingsOf(some);
    const view = await this.#task(id, (task) => task.view());
    if (!view.ok) return this.#expected(view);
    const compiled = await this.#request(
      (env) => product.recompileTask(env, view.value, settings).catch(retryable),
      this.#death(rng),
    );
    if (!compiled?.ok) return;
    this.#expected(await this.#task(id, (task) => task.patch({ settings }, ADMIN, compiled.value)));
    this.#audit("when a task was changed");
  }

  /** As people do: repeat the call until it is answered. */
  async #task<T>(id: number, call: (task: TaskRpc) => Promise<T>): Promise<T> {
    return await this.#until(() => this.#o.product.callTask(this.#o.platform.env, id, call));
  }

  async #registry<T>(call: (registry: RegistryRpc) => Promise<T>): Promise<T> {
    return await this.#until(() => this.#o.product.callRegistry(this.#o.platform.env, call));
  }

  async #until<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error as { retryable?: boolean }).retryable) throw error;
        await this.#o.world.sleep(100);
      }
    }
  }

  /** The refusals that a person may get at any time. */
  #expected(result: Result<unknown, Refusal>): void {
    if (!result.ok && !["conflict", "not_found", "overloaded", "invalid"].includes(result.error.code))
      this.#o.journal.surprise(`inputs: a person was answered ${JSON.stringify(result)}`);
  }

  #piecesOf({ pieces }: Content): Content[] {
    return (pieces ?? []).map(({ sha256 }) => this.#byHash.get(sha256)!);
  }

  /** It was called stored by an answer to what was asked then. */
  #promise(content: Content, askedMs: number): void {
    for (const { sha256 } of [content, ...this.#piecesOf(content)])
      this.#promised.set(sha256, Math.max(this.#promised.get(sha256) ?? 0, askedMs + PROMISED_MS));
    this.#audit("when it was called stored");
  }

  /** What tasks name that are there, by their rows: the task that names it, by hash. */
  #named(): Map<string, string> {
    const named = new Map<string, string>();
    for (let id = this.#o.tasks + 1; id <= this.#o.tasks + this.#keys; id++) {
      const task = this.#o.stored(id);
      if (!task) continue;
      // The answer to its submission may have been lost.
      this.tasks.add(id);
      if (task.chores.remove !== null) continue;
      const { settings } = task.definition as unknown as { settings: { assets: { sha256: string }[] } };
      for (const { sha256 } of settings.assets)
        for (const content of [this.#byHash.get(sha256)!, ...this.#piecesOf(this.#byHash.get(sha256)!)])
          named.set(content.sha256, `task ${id} names it`);
    }
    return named;
  }

  /** P14: what is in use, or was called stored, is there with its bytes; so is what the index calls live. */
  #audit(when: string): void {
    const { platform, journal } = this.#o;
    const needed = this.#named();
    for (const [sha256, untilMs] of this.#promised)
      if (untilMs >= Date.now() && !needed.has(sha256)) needed.set(sha256, "it was called stored");
    for (const sha256 of this.#rows("deleting_until_ms IS NULL"))
      if (!needed.has(sha256)) needed.set(sha256, "the index says that it is there");
    for (const [sha256, why] of needed) {
      const there = platform.objects.get(`assets/${sha256}`);
      if (there?.text === this.#byHash.get(sha256)!.text) continue;
      const name = this.#contents.findIndex((content) => content.sha256 === sha256);
      journal.surprise(`P14: input ${name} is ${there ? "another" : "gone"} ${when}, and ${why}`);
    }
  }

  #rows(which: string): string[] {
    const rows = this.#o.platform.history.prepare(`SELECT sha256 FROM inputs WHERE ${which}`).all();
    return rows.map((row) => String(row["sha256"]));
  }

  /** Nothing fails: what nothing uses goes, first with tasks that are there, then without any. */
  async #calm(): Promise<void> {
    const rng = this.#o.rng.fork("calm");
    // An object of an upload that was never answered may have no row. Who asks for it brings it into the index.
    const stored = await this.#lookUp(this.#contents, rng.fork("all"));
    if (!stored) throw new Error("a look-up was refused, and nothing fails");
    await this.#untilUnusedAreGone("of which no task names");
    for (const id of this.tasks) this.#expected(await this.#task(id, (task) => task.remove(ADMIN)));
    await this.#untilUnusedAreGone("after the last task");
    for (const key of this.#o.platform.objects.keys())
      if (/^(unindexed|used|assets)\//.test(key)) this.#o.journal.surprise(`P14: ${key} is left in the end`);
  }

  async #untilUnusedAreGone(which: string): Promise<void> {
    const { world, platform, journal } = this.#o;
    await this.#quiet();
    world.offsetMs += (UNUSED_DAYS + 2) * DAY_MS;
    let wrong = "";
    for (let nights = 0; nights < CALM_NIGHTS; nights++) {
      await this.#night(null);
      await this.#quiet();
      this.#audit("in a calm night");
      const wanted = [...this.#named().keys()].toSorted().join();
      const objects = [...platform.objects.keys()].filter((key) => key.startsWith("assets/"));
      const there = objects.map((key) => key.slice("assets/".length)).toSorted();
      const rows = this.#rows("1").toSorted();
      if (there.join() === wanted && rows.join() === wanted) return;
      wrong = `${there.length} are there, with ${rows.length} rows`;
      world.offsetMs += DAY_MS + 60 * SECOND_MS;
      await world.sleep(SECOND_MS);
    }
    journal.surprise(`P14: unused inputs ${which} are not deleted: ${wrong}, and ${this.#named().size} are used`);
  }
}

function settingsOf(contents: readonly Content[]): Record<string, unknown> {
  const assets = contents.map(({ sha256, bytes, pieces }, i) => ({
    path: `file-${i}`,
    sha256,
    size: bytes,
    ...(pieces && { pieces: true }),
  }));
  return { program: "tool", args: [], assets, frames: "1" };
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** A call that failed, where the client tries again; any other error is one of the product. */
function retryable(error: unknown): null {
  if ((error as { retryable?: boolean }).retryable) return null;
  throw error;
}
