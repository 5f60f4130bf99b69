/**
 * A simulated agent: the protocol of `tablao worker` without a renderer. It claims with a key,
 * uploads under the grant, renews, settles with receipts and asks for the next lease in the same
 * call. It repeats a call without an answer with the same body, and sends nothing more of a lease
 * after a 409. It can be killed, frozen and thawed at any await.
 */
import { claimedSchema, renewedSchema, settledSchema, type Claimed, type Lease } from "../../src/protocol/lease.ts";
import { receiptSchema } from "../../src/protocol/file.ts";
import { parseFrameList, framesOf } from "../../src/protocol/frame-list.ts";
import { workerPatchedSchema } from "../../src/protocol/worker.ts";
import type { Rng } from "./rng.ts";
import { mayRender, type Machine } from "./blender-rules.ts";
import { outputId, renderId, type Journal } from "./event-journal.ts";
import { NoAnswer, type Answer, type Call, type LeaseVerb, type Port } from "./port.ts";

export interface Habits {
  /** Milliseconds that a frame takes. */
  renderMs: [number, number];
  /** Probability that a frame fails to render, and that a lease is released after a frame. */
  fail: number;
  release: number;
  /**
   * Checks its own clock before it goes on with an old lease, as the real agent does. Without this
   * check, only the manager's attempt numbers protect the frames.
   */
  careful: boolean;
  /** Milliseconds between two requests for work while there is none. */
  idleMs: number;
}

export interface AgentOptions {
  worker: number;
  rng: Rng;
  port: Port;
  journal: Journal;
  habits: Habits;
  /** Its Blenders; absent where the run has none. */
  machine?: Machine;
  /** Tasks that it claims now and then although the manager named another one, as after an old answer. */
  strays?: readonly number[];
  sleep: (ms: number) => Promise<void>;
  now: () => number;
}

/** One run of the agent's process. */
interface AgentProcess {
  dead: boolean;
}

class Dead extends Error {}
/** The lease does not belong to this agent any more. */
class Lost extends Error {}

interface Held {
  lease: Lease;
  grant: string;
  untilMs: number;
  renewedMs: number;
  done: { frame: number; seconds: number; receipts: string[] }[];
}

export class SimulatedAgent {
  readonly worker: number;
  readonly #o: AgentOptions;
  #process: AgentProcess = { dead: true };
  #frozenUntilMs = 0;
  #wakeUp: (() => void) | undefined;
  #canceled = new Set<string>();
  #stopping = false;
  running: Promise<void> = Promise.resolve();

  constructor(options: AgentOptions) {
    this.#o = options;
    this.worker = options.worker;
  }

