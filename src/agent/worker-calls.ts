/** What the agent asks of the registry, and the claim at a task. */
import { z } from "zod";
import type { Claim } from "../protocol/lease.ts";
import { workerPatchedSchema, type WorkerPatched, type WorkerRegister } from "../protocol/worker.ts";
import type { Refused } from "./claim-loop.ts";
import { CannotStart } from "./identity.ts";
import { looseClaimedSchema, type LooseClaimed } from "./lease-calls.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import type { Say } from "./say.ts";

type Measures = Pick<WorkerRegister, "update_frequent" | "update_less_frequent">;

/** Load figures ride on a question when the last ones are older than this. */
const MEASURES_AFTER_MS = 60_000;
const LEAVE_MS = 2_000;

export class WorkerCalls {
  readonly client: ManagerClient;
  readonly #path: string;
  readonly #measure: () => Promise<Measures>;
  readonly #say: Say;
  #measuredMs = performance.now();

  constructor(client: ManagerClient, workerId: number, measure: () => Promise<Measures>, say: Say) {
    this.client = client;
    this.#path = `/workers/${workerId}`;
    this.#measure = measure;
    this.#say = say;
  }

  /** Ask for a task. Tries for as long as it takes; throws `CannotStart` when the manager does not know this worker any more. */
  async ask(refused: Refused | undefined, signal: AbortSignal): Promise<WorkerPatched> {
    const measures = performance.now() - this.#measuredMs > MEASURES_AFTER_MS ? await this.#measures() : {};
    const json = { status: "available", ...(refused && { refused }), ...measures };
    try {
      return await this.client.call(workerPatchedSchema, "PATCH", this.#path, { json, signal, retryForMs: Infinity });
    } catch (error) {
      if (error instanceof ManagerError && (error.status === 401 || error.status === 404)) {
        throw new CannotStart(
          "the manager does not know this worker any more (it was removed): start it with --join TOKEN to register anew",
        );
      }
      throw error;
    }
  }

  /** Claim from a task; null when it is gone or cannot be claimed. */
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
      if (error.status !== 404) this.#say(`task ${taskId} cannot be claimed: ${error.message}`);
      return null;
    }
  }

  /** Tell how the machine is. A report that does not arrive is no loss. */
  async report(): Promise<void> {
    const json = await this.#measures();
    await this.client.call(z.unknown(), "PATCH", this.#path, { json, retryForMs: 0 }).catch(() => undefined);
  }

  /** Offline on purpose: others need not wait for the silence. */
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
