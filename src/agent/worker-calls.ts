/** The calls of the agent outside its leases: to the registry, and the first claim from a task. */
import { z } from "zod";
import type { Claim } from "../protocol/lease.ts";
import { workerPatchedSchema, type LocalState, type WorkerPatched, type WorkerRegister } from "../protocol/worker.ts";
import type { DeclinedTask } from "./claim-loop.ts";
import { CannotStart } from "./identity.ts";
import { looseClaimedSchema, type LooseClaimed } from "./lease-calls.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import type { Logger } from "./log.ts";

type Measures = Pick<WorkerRegister, "update_frequent" | "update_less_frequent">;

/**
 * A request for work carries load figures when the last are older than this: with each request, an
 * agent with short frames would measure all the time.
 */
const MEASURES_AFTER_MS = 60_000;
/** That it fetches no more is tried for longer: the text would stay. */
const LAST_WORD_MS = 60_000;
/** A stopping agent does not wait longer to say so: it then shows as offline a minute later. */
const LEAVE_MS = 2_000;

export class WorkerCalls {
  readonly client: ManagerClient;
  readonly workerId: number;
  readonly #path: string;
  readonly #measure: () => Promise<Measures>;
  readonly #log: Logger;
  #measuredMs = performance.now();
  /** What the registry must know and could not be told yet; the next request for work carries it. */
  #untold: Partial<WorkerRegister> = {};
  /** Calls that say what the agent does, one after the other: the last word counts. */
  #saying: Promise<unknown> = Promise.resolve();

  constructor(client: ManagerClient, workerId: number, measure: () => Promise<Measures>, log: Logger) {
    this.client = client;
    this.workerId = workerId;
    this.#path = `/workers/${workerId}`;
    this.#measure = measure;
    this.#log = log;
  }

  /**
   * Ask for a task. Tries until the manager answers. Throws `CannotStart` when the manager itself
   * does not know this worker any more: the status of a refusal is never another server's.
   */
  async ask(refused: DeclinedTask | undefined, signal: AbortSignal): Promise<WorkerPatched> {
    const measures = performance.now() - this.#measuredMs > MEASURES_AFTER_MS ? await this.#measures() : {};
    const untold = this.#untold;
    const json = { status: "available", ...(refused && { refused }), ...measures, ...untold };
    try {
      const patched = await this.client.call(workerPatchedSchema, "PATCH", this.#path, {
        json,
        signal,
        retryForMs: Infinity,
      });
      if (this.#untold === untold) this.#untold = {};
      return patched;
    } catch (error) {
      if (error instanceof ManagerError && (error.status === 401 || error.status === 404)) {
        throw new CannotStart(
          "the manager does not know this worker any more (it was removed): start it with TABLAO_JOIN=TOKEN to register anew",
        );
      }
      throw error;
    }
  }

  /**
   * Claim from a task; null when it is gone or refuses. `claimedMs` is when the try that was
   * answered went out.
   */
  async claim(
    taskId: number,
    claim: Claim,
    signal: AbortSignal,
  ): Promise<{ claimed: LooseClaimed; claimedMs: number } | null> {
    let claimedMs = performance.now();
    const onTry = (startedMs: number) => (claimedMs = startedMs);
    try {
      const claimed = await this.client.call(looseClaimedSchema, "POST", `/tasks/${taskId}/leases`, {
        json: claim,
        signal,
        retryForMs: Infinity,
        onTry,
      });
      return { claimed, claimedMs };
    } catch (error) {
      if (!(error instanceof ManagerError)) throw error;
      if (error.status !== 404) this.#log(`task ${taskId} cannot be claimed: ${error.message}`);
      return null;
    }
  }

  /** Report the machine's load. A report that fails is not repeated: the next one replaces it. */
  async report(): Promise<void> {
    const json = await this.#measures();
    await this.client.call(z.unknown(), "PATCH", this.#path, { json, retryForMs: 0 }).catch(() => undefined);
  }

  /** Tell the registry what this worker offers now; where that fails, with the next request for work. */
  async offer(programs: Pick<WorkerRegister, "programs" | "versions">): Promise<void> {
    const untold = (this.#untold = programs);
    const told = await this.client.call(z.unknown(), "PATCH", this.#path, { json: programs, retryForMs: 0 }).then(
      () => true,
      // A manager of 0.1, which knows no versions, refuses them whenever they come.
      (error: unknown) => error instanceof ManagerError && !error.transient,
    );
    if (told && this.#untold === untold) this.#untold = {};
  }

  /** Say what this worker does beside rendering; null: nothing. A text that does not get through is not repeated. */
  async say(activity: string | null): Promise<void> {
    const retryForMs = activity === null ? LAST_WORD_MS : 0;
    const said = this.#saying.then(async () => {
      const call = this.client.call(z.unknown(), "PATCH", this.#path, { json: { activity }, retryForMs });
      await call.catch(() => undefined);
    });
    this.#saying = said;
    await said;
  }

  /**
   * Tell what somebody at the machine has asked of this agent. Tries until the manager answers. A manager up to 0.1
   * does not know the field and shows nothing of it.
   */
  async reportLocalState(local_state: LocalState, signal: AbortSignal): Promise<void> {
    try {
      const options = { json: { local_state }, signal, retryForMs: Infinity };
      await this.client.call(z.unknown(), "PATCH", this.#path, options);
    } catch (error) {
      if (!(error instanceof ManagerError && error.code === "invalid")) throw error;
    }
  }

  /**
   * Tell the registry that this worker goes offline, so that it need not wait for the worker's
   * silence.
   */
  async leave(): Promise<void> {
    await this.client
      .call(z.unknown(), "PATCH", this.#path, { json: { leaving: true }, timeoutMs: LEAVE_MS, retryForMs: 0 })
      .catch(() => undefined);
  }

  async #measures(): Promise<Measures> {
    this.#measuredMs = performance.now();
    return await this.#measure();
  }
}
