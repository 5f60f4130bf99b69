/**
 * Previews of one lease on their way: frames are gathered while the renderer goes on, for one run of ffmpeg after the other
 * with whatever waits, and what a run has made is uploaded while the next one works. No frame's own upload waits for one.
 */
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Semaphore } from "../lib/concurrency.ts";
import type { ManagerClient } from "../client/manager-client.ts";
import { makePreviews, previewName, type PreviewFile, type PreviewOptions } from "./preview.ts";
import type { Programs } from "./programs.ts";
import { uploadOutput } from "../client/upload.ts";

/** ffmpeg's start is then a small part of a run. */
const FRAMES_PER_RUN = 32;
/** Nobody sees a preview before the next call of the lease; frames that take longer than this have a run each. */
const GATHER_MS = 1_000;
/** They are small: it is round trips that take time, not the uplink. */
const UPLOADS_IN_FLIGHT = 4;
/** A manager that does not take a preview is not asked for longer. */
const UPLOAD_RETRY_MS = 10_000;
/** The end of a lease does not wait longer for previews of frames that are done: they are mostly there before. */
const WAIT_MS = 5_000;

export interface QueueOptions extends PreviewOptions {
  /** How long a run waits for more frames. */
  gatherMs?: number;
}

interface Waiting extends PreviewFile {
  made: (made: boolean) => void;
}

export class PreviewQueue {
  readonly #options: QueueOptions;
  readonly #upload: (file: string, name: string) => Promise<string>;
  readonly #waiting: Waiting[] = [];
  readonly #uploads = new Semaphore(UPLOADS_IN_FLIGHT);
  /** By output: the newest preview that is on its way … */
  readonly #underWay = new Map<string, Promise<void>>();
  /** … or has arrived. */
  readonly #receipts = new Map<string, string>();
  #working = false;
  #hurried = false;
  #gathered = (): void => undefined;
  #count = 0;

  /** `upload` answers with the receipt of a preview. When the signal fires, all that is on its way ends without one. */
  constructor(options: QueueOptions, upload: (file: string, name: string) => Promise<string>) {
    this.#options = options;
    this.#upload = upload;
    options.signal.addEventListener("abort", () => this.hurry(), { once: true });
  }

  /** Make and upload the preview of an output, if it can have one. One that it had is of the file as it was, and void. */
  add(file: string, output: string): void {
    const name = previewName(output);
    if (name === undefined) return;
    this.#receipts.delete(output);
    const before = this.#underWay.get(output);
    const underWay = this.#bring(file, name, before).then((receipt) => {
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

  /** There is nothing more to gather: the lease's last file is written. */
  hurry(): void {
    this.#hurried = true;
    this.#gathered();
  }

  /** All previews that were begun have ended, or as much time has gone by as anybody waits for them. */
  async ended(): Promise<void> {
    if (this.#underWay.size === 0) return;
    this.hurry();
    const over = new AbortController();
    const patience = delay(WAIT_MS, undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#underWay.values()), patience]);
    over.abort();
  }

  /** The receipt, or undefined when there is no preview. Never rejects. */
  async #bring(file: string, name: string, before: Promise<void> | undefined): Promise<string | undefined> {
    // A name of our own: what it is called there may mean something to ffmpeg.
    const target = path.join(this.#options.folder, `preview-${++this.#count}.jpg`);
    const made = new Promise<boolean>((resolve) => {
      this.#waiting.push({ file, target, made: resolve });
    });
    if (this.#waiting.length >= FRAMES_PER_RUN) this.#gathered();
    if (!this.#working) void this.#work();
    if (!(await made)) return undefined;
    // Two of one name must not overtake each other: the receipt is for what the manager has in the end.
    await before;
    return await this.#uploads.run(() => this.#upload(target, name)).catch(() => undefined);
  }

  async #work(): Promise<void> {
    this.#working = true;
    while (this.#waiting.length > 0) {
      await this.#gather();
      const files = this.#waiting.splice(0, FRAMES_PER_RUN);
      const made = await makePreviews(files, this.#options);
      for (const [i, file] of files.entries()) file.made(made[i]!);
    }
    this.#working = false;
  }

  async #gather(): Promise<void> {
    if (this.#hurried || this.#waiting.length >= FRAMES_PER_RUN) return;
    const { gatherMs = GATHER_MS } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, gatherMs);
      this.#gathered = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The previews of a lease; undefined on a machine without ffmpeg. `grant` is the lease's present right to upload. */
export function previewsOf(
  { client, allowed }: { client: ManagerClient; allowed: { programs: Programs } },
  taskId: number,
  folder: string,
  signal: AbortSignal,
  grant: () => string,
): PreviewQueue | undefined {
  const command = allowed.programs.ffmpeg?.command;
  if (!command) return undefined;
  return new PreviewQueue({ command, folder, signal }, async (file, name) => {
    const target = { taskId, name, grant: grant() };
    return (await uploadOutput(client, file, target, { signal, retryForMs: UPLOAD_RETRY_MS })).receipt;
  });
}
