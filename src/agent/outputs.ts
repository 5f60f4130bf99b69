/**
 * What a lease produces: each frame's file is uploaded as soon as it is saved, while the next one renders, and its receipt
 * rides on the next call of the lease. P11: a frame counts when its file exists, is non-empty, and the manager stored that hash.
 */
import { stat } from "node:fs/promises";
import { relative, resolve, sep } from "node:path";
import type { DoneFrame } from "../protocol/lease.ts";
import type { Plan } from "../protocol/plan.ts";
import { Semaphore } from "../lib/concurrency.ts";
import { checkOutput } from "./lease-folder.ts";
import type { PreviewQueue } from "./preview-queue.ts";

/** Two: one travels while the other is hashed; more would take the uplink from the other slots. */
const UPLOADS_IN_FLIGHT = 2;
/** A frame that is done is not left out of renewals for its preview's sake for longer. */
const PREVIEW_WAIT_MS = 15_000;

export interface OutputsOptions {
  /** Output folder, links resolved. */
  out: string;
  outputs: Plan["outputs"];
  /** Upload a file under the lease and answer with its receipt. Rejects when the lease is lost or the manager refuses. */
  upload: (path: string, name: string) => Promise<string>;
  /** The process has finished a frame; so many of the lease it has not. */
  rendered?: (left: number) => void;
  /** Makes and uploads previews; undefined where there are none. */
  previews?: PreviewQueue | undefined;
  /** Monotonic milliseconds. */
  now: () => number;
}

interface Upload {
  /** Of the file when it was uploaded: one that changed since is uploaded again. */
  size: number;
  mtimeMs: number;
  receipt: string;
}

interface FrameWork {
  frame: number;
  names: readonly string[];
  seconds: number | undefined;
  uploads: Map<string, Upload>;
  /** Uploads on their way. They never reject; what went wrong is in `error`. */
  pending: Map<string, Promise<void>>;
  /** When its last file was uploaded (monotonic). */
  uploadedMs: number;
  error: unknown;
  /** In a call to the manager, or committed. */
  handedOver: boolean;
}

/** What is wrong after the process has ended. */
export interface Verdict {
  /** Frames without their file, with what is wrong: "f_0003.png was not written". */
  missing: { frame: number; why: string }[];
  /** The first error of an upload that could not be done; its frame is not finished either. */
  uploadError: unknown;
}

export class Outputs {
  readonly #options: OutputsOptions;
  readonly #frames = new Map<number, FrameWork>();
  readonly #uploads = new Semaphore(UPLOADS_IN_FLIGHT);
  /** Names of files that have not been found yet. */
  readonly #unsaved = new Set<string>();
  #unrendered: number;
  #current: number | undefined;
  #sinceMs: number;

