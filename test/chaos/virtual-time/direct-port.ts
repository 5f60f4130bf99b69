/**
 * A worker's connection to the manager inside one process: the edge's checks, the objects' own
 * methods, and a faulty network.
 */
import { createHash } from "node:crypto";
import type { z } from "zod";
import {
  claimSchema,
  completeSchema,
  failSchema,
  releaseSchema,
  renewSchema,
  type DoneFrame,
} from "../../../src/protocol/lease.ts";
import { PROBLEMS, type Refusal } from "../../../src/protocol/problem.ts";
import { ok, type Result } from "../../../src/lib/result.ts";
import type { UnsignedSettled, Verified, TaskRpc, WorkerRef } from "../../../src/rpc/task.ts";
import type { Rng } from "../rng.ts";
import type { Journal } from "../event-journal.ts";
import { NoAnswer, type Answer, type Call, type Port } from "../port.ts";
import type { Platform } from "./platform.ts";
import type { Product } from "./product.ts";
import type { World } from "./world.ts";

const FATES = ["drop request", "drop reply", "delay", "double", "late", "half open"] as const;
const TIMEOUT_MS = 1_500;

export interface Network {
  /** Probability that something happens to a message. */
  rate: number;
  inFlight: number;
}

export interface DirectPortOptions {
  product: Product;
  platform: Platform;
  world: World;
  network: Network;
  worker: number;
  /** The Blenders that the agent names with its calls; absent: none. */
  blenders?: readonly string[];
  rng: Rng;
  journal: Journal;
}

interface LeaseCall {
  task: number;
  lease: string;
  body: Record<string, unknown>;
}

type Verb<T, A> = (task: TaskRpc, worker: WorkerRef, leaseId: string, body: Verified<T>) => Promise<Result<A, Refusal>>;

export class DirectPort implements Port {
  readonly #o: DirectPortOptions;
  #calls = 0;

  constructor(options: DirectPortOptions) {
    this.#o = options;
  }

