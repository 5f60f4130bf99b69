/**
 * Uploads the files of a lease under its newest grant. An upload that does not get through for a
 * while is told in the task's log. When renewals get through all the same, it is given up later:
 * another worker may be on a better network.
 */
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { FileChanged, uploadOutput } from "../client/upload.ts";
import type { LeaseRenewer } from "./lease-renewer.ts";
import type { LogBuffer } from "./log-buffer.ts";
import { undeliverable } from "./release-lease.ts";

/**
 * An upload that fails for this long is told in the task's log. Longer, and with the wait for the
 * next try the people who wait for the frame would not know within 2 minutes (P13); shorter, and
 * each deploy of the manager would be in the log.
 */
const TELL_AFTER_MS = 30_000;
/**
 * An upload is given up after failing for so long while renewals get through: a firewall may refuse
 * the content of the file for ever (P13). Shorter, and a rule that is mended soon costs the
 * finished frame.
 */
const GIVE_UP_AFTER_MS = 30 * 60_000;

export interface LeaseUploadsOptions {
  client: ManagerClient;
  taskId: number;
  renewer: LeaseRenewer;
  /** The task's log. */
  log: LogBuffer;
  /** Fires when nothing more is to be uploaded. */
  signal: AbortSignal;
  /** Instead of `TELL_AFTER_MS` and `GIVE_UP_AFTER_MS`. */
  limits?: { tellAfterMs: number; giveUpAfterMs: number } | undefined;
}

/** An upload that fails. Times are monotonic. */
interface Failing {
  sinceMs: number;
  /** Whether the task's log has it. */
  told: boolean;
  /** Since when a renewal has got through, so that only the upload is stopped. */
  aloneSinceMs: number | undefined;
}

export class LeaseUploads {
  readonly #options: LeaseUploadsOptions;
  /** By file name. */
  readonly #failing = new Map<string, Failing>();

  constructor(options: LeaseUploadsOptions) {
    this.#options = options;
  }

  /**
   * Upload one file, and answer with its receipt. A refused grant may only be an old one: a renewal
   * brings the newest, or tells that the lease is lost. Throws the signal's reason, `ManagerError`,
   * `FileChanged`, or a `ReleaseLease` when it is given up.
   */
  async upload(path: string, name: string): Promise<string> {
    const { client, taskId, renewer, signal } = this.#options;
    const givenUp = new AbortController();
    const options = {
      signal: AbortSignal.any([signal, givenUp.signal]),
      // As long as the lease is valid: frames that are rendered wait for a manager that is away.
      retryForMs: Infinity,
      onRetry: (error: ManagerError) => this.#failed(name, error, givenUp),
    };
    for (let tries = 1; ; tries++) {
      await renewer.ensureValid();
      try {
        const { receipt } = await uploadOutput(client, path, { taskId, name, grant: renewer.grant }, options);
        this.#failing.delete(name);
        return receipt;
      } catch (error) {
        options.signal.throwIfAborted();
        if (tries === 3) throw error;
        if (error instanceof ManagerError && (error.status === 409 || error.status === 403))
          await renewer.renewAndWait();
        else if (!(error instanceof FileChanged) && !(error instanceof ManagerError && error.status === 422))
          throw error;
      }
    }
  }

  #failed(name: string, error: ManagerError, givenUp: AbortController): void {
    const { log, renewer, limits } = this.#options;
    const now = performance.now();
    const failing = this.#failing.get(name) ?? { sinceMs: now, told: false, aloneSinceMs: undefined };
    this.#failing.set(name, failing);
    const text = `the upload of ${name} does not get through: ${error.message}`;
    if (!failing.told && now - failing.sinceMs >= (limits?.tellAfterMs ?? TELL_AFTER_MS)) {
      failing.told = true;
      log.add(`[${text}; trying again]`, now);
      // The next renewal may be hours away.
      renewer.renewNow();
    }
    if (renewer.renewedMs > failing.sinceMs) failing.aloneSinceMs ??= now;
    if (now - (failing.aloneSinceMs ?? now) >= (limits?.giveUpAfterMs ?? GIVE_UP_AFTER_MS))
      givenUp.abort(undeliverable(text));
  }
}
