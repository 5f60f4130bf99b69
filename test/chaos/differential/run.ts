/**
 * Differential test: the same calls to two objects of one task. One lives undisturbed, and is called by one worker after the other; the other
 * is called by several at once, is reset between calls and while they wait, and its database refuses a write now and then, after
 * which the calls are made again. Every answer, every row and the whole history must be the same: what an object forgets, or half
 * remembers, or tells before it is written, shows here (P4).
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

/** Calls in one life: a checkpoint comes after 64 changes, and some lives see several. */
const CALLS = [40, 150, 400] as const;
const STEP_MS = 1_000;
/** Until everything that is owed has been done. */
const QUIET_MS = 3_600_000;
/** Alarms in that time: a dependent that does not exist is told every five seconds. */
const QUIET_RINGS = 1_500;
const OBJECT = "task/1";
const TABLES = ["definition", "record", "pages", "journal", "leases", "outbox", "dependents"];

export interface DifferentialResult {
  problems: string[];
  counts: Map<string, number>;
}

interface Life {
  transcript: string[];
  problems: string[];
}

/** Live both lives of a seed, and say what differs. */
export async function runDifferential(seed: string, product: Product): Promise<DifferentialResult> {
  const counts = new Map<string, number>();
  const calm = await live(new Replica(seed, product, false, counts));
  const troubled = await live(new Replica(seed, product, true, counts));
  const problems = [...calm.problems, ...troubled.problems];
  const at = calm.transcript.findIndex((line, i) => line !== troubled.transcript[i]);
  if (at >= 0)
    problems.push(`P4: step ${at} differs: ${difference(calm.transcript[at]!, troubled.transcript[at] ?? "nothing")}`);
  return { problems, counts };
}

async function live(replica: Replica): Promise<Life> {
  await replica.live().catch((error: unknown) => {
    replica.problems.push(`a life broke off: ${error instanceof Error ? error.stack : String(error)}`);
  });
  replica.close();
  return replica;
}

class Replica implements Life {
  readonly transcript: string[] = [];
  readonly problems: string[] = [];
  readonly #troubled: boolean;
  readonly #counts: Map<string, number>;
  readonly #world = new World();
  readonly #platform: Platform;
  readonly #script: CallScript;
  /** What goes wrong; the script has rng of its own, the same for both. */
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

  async live(): Promise<void> {
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
      if (this.#script.rng.chance(0.1)) await this.#look();
      this.problems.push(...watchProblems(storedTask(1, this.#tables())));
    }
    this.#platform.faults = NO_FAULTS;
    await this.#rest();
    await this.#look();
    this.#note("rows", this.#left());
    this.#note("history", this.#history());
    await this.#goAndComeBack(refusals);
  }

  /** Until the next call; what the object does by itself meanwhile may be refused a write, too. */
  async #wait(untilMs: number, refusals: number): Promise<void> {
    if (this.#troubled && this.#trouble.chance(refusals)) this.#refuseWrites();
    await this.#world.until(untilMs);
    this.#writesSucceed();
  }

  /** Time for all that is owed; an object that has nothing to do sleeps. */
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

  /** One call of the script, in a world of trouble; what it was answered in the end is noted. */
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

  /** Calls at one instant: one after the other for the calm replica, all at once for the troubled one. */
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
      // They have been decided, and wait for their row.
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
    // The rows of a backup say what is due when, and that may be later after a reset.
    const said = method === "restoreRows" ? "rows" : this.#script.plain(args);
    this.#note(`${method} ${said}`, method === "backupPage" ? "a page" : answer);
  }

  /** What a call is answered, or that it was refused. */
  async #answer({ method, args }: ScriptedCall): Promise<unknown> {
    const answer = await this.#call(method, args).catch(() => REFUSED);
    // Rows that are put back are refused with the database's own words.
    return JSON.stringify(answer)?.includes(FULL) ? REFUSED : answer;
  }

  async #call(method: string, args: unknown[] = []): Promise<unknown> {
    return await this.#platform.call("task", "1", method, args);
  }

  /** Everything that can be seen of the task. */
  async #look(): Promise<void> {
    const looks: [string, unknown[]][] = [
      ["view", []],
      ["frames", [{ limit: 1_000 }]],
      ["frames", [{ limit: 1_000, states: ["done", "failed"] }]],
      ["files", [{ limit: 1_000 }]],
      ["timings", [{ limit: 1_000 }]],
      ["log", [{ tail: 50, limit: 50 }]],
      ["shareGeneration", []],
    ];
    for (const [method, args] of looks) this.#note(method, await this.#during(this.#call(method, args)));
  }

  /** Backed up and removed; then submitted anew, or restored, under its number: nothing of the old object may be there. */
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
      await this.#look();
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

  /** As D1 tells it. When an alarm rang, to the millisecond, is not the object's to say. */
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

/** Where two texts part, and a little of what is round it. */
function difference(one: string, other: string): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const cut = (text: string): string => text.slice(Math.max(0, at - 60), at + 100);
  return `${one.slice(0, 100)}\n    undisturbed …${cut(one)}\n    troubled    …${cut(other)}`;
}
