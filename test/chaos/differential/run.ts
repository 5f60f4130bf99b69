/**
 * Differential test: the same calls to two objects of one task. One object is undisturbed and gets
 * one call after the other. The other gets several calls at once, is reset between calls and while
 * they wait, and its database refuses a write now and then, after which the calls are made again.
 * Every answer, every row and the whole history must be the same. This finds everything that an
 * object forgets, restores only in part, or reports before it is written (P4).
 */
import type { BackupRow } from "../../../src/protocol/backup.ts";
import { inRestoreOrder } from "../../../src/protocol/task-snapshot.ts";
import { storedTask, watchProblems } from "../audit.ts";
import { Rng } from "../rng.ts";
import { NO_FAULTS } from "../manager-faults.ts";
import { Platform } from "../virtual-time/platform.ts";
import type { Product } from "../virtual-time/product.ts";
import { ADMIN, LEASE_MS, CallScript, type ScriptedCall } from "./script.ts";
import { FULL } from "../virtual-time/storage.ts";
import { enter, settled, World } from "../virtual-time/world.ts";

/** Calls in one run: a checkpoint comes after 64 changes, and longer runs see several. */
const CALLS = [40, 150, 400] as const;
const STEP_MS = 1_000;
/** Time in which all deferred work is done. */
const QUIET_MS = 3_600_000;
/** The most alarms in that time: a dependent that does not exist is told every five seconds. */
const QUIET_RINGS = 1_500;
const OBJECT = "task/1";
const TABLES = ["definition", "record", "pages", "journal", "leases", "outbox", "dependents"];

export interface DifferentialResult {
  problems: string[];
  counts: Map<string, number>;
}

interface Outcome {
  transcript: string[];
  problems: string[];
}

/** Run a seed on both objects, and report the differences. */
export async function runDifferential(seed: string, product: Product): Promise<DifferentialResult> {
  const counts = new Map<string, number>();
  const calm = await runReplica(new Replica(seed, product, false, counts));
  const troubled = await runReplica(new Replica(seed, product, true, counts));
  const problems = [...calm.problems, ...troubled.problems];
  const at = calm.transcript.findIndex((line, i) => line !== troubled.transcript[i]);
  if (at >= 0)
    problems.push(`P4: step ${at} differs: ${difference(calm.transcript[at]!, troubled.transcript[at] ?? "nothing")}`);
  return { problems, counts };
}

async function runReplica(replica: Replica): Promise<Outcome> {
  await replica.run().catch((error: unknown) => {
    replica.problems.push(`a life broke off: ${error instanceof Error ? error.stack : String(error)}`);
  });
  replica.close();
  return replica;
}

class Replica implements Outcome {
  readonly transcript: string[] = [];
  readonly problems: string[] = [];
  readonly #troubled: boolean;
  readonly #counts: Map<string, number>;
  readonly #world = new World();
  readonly #platform: Platform;
  readonly #script: CallScript;
  /** Decides about faults. The script has random numbers of its own, the same for both objects. */
  readonly #trouble: Rng;

