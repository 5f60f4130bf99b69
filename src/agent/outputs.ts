/**
 * The output files of a lease. Each file is uploaded as soon as it is saved, while the next frame
 * renders; the next call of the lease carries its receipt. P11: a frame is done when its file
 * exists, is not empty, and the manager stored that content.
 */
import { stat } from "node:fs/promises";
import ownPaths, { type PlatformPath } from "node:path";
import { FileChanged } from "../client/upload.ts";
import type { DoneFrame } from "../protocol/lease.ts";
import type { Plan } from "../protocol/plan.ts";
import { Semaphore } from "../lib/concurrency.ts";
import type { PictureSize } from "../pictures/index.ts";
import { checkOutput } from "./lease-folder.ts";
import { NOT_CHECKED, type PictureCheck } from "./picture-check.ts";
import type { PreviewQueue } from "./preview-queue.ts";

/** Two: one is sent while the other is hashed. More would take the uplink from the other slots. */
const UPLOADS_IN_FLIGHT = 2;
/**
 * A done frame waits this long for its preview, so that one call brings both; longer, and people
 * would miss the frame.
 */
const PREVIEW_WAIT_MS = 15_000;

export interface OutputsOptions {
  /** Output folder, links resolved. */
  out: string;
  outputs: Plan["outputs"];
  /**
   * Upload a file under the lease and answer with its receipt. Rejects when the lease is lost or
   * the manager refuses.
   */
  upload: (path: string, name: string) => Promise<string>;
  /** Looks at a picture. The file is written. */
  check?: (path: string, name: string, size: PictureSize | null) => Promise<PictureCheck>;
  /** A picture with which something is wrong is no result: its frame is not finished. */
  strict?: boolean;
  /** Called when the process has finished a frame, with the number of frames that it has not. */
  rendered?: (left: number) => void;
  /** Makes and uploads previews; undefined on a machine that cannot. */
  previews?: PreviewQueue | undefined;
  /** Monotonic milliseconds. */
  now: () => number;
}

interface Upload extends PictureCheck {
  /**
   * Size and time of the file when it was uploaded: a file that changed since is uploaded again.
   */
  size: number;
  mtimeMs: number;
  receipt: string;
}

interface FrameWork {
  frame: number;
  names: readonly string[];
  seconds: number | undefined;
  uploads: Map<string, Upload>;
  /** Uploads under way, by file name. They never reject; the first failure is in `error`. */
  pending: Map<string, Promise<void>>;
  /** When the last of its files was uploaded (monotonic). */
  uploadedMs: number;
  error: unknown;
  /** A call to the manager carries it, or it is committed. */
  handedOver: boolean;
}

/** What `verify` found after the process had ended. */
export interface Verdict {
  /** Frames whose file is missing or bad, with the reason: "f_0003.png was not written". */
  missing: { frame: number; why: string }[];
  /** The first failure of an upload; its frame is not finished either. */
  uploadError: unknown;
}

/**
 * The name of an output, with forward slashes, by the path that a program printed: absolute, or in the
 * output folder `out`. `system` are the paths of another system.
 */
export function outputName(out: string, path: string, system: PlatformPath = ownPaths): string {
  return system.relative(out, system.resolve(out, path)).replaceAll(system.sep, "/");
}

export class Outputs {
  readonly #options: OutputsOptions;
  readonly #frames = new Map<number, FrameWork>();
  readonly #uploads = new Semaphore(UPLOADS_IN_FLIGHT);
  /** Names of files that have not been found yet. */
  readonly #unsaved = new Set<string>();
  /** The size that the program says its pictures have; null when it says none. */
  size: PictureSize | null = null;
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