  /** Start the process. */
  start(): void {
    const proc = { dead: false };
    this.#process = proc;
    this.running = this.#run(proc).catch((error: unknown) => {
      if (!(error instanceof Dead)) this.#o.journal.surprise(`agent ${this.worker} ended: ${String(error)}`);
    });
  }

  /** `kill -9`: nothing more that this process does has any effect outside it. */
  kill(): void {
    this.#process.dead = true;
    this.#wakeUp?.();
  }

  /** SIGSTOP, and SIGCONT after `ms`. */
  freeze(ms: number): void {
    this.#frozenUntilMs = this.#o.now() + ms;
  }

  /** Take no more work when the present lease is over. */
  stop(): void {
    this.#stopping = true;
    this.#wakeUp?.();
  }

  /** There may be work. */
  wake(): void {
    this.#wakeUp?.();
  }

  /** The manager has pushed that these leases are canceled. */
  cancel(leases: readonly string[]): void {
    for (const id of leases) this.#canceled.add(id);
  }

  async #run(proc: AgentProcess): Promise<void> {
    let refused: { task_id: number; retry_after_ms: number } | undefined;
    while (!this.#stopping) {
      const answer = await this.#until(proc, { verb: "ask", refused });
      refused = undefined;
      if (!isOk(answer)) {
        await this.#idle(proc);
        continue;
      }
      const { task_id: task, epoch } = workerPatchedSchema.parse(answer.body);
      if (task === null) {
        await this.#idle(proc);
        continue;
      }
      let claimed = await this.#claim(proc, this.#strayTo() ?? task, epoch);
      while (claimed?.lease) claimed = await this.#serve(proc, claimed.lease, epoch);
      if (claimed?.reason === "blender") this.#o.journal.count("Blender: refused at the claim");
      if (claimed && claimed.reason !== "outranked")
        refused = { task_id: task, retry_after_ms: Math.min(claimed.retry_after_ms ?? 1_000, 1_000) };
      else await this.#sleep(proc, 20);
    }
  }

  #strayTo(): number | undefined {
    const { strays = [], rng } = this.#o;
    return strays.length > 0 && rng.chance(0.1) ? rng.pick(strays) : undefined;
  }

  async #claim(proc: AgentProcess, task: number, epoch: number): Promise<Claimed | undefined> {
    const body = { key: this.#key(), platform: "linux", epoch } as const;
    const answer = await this.#until(proc, { verb: "claim", task, body });
    return isOk(answer) ? claimedSchema.parse(answer.body) : undefined;
  }

  #key(): string {
    return `key-${this.worker}-${this.#o.rng.word(12)}`;
  }

  /** Render a lease to its end; returns the lease that its settlement claimed next. */
  async #serve(proc: AgentProcess, lease: Lease, epoch: number): Promise<Claimed | undefined> {
    const { rng, habits, journal, now } = this.#o;
    const held: Held = { lease, grant: lease.grant, untilMs: now() + lease.lease_ms, renewedMs: now(), done: [] };
    const next = () => (this.#stopping || rng.chance(0.1) ? null : { key: this.#key(), platform: "linux", epoch });
    journal.count("leases");
    const blender = this.#blenderOf(lease);
    try {
      const list = parseFrameList(lease.frames);
      for (const frame of list.ok ? framesOf(list.value) : []) {
        await this.#render(proc, held, rng.int(...habits.renderMs));
        if (rng.chance(habits.fail)) {
          const body = { frames: String(frame), error: `simulated failure of frame ${frame}`, next: next() };
          return await this.#settle(proc, held, "fail", body);
        }
        if (blender) journal.rendered.set(renderId(lease.task_id, lease.attempt, frame), blender);
        const receipts = await this.#upload(proc, held, frame);
        held.done.push({ frame, seconds: rng.int(1, 400) / 100, receipts });
        if (rng.chance(habits.release)) return await this.#settle(proc, held, "release", { reason: "stopping" });
        if (rng.chance(0.25)) await this.#renew(proc, held);
      }
      return await this.#settle(proc, held, "complete", { next: next() });
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      journal.count("lost leases");
      return undefined;
    }
  }

  /** The Blender with which it renders a lease, as the real agent chooses; undefined where none is needed. */
  #blenderOf({ task_id: task, plan }: Lease): { version: string; isTold: boolean } | undefined {
    if (plan.command.program !== "blender") return undefined;
    const { blenders, release } = this.#o.machine ?? { blenders: [], release: "0.2.0" };
    const need = plan.command.version;
    if (need !== undefined && release === "0.1.0")
      this.#o.journal.surprise(`P12: an agent of 0.1 was given a version in the plan of task ${task}`);
    const version = blenders.find((one) => mayRender(need, one));
    if (version === undefined)
      this.#o.journal.surprise(`P12: worker ${this.worker} with ${blenders.join(", ")} got task ${task} of ${need}`);
    return { version: version ?? "0.0.0", isTold: release !== "0.1.0" };
  }

  async #render(proc: AgentProcess, held: Held, ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= 100) {
      await this.#sleep(proc, Math.min(leftMs, 100));
      if (this.#o.now() - held.renewedMs > held.lease.lease_ms / 3) await this.#renew(proc, held);
    }
  }

  async #upload(proc: AgentProcess, held: Held, frame: number): Promise<string[]> {
    const { rng, journal, now } = this.#o;
    const { task_id: task, attempt, plan } = held.lease;
    const name = plan.outputs.find((output) => output.frame === frame)?.name;
    if (name === undefined) return [];
    const bytes = `task ${task} frame ${frame} attempt ${attempt} by ${this.worker} ${rng.word(rng.int(8, 400))}`;
    journal.sent.set(outputId(task, attempt, name), bytes);
    const inParts = rng.chance(0.15);
    for (let tries = 0; ; tries++) {
      // Each try has the newest grant: the grant of the first try may have expired.
      const call: Call = { verb: "upload", task, name, grant: held.grant, bytes, inParts };
      const answer = await this.#try(proc, held, call);
      if (answer && isOk(answer)) return [receiptSchema.parse(answer.body).receipt];
      if (answer) throw this.#lost(call, answer);
      await this.#sleep(proc, this.#backoffMs(tries));
      if (now() - held.renewedMs > held.lease.lease_ms / 3) await this.#renew(proc, held);
    }
  }

  async #renew(proc: AgentProcess, held: Held): Promise<void> {
    const { lease, done } = held;
    const body = { attempt: lease.attempt, done: this.#o.rng.chance(0.7) ? [...done] : [], progress: 0.5 };
    const call: Call = { verb: "renew", task: lease.task_id, lease: lease.lease_id, body };
    held.renewedMs = this.#o.now();
    const answer = await this.#try(proc, held, call);
    if (!answer) return;
    if (!isOk(answer)) throw this.#lost(call, answer);
    const renewed = renewedSchema.parse(answer.body);
    held.grant = renewed.grant;
    held.untilMs = held.renewedMs + renewed.lease_ms;
    this.#acknowledge(held, body.done);
  }

  async #settle(proc: AgentProcess, held: Held, verb: LeaseVerb, more: object): Promise<Claimed | undefined> {
    const { lease, done } = held;
    const body = { attempt: lease.attempt, done: [...done], ...more };
    const call: Call = { verb, task: lease.task_id, lease: lease.lease_id, body };
    for (let tries = 0; ; tries++) {
      const answer = await this.#try(proc, held, call);
      if (answer && !isOk(answer)) {
        const { task_id: task, attempt } = lease;
        const frames = done.map((d) => d.frame);
        if (verb === "complete") this.#o.journal.refused.push({ task, attempt, worker: this.worker, frames });
        throw this.#lost(call, answer);
      }
      if (answer) {
        this.#acknowledge(held, done);
        return settledSchema.parse(answer.body).next ?? undefined;
      }
      await this.#sleep(proc, this.#backoffMs(tries));
    }
  }

  #acknowledge(held: Held, done: Held["done"]): void {
    if (done.length === 0) return;
    const { task_id: task, attempt } = held.lease;
    const frames = done.map((d) => d.frame);
    this.#o.journal.acknowledged.push({ task, attempt, worker: this.worker, frames });
    this.#o.journal.count("acknowledged frames", frames.length);
  }

  /**
   * 409, and 404 of a deleted task, mean a lost lease. An agent that follows the protocol must get
   * no other refusal.
   */
  #lost(call: Call, answer: Answer): Lost {
    if (answer.status !== 409 && answer.status !== 404)
      this.#o.journal.surprise(`${call.verb} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
    return new Lost(String(answer.status));
  }

  /** One try of a call about a lease; undefined without an answer. */
  async #try(proc: AgentProcess, held: Held, call: Call): Promise<Answer | undefined> {
    if (this.#canceled.has(held.lease.lease_id)) throw new Lost("canceled");
    await this.#gate(proc);
    if (this.#o.habits.careful && call.verb !== "complete" && this.#o.now() > held.untilMs) throw new Lost("ran out");
    return await this.#once(proc, call);
  }

  async #once(proc: AgentProcess, call: Call): Promise<Answer | undefined> {
    this.#o.journal.count("calls");
    let answer: Answer | undefined;
    try {
      answer = await this.#o.port.call(call);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.#o.journal.count("unanswered");
    }
    await this.#gate(proc);
    return answer;
  }

  async #until(proc: AgentProcess, call: Call): Promise<Answer> {
    for (let tries = 0; ; tries++) {
      const answer = await this.#once(proc, call);
      if (answer) return answer;
      await this.#sleep(proc, this.#backoffMs(tries));
    }
  }

  #backoffMs(tries: number): number {
    return 20 + this.#o.rng.next() * Math.min(800, 50 * 2 ** tries);
  }

  async #sleep(proc: AgentProcess, ms: number): Promise<void> {
    await this.#o.sleep(ms);
    await this.#gate(proc);
  }

  async #idle(proc: AgentProcess): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.#wakeUp = resolve));
    await Promise.race([woken, this.#o.sleep(this.#o.habits.idleMs)]);
    this.#wakeUp = undefined;
    await this.#gate(proc);
  }

  /** Stops a killed process; makes a frozen one wait. */
  async #gate(proc: AgentProcess): Promise<void> {
    for (;;) {
      if (proc.dead) throw new Dead();
      const leftMs = this.#frozenUntilMs - this.#o.now();
      if (leftMs <= 0) return;
      await this.#o.sleep(leftMs);
    }
  }
}

function isOk(answer: Answer): boolean {
  return answer.status >= 200 && answer.status < 300;
}