  constructor(seed: string, product: Product, troubled: boolean, counts: Map<string, number>) {
    const rng = new Rng(`twins/${seed}`);
    this.#troubled = troubled;
    this.#counts = counts;
    enter(this.#world, rng.fork("chance"));
    this.#trouble = rng.fork("trouble");
    const classes = { task: product.TaskDO, registry: product.WorkerRegistry };
    this.#platform = new Platform(this.#world, rng.fork("platform"), classes);
    this.#platform.unpunctual = false;
    this.#platform.travelMs = 0;
    this.#platform.syncMs = 0;
    this.#script = new CallScript(rng.fork("script"));
  }

  close(): void {
    this.#platform.close();
  }

  async run(): Promise<void> {
    const calls = this.#script.rng.pick(CALLS);
    const awayFor = this.#script.rng.pick([30, 300]);
    const resets = this.#trouble.pick([0.02, 0.1, 0.5, 1]);
    const refusals = this.#trouble.pick([0, 0, 0.05, 0.3]);
    await this.#create(refusals);
    for (let i = 0; i < calls && this.problems.length === 0; i++) {
      await this.#wait(this.#world.startMs + (i + 1) * STEP_MS, refusals);
      // D1 is away for a while: events pile up in the record, the journal and the outbox.
      const d1 =
        i % (awayFor + 60) < awayFor ? { rate: 1, how: ["refuse", "lose the answer"] as const, slowMs: 0 } : null;
      this.#platform.faults = { ...NO_FAULTS, d1 };
      if (this.#script.rng.chance(0.25))
        await this.#together(this.#script.together(this.#world.nowMs), resets, refusals);
      else await this.#step(this.#script.next(this.#world.nowMs), resets, refusals);
      if (this.#script.rng.chance(0.1)) await this.#readAll();
      this.problems.push(...watchProblems(storedTask(1, this.#tables())));
    }
    this.#platform.faults = NO_FAULTS;
    await this.#rest();
    await this.#readAll();
    this.#note("rows", this.#left());
    this.#note("history", this.#history());
    await this.#goAndComeBack(refusals);
  }

  /**
   * Wait until the next call. A write that the object makes by itself in that time may be refused,
   * too.
   */
  async #wait(untilMs: number, refusals: number): Promise<void> {
    if (this.#troubled && this.#trouble.chance(refusals)) this.#refuseWrites();
    await this.#world.until(untilMs);
    this.#writesSucceed();
  }

  /** Time for all deferred work; an object without work must not set its alarm. */
  async #rest(): Promise<void> {
    const before = this.#platform.rings;
    await this.#world.until(this.#world.nowMs + QUIET_MS);
    const rings = this.#platform.rings - before;
    if (rings > QUIET_RINGS) this.problems.push(`the alarm rang ${rings} times in an hour of quiet`);
  }

  #refuseWrites(): void {
    this.#platform.storedOf(OBJECT).writesLeft = this.#trouble.pick([0, 0, 0, 1, 1, 2, 3, 4, 5]);
  }

  #writesSucceed(): void {
    const stored = this.#platform.storedOf(OBJECT);
    if (stored.refusedWrites > 0) this.#count("refused writes");
    stored.refusedWrites = 0;
    stored.writesLeft = null;
  }

  async #create(refusals: number): Promise<void> {
    const { definition } = this.#script;
    for (const { task } of definition.depends_on)
      await this.#during(
        this.#platform.call("task", String(task), "create", [{ ...definition, id: task, depends_on: [] }, ADMIN]),
      );
    await this.#step({ method: "create", args: [definition, ADMIN], learn: () => undefined }, 0, refusals);
  }

  /** One call of the script, with faults; its final answer is noted. */
  async #step(call: ScriptedCall, resets: number, refusals: number): Promise<void> {
    if (this.#troubled && this.#trouble.chance(resets)) this.#reset();
    let answer: unknown = REFUSED;
    if (this.#troubled && this.#trouble.chance(refusals)) {
      this.#refuseWrites();
      answer = await this.#during(this.#answer(call));
      this.#writesSucceed();
    }
    if (answer === REFUSED) answer = await this.#during(this.#call(call.method, call.args));
    this.#answered(call, answer);
    if (this.#troubled && this.#trouble.chance(resets / 4)) this.#reset();
  }

  /**
   * Calls at one instant: one after the other for the calm replica, all at once for the troubled
   * one.
   */
  async #together(calls: readonly ScriptedCall[], resets: number, refusals: number): Promise<void> {
    if (!this.#troubled) {
      for (const call of calls) await this.#step(call, 0, 0);
      return;
    }
    const answers: unknown[] = calls.map(() => REFUSED);
    const all = async (): Promise<void> => {
      const left = [...calls.keys()].filter((i) => answers[i] === REFUSED);
      await Promise.all(left.map(async (i) => (answers[i] = await this.#answer(calls[i]!))));
    };
    if (this.#trouble.chance(refusals)) {
      this.#refuseWrites();
      await this.#during(all());
      this.#writesSucceed();
    }
    if (this.#trouble.chance(resets)) {
      const cutOff = all();
      // The calls have been decided, and wait for their row to be written.
      await settled();
      this.#reset();
      await this.#during(cutOff);
    }
    while (answers.includes(REFUSED)) await this.#during(all());
    this.#count("calls at once");
    for (const [i, call] of calls.entries()) this.#answered(call, answers[i]);
  }

  #answered({ method, args, learn }: ScriptedCall, answer: unknown): void {
    this.#count("calls");
    learn(answer, this.#world.nowMs);
    // The rows of a backup hold the times at which work is due, and these may be later after a
    // reset.
    const said = method === "restoreRows" ? "rows" : this.#script.plain(args);
    this.#note(`${method} ${said}`, method === "backupPage" ? "a page" : answer);
  }

  /** The answer of a call, or that the call was refused. */
  async #answer({ method, args }: ScriptedCall): Promise<unknown> {
    const answer = await this.#call(method, args).catch(() => REFUSED);
    // A refused restore answers with the database's own words.
    return JSON.stringify(answer)?.includes(FULL) ? REFUSED : answer;
  }

  async #call(method: string, args: unknown[] = []): Promise<unknown> {
    return await this.#platform.call("task", "1", method, args);
  }

  /** Everything that can be read of the task. */
  async #readAll(): Promise<void> {
    const reads: [string, unknown[]][] = [
      ["view", []],
      ["frames", [{ limit: 1_000 }]],
      ["frames", [{ limit: 1_000, states: ["done", "failed"] }]],
      ["files", [{ limit: 1_000 }]],
      ["timings", [{ limit: 1_000 }]],
      ["log", [{ tail: 50, limit: 50 }]],
      ["shareGeneration", []],
    ];
    for (const [method, args] of reads) this.#note(method, await this.#during(this.#call(method, args)));
  }

  /**
   * The task is backed up and removed, then submitted again or restored under the same number:
   * nothing of the old object may be left.
   */
  async #goAndComeBack(refusals: number): Promise<void> {
    const page = (await this.#during(this.#call("backupPage", [null]))) as { value: { rows: BackupRow[] } };
    const rows = inRestoreOrder(page.value.rows);
    const again = { ...this.#script.definition, depends_on: [] };
    for (const [method, args] of [
      ["create", [again, ADMIN]],
      ["restoreRows", [rows, true]],
    ] as const) {
      this.#note("remove", await this.#during(this.#call("remove", [ADMIN])));
      await this.#rest();
      const left = Object.values(this.#tables()).flat().length;
      if (left > 0) this.problems.push(`the removed task still has ${left} rows`);
      await this.#step({ method, args: [...args], learn: () => undefined }, 1, refusals);
      await this.#readAll();
      await this.#rest();
      this.#note("rows", this.#left());
    }
  }

  #tables(): Parameters<typeof storedTask>[1] {
    const stored = this.#platform.stored.get(OBJECT);
    return Object.fromEntries(TABLES.map((table) => [table, stored?.rows(table) ?? []]));
  }

  #left(): unknown {
    const { ledger, entries, tail, waiting, definition } = storedTask(1, this.#tables());
    const { version: _, updated_ms: __, ...kept } = ledger;
    return {
      ledger: kept,
      entries: [...entries].toSorted(([a], [b]) => a - b),
      owed: tail.length + waiting,
      definition,
    };
  }

  /**
   * The events in D1. The exact time of an alarm does not depend on the object, so the times of
   * events are left out.
   */
  #history(): unknown {
    const rows = this.#platform.history.prepare("SELECT events FROM history WHERE task_id = 1 ORDER BY seq").all();
    const events = rows.flatMap(({ events }) => JSON.parse(String(events)) as { seq: number; at_ms: number }[]);
    const told = events.toSorted((a, b) => a.seq - b.seq);
    if (told.some(({ seq }, i) => seq !== i + 1)) this.problems.push("P7: the history has gaps, or events twice");
    return told.map((event) => ({ ...event, at_ms: undefined }));
  }

  async #during<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const done = work.finally(() => (over = true));
    done.catch(() => undefined);
    if (!(await this.#world.run(() => over, LEASE_MS))) throw new Error("a call does not end");
    return await done;
  }

  #reset(): void {
    this.#count("resets");
    this.#platform.reset(OBJECT);
  }

  #note(what: string, answer: unknown): void {
    this.transcript.push(`${what} → ${this.#script.plain(answer)}`);
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }
}

const REFUSED = Symbol("refused");

/** The first difference of two texts, with some text around it. */
function difference(one: string, other: string): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const cut = (text: string): string => text.slice(Math.max(0, at - 60), at + 100);
  return `${one.slice(0, 100)}\n    undisturbed …${cut(one)}\n    troubled    …${cut(other)}`;
}