  /**
   * The frame that a message of the process is about: the one in progress, or the next one when that is rendered
   * already. Undefined before the first.
   */
  get working(): number | undefined {
    if (this.#current === undefined || this.#frames.get(this.#current)?.seconds === undefined) return this.#current;
    const left = [...this.#frames.values()].filter((work) => work.seconds === undefined);
    return (left.find(({ frame }) => frame > this.#current!) ?? left[0])?.frame ?? this.#current;
  }

  /** When the frame in progress began, or before the first the process (monotonic). */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Frames that cannot be committed yet, ascending. */
  get unfinished(): number[] {
    return [...this.#frames.values()].filter((work) => !this.#isFinished(work)).map((work) => work.frame);
  }

  /** Frames of which an upload failed, ascending. */
  get undelivered(): number[] {
    return [...this.#frames.values()].filter((work) => work.error !== undefined).map((work) => work.frame);
  }

  /**
   * The process starts now. The time before it, for folders and inputs, is not part of a frame's
   * time.
   */
  started(): void {
    this.#sinceMs = this.#options.now();
  }

  /** The process has begun a frame: if the file of the frame before exists, it is complete. */
  began(frame: number): void {
    const before = this.#current === undefined ? undefined : this.#frames.get(this.#current);
    if (!this.#frames.has(frame) || frame === this.#current) return;
    if (before) for (const name of before.names) this.#start(before, name);
    this.#current = frame;
    this.#sinceMs = this.#options.now();
  }

  /** The process reports a written file; with an empty path, that a frame without files is done. */
  saved(frame: number | null, path: string): void {
    if (path === "") {
      const work = frame === null ? undefined : this.#frames.get(frame);
      if (work && work.names.length === 0) this.#time(work);
      return;
    }
    const name = outputName(this.#options.out, path);
    const work = [...this.#frames.values()].find((candidate) => candidate.names.includes(name));
    if (!work) return;
    this.#current ??= work.frame;
    this.#start(work, name, true);
  }

  /** Check every file after the process exited 0, and upload what is not uploaded yet. */
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
    for (const work of this.#options.strict ? this.#frames.values() : []) {
      const bad = [...work.uploads].filter(([, { findings }]) => findings.length > 0);
      const why = bad.map(([name, { findings }]) => `${name}: ${findings.join(", ")}`).join("; ");
      if (bad.length > 0) missing.push({ frame: work.frame, why });
    }
    const failed = [...this.#frames.values()].find((work) => work.error !== undefined);
    return { missing, uploadError: failed?.error };
  }

  /**
   * Wait until all uploads that were begun have ended. Answers with the first failure, or
   * undefined.
   */
  async settled(): Promise<unknown> {
    for (const work of this.#frames.values()) await Promise.all(work.pending.values());
    return [...this.#frames.values()].find((work) => work.error !== undefined)?.error;
  }

  /** Wait until previews that were begun have ended, or have taken too long. */
  async previewed(): Promise<void> {
    await this.#options.previews?.ended();
  }

  /**
   * Take the frames that the next renewal is to commit; `putBack` when it failed. A frame is
   * committed once, with its preview or without it, so a frame whose preview is under way is left
   * for a later call.
   */
  take(): DoneFrame[] {
    const ready = [...this.#frames.values()].filter((work) => this.#isFinished(work) && !work.handedOver);
    const taken = ready.filter((work) => !this.#awaitsPreview(work));
    for (const work of taken) work.handedOver = true;
    return taken.map((work) => this.#doneFrame(work, true));
  }

  /**
   * Every finished frame, for the settlement, also those that a renewal has committed: by them the
   * manager recognises a settlement that it has seen before. Frames that a renewal carried come
   * without previews, which the manager has.
   */
  finished(): DoneFrame[] {
    const done = [...this.#frames.values()].filter((work) => this.#isFinished(work));
    return done.map((work) => this.#doneFrame(work, !work.handedOver));
  }

  /** What is wrong with the pictures of this frame. */
  findingsOf(frame: number): string[] {
    return [...(this.#frames.get(frame)?.uploads.values() ?? [])].flatMap((upload) => upload.findings);
  }

  /** Those of these frames whose pictures have one colour, or several; without those of which it is not known. */
  withColours(frames: readonly number[], one: boolean): number[] {
    return frames.filter((frame) => {
      const uploads = [...(this.#frames.get(frame)?.uploads.values() ?? [])];
      return uploads.length > 0 && uploads.every(({ oneColour }) => oneColour === one);
    });
  }

  putBack(done: readonly DoneFrame[]): void {
    for (const { frame } of done) this.#frames.get(frame)!.handedOver = false;
  }

  /** The frame is rendered: its time ends now, and that of the next frame begins. */
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
    // The file may come later: `verify` decides.
    if (!file.ok) return;
    if (!certain) this.#time(work);
    this.#options.previews?.add(file.value.path, name);
    this.#unsaved.delete(name);
    if (this.#unsaved.size === 0) this.#options.previews?.flush();
    await this.#uploads.run(async () => {
      const { path } = file.value;
      const check = this.#options.check?.(path, name, this.size) ?? Promise.resolve(NOT_CHECKED);
      const [receipt, checked] = await Promise.all([this.#options.upload(path, name), check]);
      const after = await stat(path);
      if (after.size !== file.value.size || after.mtimeMs !== file.value.mtimeMs)
        throw new FileChanged(`${name} was changed while it was being sent`);
      work.uploads.set(name, { size: after.size, mtimeMs: after.mtimeMs, receipt, ...checked });
      work.uploadedMs = this.#options.now();
    });
  }

  #isFinished(work: FrameWork): boolean {
    const { strict } = this.#options;
    const isGood = (upload: Upload | undefined): boolean =>
      upload !== undefined && !(strict && upload.findings.length > 0);
    return work.seconds !== undefined && work.names.every((name) => isGood(work.uploads.get(name)));
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