  constructor(frames: readonly number[], options: OutputsOptions) {
    this.#options = options;
    this.#sinceMs = options.now();
    for (const frame of frames) {
      const names = options.outputs.filter((output) => output.frame === frame).map((output) => output.name);
      for (const name of names) this.#unsaved.add(name);
      this.#frames.set(frame, {
        frame,
        names,
        seconds: undefined,
        uploads: new Map(),
        pending: new Map(),
        uploadedMs: 0,
        error: undefined,
        handedOver: false,
      });
    }
    this.#unrendered = this.#frames.size;
  }

  /** The frame in progress; undefined before the first. */
  get current(): number | undefined {
    return this.#current;
  }

  /** When the frame in progress began, or before the first the process (monotonic). */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Frames that cannot be committed yet, ascending. */
  get unfinished(): number[] {
    return [...this.#frames.values()].filter((work) => !isFinished(work)).map((work) => work.frame);
  }

  /** The process starts now: folders and inputs are no part of a frame's time. */
  started(): void {
    this.#sinceMs = this.#options.now();
  }

  /** The process has begun a frame: what it began before is complete, if it is there. */
  began(frame: number): void {
    const before = this.#current === undefined ? undefined : this.#frames.get(this.#current);
    if (!this.#frames.has(frame) || frame === this.#current) return;
    if (before) for (const name of before.names) this.#start(before, name);
    this.#current = frame;
    this.#sinceMs = this.#options.now();
  }

  /** The process says that a file is written; without a path, that a frame which makes no file is done. */
  saved(frame: number | null, path: string): void {
    if (path === "") {
      const work = frame === null ? undefined : this.#frames.get(frame);
      if (work && work.names.length === 0) this.#time(work);
      return;
    }
    const name = relative(this.#options.out, resolve(this.#options.out, path)).replaceAll(sep, "/");
    const work = [...this.#frames.values()].find((candidate) => candidate.names.includes(name));
    if (!work) return;
    this.#current ??= work.frame;
    this.#start(work, name, true);
  }

  /** The process has exited 0: look at every file, and finish what can be finished. */
  async verify(): Promise<Verdict> {
    await this.settled();
    const missing: Verdict["missing"] = [];
    for (const work of this.#frames.values()) {
      if (work.handedOver) continue;
      work.error = undefined;
      const bad: string[] = [];
      for (const name of work.names) {
        const file = await checkOutput(this.#options.out, name);
        if (!file.ok) {
          bad.push(`${name} ${file.error}`);
          work.uploads.delete(name);
        } else {
          const upload = work.uploads.get(name);
          if (upload && (upload.size !== file.value.size || upload.mtimeMs !== file.value.mtimeMs))
            work.uploads.delete(name);
          this.#start(work, name, true);
        }
      }
      if (bad.length > 0) missing.push({ frame: work.frame, why: bad.join("; ") });
      else if (work.seconds === undefined) this.#time(work);
    }
    await this.settled();
    const failed = [...this.#frames.values()].find((work) => work.error !== undefined);
    return { missing, uploadError: failed?.error };
  }

  /** All uploads that were begun have ended, one way or the other. Returns the first error. */
  async settled(): Promise<unknown> {
    for (const work of this.#frames.values()) await Promise.all(work.pending.values());
    return [...this.#frames.values()].find((work) => work.error !== undefined)?.error;
  }

  /** Previews that were begun have ended, or are not waited for any longer. */
  async previewed(): Promise<void> {
    await this.#options.previews?.ended();
  }

  /**
   * Frames to commit with the next renewal. What it does not bring home is put back. A frame is committed once, with its
   * preview or without: one whose preview is on its way is left for a later call.
   */
  take(): DoneFrame[] {
    const ready = [...this.#frames.values()].filter((work) => isFinished(work) && !work.handedOver);
    const taken = ready.filter((work) => !this.#awaitsPreview(work));
    for (const work of taken) work.handedOver = true;
    return taken.map((work) => this.#doneFrame(work, true));
  }

  /**
   * Every finished frame, also those a renewal has committed: by them the manager knows a settlement that it has seen before. The
   * previews of those it has.
   */
  finished(): DoneFrame[] {
    return [...this.#frames.values()].filter(isFinished).map((work) => this.#doneFrame(work, !work.handedOver));
  }

  putBack(done: readonly DoneFrame[]): void {
    for (const { frame } of done) this.#frames.get(frame)!.handedOver = false;
  }

  /** The frame's time ends now, and the next one's begins. */
  #time(work: FrameWork): void {
    if (work.seconds !== undefined) return;
    const now = this.#options.now();
    work.seconds = (now - this.#sinceMs) / 1_000;
    this.#sinceMs = now;
    this.#options.rendered?.(--this.#unrendered);
  }

  #start(work: FrameWork, name: string, certain = false): void {
    if (work.uploads.has(name) || work.pending.has(name)) return;
    if (certain && work.names.every((other) => other === name || work.uploads.has(other) || work.pending.has(other)))
      this.#time(work);
    const upload = this.#upload(work, name, certain).catch((error: unknown) => {
      work.error ??= error;
    });
    work.pending.set(
      name,
      upload.finally(() => work.pending.delete(name)),
    );
  }

  async #upload(work: FrameWork, name: string, certain: boolean): Promise<void> {
    const file = await checkOutput(this.#options.out, name);
    // Not there yet: the check at the end has the last word.
    if (!file.ok) return;
    if (!certain) this.#time(work);
    this.#options.previews?.add(file.value.path, name);
    this.#unsaved.delete(name);
    if (this.#unsaved.size === 0) this.#options.previews?.hurry();
    await this.#uploads.run(async () => {
      const receipt = await this.#options.upload(file.value.path, name);
      const after = await stat(file.value.path);
      if (after.size !== file.value.size || after.mtimeMs !== file.value.mtimeMs) return;
      work.uploads.set(name, { size: after.size, mtimeMs: after.mtimeMs, receipt });
      work.uploadedMs = this.#options.now();
    });
  }

  #awaitsPreview(work: FrameWork): boolean {
    const { previews, now } = this.#options;
    return now() - work.uploadedMs < PREVIEW_WAIT_MS && work.names.some((name) => previews?.isUnderWay(name));
  }

  #doneFrame(work: FrameWork, withPreviews: boolean): DoneFrame {
    const previews = withPreviews ? work.names.map((name) => this.#options.previews?.receiptOf(name)) : [];
    const receipts = [...[...work.uploads.values()].map(({ receipt }) => receipt), ...previews];
    return {
      frame: work.frame,
      seconds: Math.round((work.seconds ?? 0) * 1_000) / 1_000,
      receipts: receipts.filter((receipt) => receipt !== undefined),
    };
  }
}

function isFinished(work: FrameWork): boolean {
  return work.seconds !== undefined && work.names.every((name) => work.uploads.has(name));
}