  get #caller(): WorkerRef {
    const { worker, blenders } = this.#o;
    return { id: worker, ...(blenders && { blenders: [...blenders] }) };
  }

  async call(call: Call): Promise<Answer> {
    const { world, network, journal } = this.#o;
    const rng = this.#o.rng.fork(++this.#calls);
    const fate = rng.chance(network.rate) ? rng.pick(FATES) : "pass";
    if (fate !== "pass") journal.count(fate);
    const late = async (ms: number): Promise<Answer> => {
      network.inFlight++;
      await world.sleep(ms);
      return await this.#serve(call).finally(() => network.inFlight--);
    };
    const travel = rng.int(1, 15);
    switch (fate) {
      case "pass":
        return await this.#within(late(travel));
      case "delay":
        return await this.#within(late(rng.int(50, 2_500)));
      case "drop request":
        await world.sleep(travel);
        throw new NoAnswer(fate);
      case "drop reply":
        await late(travel).catch(() => undefined);
        throw new NoAnswer(fate);
      case "double":
        void late(travel + rng.pick([0, 3, 500, 6_500])).catch(() => undefined);
        return await this.#within(late(travel));
      case "late":
        void late(rng.int(200, 6_500)).catch(() => undefined);
        throw new NoAnswer(fate);
      case "half open":
        if (rng.chance(0.5)) void late(travel).catch(() => undefined);
        await world.sleep(TIMEOUT_MS);
        throw new NoAnswer(fate);
    }
  }

  async #within(answer: Promise<Answer>): Promise<Answer> {
    answer.catch(() => undefined);
    const timeout = this.#o.world.sleep(TIMEOUT_MS).then((): never => {
      throw new NoAnswer("timed out");
    });
    timeout.catch(() => undefined);
    return await Promise.race([answer, timeout]);
  }

  async #serve(call: Call): Promise<Answer> {
    try {
      return answerOf(await this.#carryOut(call));
    } catch (error) {
      const { retryable, overloaded } = error as { retryable?: boolean; overloaded?: boolean };
      if (!retryable && !overloaded)
        this.#o.journal.surprise(`P10: ${call.verb} threw ${error instanceof Error ? error.stack : String(error)}`);
      throw new NoAnswer("5xx");
    }
  }

  async #carryOut(call: Call): Promise<Result<unknown, Refusal>> {
    const { product, platform, worker } = this.#o;
    const { env } = platform;
    const caller = { role: "worker", id: worker, name: `worker:${worker}` } as const;
    switch (call.verb) {
      case "ask": {
        const patch = { status: "available" as const, ...(call.refused && { refused: call.refused }) };
        return await product.callRegistry(env, (registry) => registry.patchWorker(worker, patch, caller, "127.0.0.1"));
      }
      case "upload":
        return await this.#upload(call);
      case "claim": {
        const claim = claimSchema.parse(call.body);
        const given = await product.callTask(env, call.task, (task) => task.claim(this.#caller, claim));
        return given.ok ? ok(await product.grantedClaim(env, worker, given.value)) : given;
      }
      case "renew": {
        const renewed = await this.#verb(call, renewSchema, async (task, ...rest) => await task.renew(...rest));
        if (!renewed.ok) return renewed;
        const lease = { task: call.task, lease_id: call.lease, attempt: Number(call.body["attempt"]), worker };
        return ok(await product.grantedRenewal(env, lease, renewed.value));
      }
      case "complete":
        return await this.#settlement(call, completeSchema, async (task, ...rest) => await task.complete(...rest));
      case "fail":
        return await this.#settlement(call, failSchema, async (task, ...rest) => await task.fail(...rest));
      case "release":
        return await this.#settlement(call, releaseSchema, async (task, ...rest) => await task.release(...rest));
    }
  }

  async #settlement<T extends { done: DoneFrame[] }>(
    call: LeaseCall,
    schema: z.ZodType<T>,
    verb: Verb<T, UnsignedSettled>,
  ): Promise<Result<unknown, Refusal>> {
    const { product, platform, worker } = this.#o;
    const settled = await this.#verb(call, schema, verb);
    if (!settled.ok) return settled;
    const { next } = settled.value;
    return ok({ ...settled.value, next: next && (await product.grantedClaim(platform.env, worker, next)) });
  }

  async #verb<T extends { done: DoneFrame[] }, A>(
    call: LeaseCall,
    schema: z.ZodType<T>,
    verb: Verb<T, A>,
  ): Promise<Result<A, Refusal>> {
    const { product, platform } = this.#o;
    const body = await product.verifiedReceipts(platform.env, schema.parse(call.body));
    if (!body.ok) return body;
    return await product.callTask(platform.env, call.task, (task) => verb(task, this.#caller, call.lease, body.value));
  }

  /**
   * What `PUT …/outputs/{name}` does: the grant decides, the first bytes stay, a receipt is signed.
   */
  async #upload(call: Extract<Call, { verb: "upload" }>): Promise<Result<unknown, Refusal>> {
    const { product, platform, world } = this.#o;
    const key = await product.signingKey(platform.env);
    const grant = await product.verifyGrant(key, call.grant, Date.now());
    if (!grant.ok) return grant;
    const { task, attempt } = grant.value;
    const object = `tasks/${task}/${attempt}/${call.name}`;
    // Bytes take time, and their grant may expire meanwhile.
    await world.sleep(this.#o.rng.int(0, 300));
    const present = platform.objects.get(object);
    if (present && present.text !== call.bytes)
      return { ok: false, error: { code: "conflict", detail: "other bytes are there" } };
    if (!present) platform.objects.set(object, { text: call.bytes, uploadedMs: Date.now() });
    const size = Buffer.byteLength(call.bytes);
    const sha256 = createHash("sha256").update(call.bytes).digest("hex");
    const receipt = await product.signReceipt(key, { task, attempt, name: call.name, size, sha256 });
    return { ok: true, value: { receipt, name: call.name, size, sha256 } };
  }
}

function answerOf(result: Result<unknown, Refusal>): Answer {
  if (result.ok) return { status: 200, body: result.value };
  const { status } = PROBLEMS[result.error.code];
  if (status >= 500) throw new NoAnswer(result.error.code);
  return { status, body: result.error };
}
