/**
 * One lease from plan to settlement: folder, inputs, process, uploads, and the one call that ends
 * it.
 *
 * Guarantees when `run` has returned, whatever happened:
 * - no process of the lease's group runs;
 * - the lease's folder is removed;
 * - the lease is settled, released, or left to run out; no call about it is under way.
 */
import { sep } from "node:path";
import type { Fault } from "../protocol/constants.ts";
import { MAX_ERROR_CHARS, type ReleaseCause } from "../protocol/lease.ts";
import {
  countFrames,
  formatFrameList,
  framesOf,
  listOfFrames,
  MAX_RANGES,
  parseFrameList,
} from "../protocol/frame-list.ts";
import { framesToFail, failureText } from "./failure-report.ts";
import { asRelease, DISK_LOW_BYTES, diskFull, ReleaseLease, POLICY_DECLINE_MS } from "./release-lease.ts";
import type { InputCache } from "./input-cache.ts";
import type { LooseClaimed, LooseLease, NextClaim } from "./lease-calls.ts";
import { makeLeaseFolder, removeLeaseFolder, resolveArguments, type LeaseFolder } from "./lease-folder.ts";
import { recordProcess } from "./left-processes.ts";
import { listInputs, placeInputs } from "./lease-inputs.ts";
import { LeaseRenewer, LeaseLost, whenAborted, type Batch } from "./lease-renewer.ts";
import { LeaseProcess } from "./lease-process.ts";
import { LeaseUploads, type LeaseUploadsOptions } from "./lease-uploads.ts";
import { LeaseWarnings } from "./lease-warnings.ts";
import { LogBuffer } from "./log-buffer.ts";
import { freeBytes } from "./machine.ts";
import type { LeaseStatus } from "../client/agent-status.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { Outputs } from "./outputs.ts";
import { faultOf } from "../parsers/index.ts";
import type { Plan } from "../protocol/plan.ts";
import { checkPicture } from "./picture-check.ts";
import { previewsOf } from "./preview-queue.ts";
import { checkPlan, lackingBlender, type Allowed, type Runnable } from "./plan-check.ts";
import type { Exit } from "./process.ts";
import { newerFileReason } from "./newer-file.ts";
import type { Program } from "./programs.ts";
import type { HeldRenderer, RendererStore } from "./renderer-store.ts";
import { childEnvironment } from "./renderer-environment.ts";
import { FileChanged } from "../client/upload.ts";
import { bytesText, type Logger } from "./log.ts";
import { tooLongForBlender } from "./windows-paths.ts";
import { messageOf } from "../lib/errors.ts";

export interface RunnerDependencies {
  client: ManagerClient;
  allowed: Allowed;
  cache: InputCache;
  /** Blenders from the farm; absent: the owner wants none. */
  renderers?: Pick<RendererStore, "hold"> | undefined;
  /** The folder with the lease folders. */
  work: string;
  log: Logger;
  /** Variables that the owner of the machine gives to renderers (`--env`). */
  env?: readonly string[];
  /** Tests set lower ones. */
  uploadLimits?: LeaseUploadsOptions["limits"];
}

export type LeaseOutcome =
  /** Completed, or failed with some frames; `claimed` answers the claim that the call carried. */
  | { kind: "settled"; failed: boolean; claimed: LooseClaimed | null }
  | { kind: "lost" }
  | { kind: "released"; declineMs: number; pauseMs: number };

/**
 * A stopping agent waits this long for the manager; without an answer, the lease runs out by
 * itself.
 */
const STOP_SETTLE_MS = 4_000;
/**
 * Between SIGTERM and SIGKILL when the agent stops: a clean stop gives its frames back in less than
 * 2 s (P5).
 */
const STOP_GRACE_MS = 1_000;
/** Inputs of this size take noticeable time: without a line, the agent would seem to do nothing. */
const LOGGED_DOWNLOAD_BYTES = 50_000_000;

const STOPPING = "the agent is stopping";

/** The agent stops: the lease is released at once. */
class Stopping extends Error {}
/** An input is not on the manager. No other worker can have it either, so the frames fail. */
class InputMissing extends Error {}

