/**
 * The agent's side of self-updates: notices that the manager serves another program than the one that runs,
 * asks whether it may fetch it, fetches and checks it, and ends the agent when its frames are finished. The
 * keeper (`keeper.ts`) starts the new one.
 */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { messageOf } from "../../lib/errors.ts";
import {
  programRecordSchema,
  programReportedSchema,
  PROGRAM_GZIP_NAME,
  PROGRAM_RECORD_NAME,
  type ProgramRecord,
  type ProgramReport,
} from "../../protocol/program.ts";
import type { Logger } from "../log.ts";
import type { AgentMessage } from "./messages.ts";
import type { ProgramFolder } from "./program-folder.ts";

/** How often the agent looks. The record is a static file, which costs the manager nothing. */
const LOOK_MS = 600_000;

export interface UpdaterOptions {
  client: ManagerClient;
  workerId: number;
  folder: ProgramFolder;
  /** The SHA-256 of the program that runs. */
  own: string;
  tell: (message: AgentMessage) => void;
  /** Begin nothing more, and end when the frames that are being rendered are finished. */
  finish: () => void;
  log: Logger;
  signal: AbortSignal;
  lookMs?: number;
}

export class Updater {
  readonly #options: UpdaterOptions;
  #look = new AbortController();
  #proven = false;
  #told = "";
  #why: string | null = null;

  constructor(options: UpdaterOptions) {
    this.#options = options;
  }

  /** Look now: the manager may have been replaced. */
  lookNow(): void {
    this.#look.abort();
  }

  /** A lease was finished with this program. */
  leaseFinished(): void {
    if (this.#proven) return;
    this.#proven = true;
    this.#options.tell({ type: "proven" });
    this.lookNow();
  }

  /** Look until a program was fetched, or the signal fires. Never rejects. */
  async run(): Promise<void> {
    const { signal, lookMs = LOOK_MS, log } = this.#options;
    while (!signal.aborted) {
      let waitMs = lookMs * (0.9 + Math.random() * 0.2);
      try {
        const asked = await this.#ask();
        if (asked.update) {
          await this.#fetch(asked.update);
          return;
        }
        waitMs = Math.min(waitMs, asked.retryMs);
      } catch (error) {
        if (signal.aborted) return;
        log(`the manager's program could not be fetched: ${messageOf(error)}`);
      }
      await delay(waitMs, undefined, { signal: AbortSignal.any([signal, this.#look.signal]) }).catch(() => undefined);
      if (this.#look.signal.aborted) this.#look = new AbortController();
    }
  }

  /** Ask where that is needed: the manager serves another program, or does not know yet what runs here. */
  async #ask(): Promise<{ update: ProgramRecord | null; retryMs: number }> {
    const { client, folder, own, workerId, log, signal } = this.#options;
    const nothing = { update: null, retryMs: Infinity };
    const served = await this.#served();
    const failed = served !== null && folder.refused().includes(served.sha256);
    const report: ProgramReport = {
      sha256: own,
      proven: this.#proven,
      failed_sha256: failed ? served.sha256 : null,
    };
    const text = JSON.stringify(report);
    if ((served === null || served.sha256 === own || failed) && this.#told === text) return nothing;
    try {
      const path = `/workers/${workerId}/program`;
      const answer = await client.call(programReportedSchema, "PUT", path, { json: report, signal });
      this.#told = text;
      if (answer.why !== null && answer.why !== this.#why) log(`the manager serves another program: ${answer.why}`);
      this.#why = answer.why;
      return { update: failed ? null : answer.update, retryMs: answer.retry_after_ms };
    } catch (error) {
      // A manager of an earlier release has no such route.
      if (error instanceof ManagerError && (error.status === 404 || error.status === 405)) {
        this.#told = text;
        return nothing;
      }
      throw error;
    }
  }

  /** What the manager serves; null where it serves none. */
  async #served(): Promise<ProgramRecord | null> {
    const { client, signal } = this.#options;
    try {
      return await client.call(programRecordSchema, "GET", `/${PROGRAM_RECORD_NAME}`, { signal });
    } catch (error) {
      if (error instanceof ManagerError && error.status === 404) return null;
      throw error;
    }
  }

  async #fetch({ sha256, bytes, version }: ProgramRecord): Promise<void> {
    const { client, folder, signal, log, tell, finish } = this.#options;
    const response = await client.send("GET", `/${PROGRAM_GZIP_NAME}`, { signal });
    const program = gunzipSync(await response.arrayBuffer(), { maxOutputLength: bytes });
    if (createHash("sha256").update(program).digest("hex") !== sha256)
      throw new Error("its SHA-256 is not the one that the manager named");
    tell({ type: "update", file: folder.store(sha256, program) });
    log(`fetched the manager's program, version ${version}: it starts when what is being rendered is finished`);
    finish();
  }
}
