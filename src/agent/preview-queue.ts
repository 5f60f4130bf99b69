/**
 * The previews of one lease. Frames that are done wait a moment for others; then one run of ffmpeg
 * makes the previews of all that wait. Its previews are uploaded while the next run works. The
 * upload of a frame's own file never waits for a preview.
 */
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Semaphore } from "../lib/concurrency.ts";
import type { ManagerClient } from "../client/manager-client.ts";
import { makePreviews, previewName, type PreviewFile, type PreviewOptions } from "./preview.ts";
import type { Programs } from "./programs.ts";
import { uploadOutput } from "../client/upload.ts";

/**
 * With so many files, the start of ffmpeg is a small part of a run; more would delay the first
 * preview of the run.
 */
const FRAMES_PER_RUN = 32;
/**
 * How long a run waits for more frames. The next call of the lease, which carries the previews, is
 * mostly later than that.
 */
const BATCH_WAIT_MS = 1_000;
/** Previews are small: with fewer at a time, round trips would take longer than the bytes. */
const UPLOADS_IN_FLIGHT = 4;
/**
 * How long the upload of a preview is tried; longer, and it would hold up the previews after it.
 */
const UPLOAD_RETRY_MS = 10_000;
/**
 * How long the end of a lease waits for previews. Most are there before; the others are left out.
 */
const WAIT_MS = 5_000;

export interface QueueOptions extends PreviewOptions {
  /** Instead of `BATCH_WAIT_MS`. */
  batchWaitMs?: number;
}

interface Waiting extends PreviewFile {
  made: (made: boolean) => void;
}

export class PreviewQueue {
  readonly #options: QueueOptions;
  readonly #upload: (file: string, name: string) => Promise<string>;
  readonly #waiting: Waiting[] = [];
  readonly #uploads = new Semaphore(UPLOADS_IN_FLIGHT);
  /** The newest preview of each output, while it is being made or uploaded. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** The receipt of each output's preview that was uploaded. */
  readonly #receipts = new Map<string, string>();
  #working = false;
  #flushed = false;
  #endWait = (): void => undefined;
  #count = 0;

  /**
   * `upload` answers with the receipt of a preview. When the signal fires, previews under way end
   * without one.
   */
  constructor(options: QueueOptions, upload: (file: string, name: string) => Promise<string>) {
    this.#options = options;
    this.#upload = upload;
    options.signal.addEventListener("abort", () => this.flush(), { once: true });
  }

  /**
   * Make and upload the preview of an output, if it can have one. It replaces a preview of the file
   * as it was before.
   */
  add(file: string, output: string): void {
    const name = previewName(output);
    if (name === undefined) return;
    this.#receipts.delete(output);
    const before = this.#underWay.get(output);
    const underWay = this.#makeAndUpload(file, name, before).then((receipt) => {
      if (this.#underWay.get(output) !== underWay) return;
      this.#underWay.delete(output);
      if (receipt !== undefined) this.#receipts.set(output, receipt);
    });
    this.#underWay.set(output, underWay);
  }

  isUnderWay(output: string): boolean {
    return this.#underWay.has(output);
  }

  /** The receipt of an output's preview; undefined while there is none. */
  receiptOf(output: string): string | undefined {
    return this.#receipts.get(output);
  }

  /** Wait for no more frames: the last file of the lease is written. */
  flush(): void {
    this.#flushed = true;
    this.#endWait();
  }

  /** Wait until all previews that were begun have ended, at most `WAIT_MS`. */
  async ended(): Promise<void> {
    if (this.#underWay.size === 0) return;
    this.flush();
    const over = new AbortController();
    const timeLimit = delay(WAIT_MS, undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#underWay.values()), timeLimit]);
    over.abort();
  }

  /**
   * Make and upload one preview; answers with the receipt, or undefined when that failed. Never
   * rejects.
   */
  async #makeAndUpload(file: string, name: string, before: Promise<void> | undefined): Promise<string | undefined> {
    // Not the output's name: ffmpeg gives a meaning to some characters.
    const target = path.join(this.#options.folder, `preview-${++this.#count}.jpg`);
    const made = new Promise<boolean>((resolve) => {
      this.#waiting.push({ file, target, made: resolve });
    });
    if (this.#waiting.length >= FRAMES_PER_RUN) this.#endWait();
    if (!this.#working) void this.#work();
    if (!(await made)) return undefined;
    // Uploads of one name must not overtake each other: the last receipt must be for what the
    // manager has in the end.
    await before;
    return await this.#uploads.run(() => this.#upload(target, name)).catch(() => undefined);
  }

  async #work(): Promise<void> {
    this.#working = true;
    while (this.#waiting.length > 0) {
      await this.#waitForMore();
      const files = this.#waiting.splice(0, FRAMES_PER_RUN);
      const made = await makePreviews(files, this.#options);
      for (const [i, file] of files.entries()) file.made(made[i]!);
    }
    this.#working = false;
  }

  async #waitForMore(): Promise<void> {
    if (this.#flushed || this.#waiting.length >= FRAMES_PER_RUN) return;
    const { batchWaitMs = BATCH_WAIT_MS } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, batchWaitMs);
      this.#endWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/**
 * The queue for a lease; undefined on a machine without ffmpeg. `grant` answers with the header
 * that has the lease's newest grant for uploads.
 */
export function previewsOf(
  { client, allowed }: { client: ManagerClient; allowed: { programs: Programs } },
  taskId: number,
  folder: string,
  signal: AbortSignal,
  grant: () => Record<string, string>,
): PreviewQueue | undefined {
  const command = allowed.programs.ffmpeg?.command;
  if (!command) return undefined;
  return new PreviewQueue({ command, folder, signal }, async (file, name) => {
    const target = { taskId, name, grant: grant() };
    return (await uploadOutput(client, file, target, { signal, retryForMs: UPLOAD_RETRY_MS })).receipt;
  });
}