export class LeaseRunner {
  readonly lease: LooseLease;
  readonly #deps: RunnerDependencies;
  readonly #renewer: LeaseRenewer;
  readonly #uploads: LeaseUploads;
  readonly #taskLog = new LogBuffer();
  readonly #warnings = new LeaseWarnings();
  readonly #stop = new AbortController();
  /** Fires `STOP_SETTLE_MS` after `#stop`, and ends the last call of the lease. */
  readonly #late = new AbortController();
  /** Fires when the lease is lost or the agent stops. */
  readonly #halt: AbortSignal;
  #outputs: Outputs | undefined;
  #process: LeaseProcess | undefined;
  #folder: LeaseFolder | undefined;
  /** The Blender from the farm that it renders with. */
  #renderer: HeldRenderer | undefined;
  /** The arguments of the process, with the paths of this machine. */
  #args: readonly string[] = [];
  #finishing = false;
  #phase: LeaseStatus["phase"] = "preparing";
  /** Why the lease is given back before its end, for the history. */
  #why = STOPPING;
  /**
   * The agent ended the process after a frame, before the other frames of the lease
   * (`finishFrame`).
   */
  #cut = false;

  constructor(deps: RunnerDependencies, lease: LooseLease, claimedMs: number) {
    this.#deps = deps;
    this.lease = lease;
    this.#renewer = new LeaseRenewer({
      client: deps.client,
      lease,
      claimedMs,
      take: () => ({
        ...this.#withReports(this.#outputs?.take() ?? []),
        log: this.#taskLog.take(),
        progress: this.#process?.progress ?? null,
      }),
      putBack: (batch: Batch) => {
        this.#outputs?.putBack(batch.done);
        this.#taskLog.putBack(batch.log, performance.now());
      },
      logDueMs: (watched) => this.#taskLog.dueMs(performance.now(), watched),
    });
    this.#halt = AbortSignal.any([this.#renewer.lost, this.#stop.signal]);
    this.#uploads = new LeaseUploads({
      client: deps.client,
      taskId: lease.task_id,
      renewer: this.#renewer,
      log: this.#taskLog,
      signal: this.#halt,
      limits: deps.uploadLimits,
    });
  }

  /**
   * Finish the frame that is being rendered, or that the process loads for, and release the others;
   * before the process has started, release all of them. A program that reports no frames goes on
   * to its end. `why`: the reason of the release, for people.
   */
  finishFrame(why: string = STOPPING): void {
    this.#finishing = true;
    this.#why = why;
    if (!this.#process) this.stop(why);
  }

  /** Kill the process and release the lease now; finished frames are committed. `why`: the reason, for people. */
  stop(why: string = STOPPING): void {
    if (!this.#stop.signal.aborted) this.#why = why;
    this.#stop.abort(new Stopping(why));
    setTimeout(() => this.#late.abort(), STOP_SETTLE_MS).unref();
  }

  /** How it stands, for people at the machine. */
  get status(): LeaseStatus {
    const outputs = this.#outputs;
    const frames = parseFrameList(this.lease.frames);
    const total = frames.ok ? countFrames(frames.value) : 0;
    return {
      task_id: this.lease.task_id,
      phase: this.#phase,
      frame: outputs?.current ?? null,
      progress: this.#process?.progress ?? null,
      done: outputs ? total - outputs.unfinished.length : 0,
      total,
    };
  }

  /** The manager says that the lease is gone. */
  markLost(why: string): void {
    this.#renewer.markLost(why);
  }

  /** Renew as soon as possible: the machine woke up, or the network is back. */
  renewNow(): void {
    this.#renewer.renewNow();
  }

  /**
   * Run the lease to its end. `next` makes the claim that the settlement carries. Never rejects.
   */
  async run(next: NextClaim): Promise<LeaseOutcome> {
    const { task_id, attempt, frames } = this.lease;
    this.#renewer.start();
    try {
      const checked = await this.#checked(frames);
      if (!checked.ok) throw new ReleaseLease(checked.error, "unable", { declineMs: POLICY_DECLINE_MS });
      const folder = (this.#folder = await makeLeaseFolder(this.#deps.work, task_id, attempt));
      const exit = await this.#render(checked.value, folder);
      return await this.#settle(checked.value, exit, folder, next);
    } catch (error) {
      return await this.#ended(error, next);
    } finally {
      await this.#renewer.stop();
      // Ends uploads and downloads that are still under way.
      this.#renewer.markLost("it is over");
      // Normally the process has ended long ago; after the loss of a lease it has 5 s to end (P2).
      await this.#process?.running.kill(this.#stop.signal.aborted ? STOP_GRACE_MS : undefined);
      await this.#outputs?.settled();
      await this.#outputs?.previewed();
      this.#renderer?.release();
      if (this.#folder) await removeLeaseFolder(this.#folder);
      await this.#deps.cache.evict("bound").catch(() => 0);
    }
  }

  /** Check the plan. A Blender that this machine lacks is fetched, when nothing else speaks against the plan. */
  async #checked(frames: string): Promise<ReturnType<typeof checkPlan>> {
    const { allowed, renderers } = this.#deps;
    const { plan } = this.lease;
    const lacking = renderers ? lackingBlender(plan, allowed) : null;
    if (!renderers || !lacking) return checkPlan(plan, frames, allowed);
    const having = (blender: Program): ReturnType<typeof checkPlan> =>
      checkPlan(plan, frames, { ...allowed, programs: { ...allowed.programs, blender } });
    const before = having({ command: ["blender"], version: `${lacking.minor ?? 0}.0` });
    if (!before.ok) return before;
    const { version, command } = (this.#renderer = await renderers.hold(lacking.minor, this.#halt));
    return having({ command, version });
  }

  async #render({ plan, frames, parser, program }: Runnable, folder: LeaseFolder): Promise<Exit> {
    const { log } = this.#deps;
    const { task_id, frames: list } = this.lease;
    const args = resolveArguments(plan.command.args, folder);
    if (!args.ok)
      throw new ReleaseLease(`the plan breaks a rule: ${args.error}`, "unable", { declineMs: POLICY_DECLINE_MS });
    this.#args = args.value;
    if (plan.command.program === "blender") {
      const long =
        tooLongForBlender(
          folder.in,
          plan.inputs.map(({ path }) => path),
        ) ??
        tooLongForBlender(
          folder.out,
          plan.outputs.map(({ name }) => name),
        );
      if (long !== undefined) throw new ReleaseLease(long, "unable", { declineMs: POLICY_DECLINE_MS });
    }
    this.#phase = "fetching";
    await this.#fetchInputs(plan, folder);
    this.#halt.throwIfAborted();
    const now = () => performance.now();
    this.#outputs = new Outputs(frames, {
      out: folder.out,
      outputs: plan.outputs,
      now,
      upload: (path, name) => this.#uploads.upload(path, name),
      check: checkPicture,
      strict: plan.strict === true,
      rendered: (left) => {
        if (!this.#finishing || left === 0) return;
        this.#cut = true;
        void this.#process?.running.kill();
      },
      previews: previewsOf(this.#deps, task_id, folder.tmp, this.#halt, () => this.#renewer.grant),
    });
    log(
      `task ${task_id}: ${plan.outputs.length > 0 ? "rendering" : "running"} ${framesText(frames)} (lease ${this.lease.attempt})`,
      { task: task_id, frames: list },
    );
    const command: [string, ...string[]] = [...program, ...args.value];
    const startedMs = Date.now();
    this.#process = new LeaseProcess({
      command,
      folder: folder.root,
      // Files that a program leaves beside its outputs are removed with the folder.
      cwd: folder.out,
      env: childEnvironment(
        process.env,
        { ...plan.command.env, TMPDIR: folder.tmp, TMP: folder.tmp, TEMP: folder.tmp },
        this.#deps.env,
      ),
      parser,
      frames,
      frameTimeoutMs: plan.frame_timeout_s === null ? null : plan.frame_timeout_s * 1_000,
      outputs: this.#outputs,
      log: this.#taskLog,
      warnings: this.#warnings,
      strict: plan.strict === true,
      now,
    });
    this.#phase = "rendering";
    const { pid } = this.#process.running;
    if (pid !== undefined) this.#record(folder, pid, command[0], startedMs);
    const exit = await Promise.race([this.#process.ended(), whenAborted(this.#halt)]);
    this.#phase = "delivering";
    this.#halt.throwIfAborted();
    if (this.#cut) {
      await Promise.race([this.#outputs.settled(), whenAborted(this.#halt)]);
      await this.#outputs.previewed();
      this.#halt.throwIfAborted();
      if (this.#outputs.unfinished.length > 0) throw new ReleaseLease(this.#why, "stopping");
    }
    if (exit.kind === "not_started" && !plan.needs_exec) {
      throw new ReleaseLease(`${plan.command.program} could not be started: ${exit.reason}`, "unable", {
        declineMs: POLICY_DECLINE_MS,
      });
    }
    return exit;
  }

  /** For the next agent of this name, if this one is killed. */
  #record(folder: LeaseFolder, pid: number, program: string, startedMs: number): void {
    try {
      recordProcess(folder.root, pid, program, startedMs);
    } catch (error) {
      // The disk may be full. The render goes on, and tells that itself.
      this.#deps.log(`the process of task ${this.lease.task_id} cannot be recorded: ${messageOf(error)}`);
    }
  }

  async #fetchInputs(plan: Plan, folder: LeaseFolder): Promise<void> {
    const { client, cache, log } = this.#deps;
    try {
      const inputs = await listInputs(client, plan, () => this.#renewer.grant, this.#halt);
      const bytes = inputs.reduce((sum, input) => sum + input.size, 0);
      if (bytes > LOGGED_DOWNLOAD_BYTES)
        log(`task ${this.lease.task_id}: fetching ${inputs.length} inputs, ${bytesText(bytes)}`);
      await placeInputs(cache, inputs, folder, this.#halt, {
        runsCode: plan.needs_exec || plan.autoexec,
        renew: () => this.#renewer.renewAndWait(),
      });
    } catch (error) {
      if (error instanceof ManagerError && error.status === 404)
        throw new InputMissing(`an input is not on the manager: ${error.detail}`);
      throw error;
    }
  }

  async #settle(
    { plan, frames, version }: Runnable,
    exit: Exit,
    folder: LeaseFolder,
    next: NextClaim,
  ): Promise<LeaseOutcome> {
    const outputs = this.#outputs!;
    const { killed, fatal, errors, lastLines, newerFile } = this.#process!;
    const saidDone = exit.kind === "exit" && exit.code === 0 && killed === undefined && !fatal;
    const verdict = saidDone ? await outputs.verify() : { missing: [], uploadError: await outputs.settled() };
    this.#halt.throwIfAborted();
    const changed = verdict.uploadError instanceof FileChanged;
    if (verdict.uploadError !== undefined && !changed) throw verdict.uploadError;
    await outputs.previewed();
    const { unfinished } = outputs;
    if (unfinished.length === 0) {
      const settled = await this.#renewer.settle(
        "complete",
        () => ({ ...this.#body(), next: next() }),
        this.#late.signal,
      );
      this.#deps.log(`task ${this.lease.task_id}: ${framesText(frames)} done`, { task: this.lease.task_id });
      return { kind: "settled", failed: false, claimed: settled.next };
    }
    if ((await freeBytes(folder.root)) < DISK_LOW_BYTES) throw diskFull();
    if (plan.command.program === "blender" && version !== undefined && killed === undefined) {
      const newer = await newerFileReason({ own: version, args: this.#args, exit, errors, newerFile });
      if (newer !== null) throw new ReleaseLease(newer, "version", { declineMs: POLICY_DECLINE_MS });
    }
    const missing = verdict.missing.map((file) => file.why);
    // A program that ends before its file is whole has failed, whatever its exit code says.
    if (changed && saidDone) missing.push(`${messageOf(verdict.uploadError)}, after the program had ended`);
    const said = failureText({ program: plan.command.program, exit, killed, errors, missing, lastLines });
    const error = this.#withoutFolders(said);
    const failed = framesToFail({ unfinished, current: outputs.current, saidDone });
    return await this.#fail(failed, error, next, isSameForAll(plan) ? faultOf(errors) : undefined);
  }

  /** `fault`: whose fault it is; undefined where that is not known. */
  async #fail(frames: readonly number[], error: string, next: NextClaim, fault?: Fault): Promise<LeaseOutcome> {
    const { task_id } = this.lease;
    this.#deps.log(`task ${task_id}: ${framesText(frames)} failed: ${error}`, { task: task_id });
    const body = () => ({
      ...this.#body(),
      frames: formatFrameList(listOfFrames(frames)),
      error: error.slice(0, MAX_ERROR_CHARS),
      // A manager of 0.1 refuses the field.
      ...(fault !== undefined && this.lease.takes_fault && { fault }),
      next: next(),
    });
    const settled = await this.#renewer.settle("fail", body, this.#late.signal);
    return { kind: "settled", failed: true, claimed: settled.next };
  }

  /** The lease came to no settlement: release it, unless it is lost. */
  async #ended(error: unknown, next: NextClaim): Promise<LeaseOutcome> {
    const { log } = this.#deps;
    const { task_id } = this.lease;
    if (error instanceof LeaseLost || this.#renewer.lost.aborted) {
      log(
        `task ${task_id}: the lease of frames ${this.lease.frames} is lost (${messageOf(this.#renewer.lost.reason ?? error)}); dropping it`,
        { task: task_id },
      );
      return { kind: "lost" };
    }
    if (error instanceof InputMissing) {
      const frames = parseFrameList(this.lease.frames);
      try {
        return await this.#fail(frames.ok ? [...framesOf(frames.value)] : [], error.message, next);
      } catch (refused) {
        return await this.#ended(refused, next);
      }
    }
    const stopping = this.#stop.signal.aborted;
    if (stopping) void this.#process?.running.kill(STOP_GRACE_MS);
    else await this.#process?.running.kill();
    const back = stopping ? new ReleaseLease(this.#why, "stopping") : asRelease(error);
    const reason = this.#withoutFolders(back.message);
    const left = this.#outputs?.unfinished ?? [];
    const which = left.length > 0 ? framesText(left) : `frames ${this.lease.frames}`;
    log(`task ${task_id}: giving ${which} back: ${reason}`, { task: task_id });
    try {
      await this.#release(back.cause, reason);
    } catch (refused) {
      log(`task ${task_id}: could not give the lease back (${messageOf(refused)}); it runs out by itself`, {
        task: task_id,
      });
      return { kind: "lost" };
    }
    return { kind: "released", declineMs: back.declineMs, pauseMs: back.pauseMs };
  }

  async #release(cause: ReleaseCause, reason: string): Promise<void> {
    const undelivered = this.#outputs?.undelivered ?? [];
    const frames = undelivered.length > 0 ? { frames: formatFrameList(listOfFrames(undelivered)) } : {};
    const old = () => ({ ...this.#body(), reason: reason.slice(0, 200) });
    try {
      await this.#renewer.settle("release", () => ({ ...old(), cause, ...frames }), this.#late.signal);
    } catch (refused) {
      // A manager up to 0.1 does not know the cause, and refuses what it does not know.
      if (!(refused instanceof ManagerError && refused.code === "invalid")) throw refused;
      await this.#renewer.settle("release", old, this.#late.signal);
    }
  }

  /** Paths are shown to people as the task knows them, without this machine's lease folder. */
  #withoutFolders(text: string): string {
    if (!this.#folder) return text;
    return text.replaceAll(`${this.#folder.in}${sep}`, "").replaceAll(`${this.#folder.out}${sep}`, "");
  }

  #body(): { attempt: number; done: Batch["done"]; log?: string } {
    const log = this.#taskLog.take();
    const { done, reports } = this.#withReports(this.#outputs?.finished() ?? []);
    return { attempt: this.lease.attempt, done, ...reports, ...(log !== "" && { log }) };
  }

  /** The frames with what people should know of them; nothing for a manager of 0.1, which would refuse it. */
  #withReports(done: Batch["done"]): Pick<Batch, "done" | "reports"> {
    const outputs = this.#outputs;
    if (!this.lease.takes_warnings || !outputs) return { done, reports: {} };
    const frames = done.map(({ frame }) => frame);
    for (const frame of frames) for (const finding of outputs.findingsOf(frame)) this.#warnings.add(finding, frame);
    const about = this.#warnings.about(frames);
    const warnings = about.map(({ text, frames: its }) => ({ text: this.#withoutFolders(text), frames: its }));
    const listed = (one: boolean) =>
      formatFrameList(listOfFrames(outputs.withColours(frames, one)).slice(0, MAX_RANGES));
    const [one_colour, several_colours] = [listed(true), listed(false)];
    return {
      done,
      reports: {
        ...(warnings.length > 0 && { warnings }),
        ...(one_colour !== "" && { one_colour }),
        ...(several_colours !== "" && { several_colours }),
      },
    };
  }
}

function framesText(frames: readonly number[]): string {
  return `${frames.length === 1 ? "frame" : "frames"} ${formatFrameList(listOfFrames(frames))}`;
}

/**
 * Whether every worker gets the same scene: its file came with the task, and no script of it runs. A path on this
 * machine may lead to another file elsewhere, and what scripts do may differ from worker to worker.
 */
function isSameForAll({ autoexec, command }: Plan): boolean {
  return !autoexec && command.args.some((arg) => typeof arg === "object" && "in" in arg);
}
