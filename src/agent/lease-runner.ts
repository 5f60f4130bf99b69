/**
 * One lease from plan to settlement: folder, inputs, process, uploads, and the one call that ends it. Whatever happens, the
 * process group is dead and the folder gone when `run` returns.
 */
import { sep } from "node:path";
import { MAX_ERROR_CHARS } from "../protocol/lease.ts";
import { formatFrameList, framesOf, listOfFrames, parseFrameList } from "../protocol/frame-list.ts";
import { blamed, failureText } from "./blame.ts";
import { asGiveBack, DISK_LOW_BYTES, diskFull, GiveBack, POLICY_REFUSE_MS } from "./give-back.ts";
import type { InputCache } from "./input-cache.ts";
import type { LooseClaimed, LooseLease, NextClaim } from "./lease-calls.ts";
import { makeLeaseFolder, noteProcess, removeLeaseFolder, resolveArguments, type LeaseFolder } from "./lease-folder.ts";
import { listInputs, placeInputs } from "./lease-inputs.ts";
import { LeaseKeeper, LeaseLost, whenAborted, type Batch } from "./lease-keeper.ts";
import { LeaseProcess } from "./lease-process.ts";
import { LogBuffer } from "./log-buffer.ts";
import { freeBytes } from "./machine.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { Outputs } from "./outputs.ts";
import type { Plan } from "../protocol/plan.ts";
import { previewsOf } from "./preview-queue.ts";
import { checkPlan, type Allowed, type Runnable } from "./plan-check.ts";
import { childEnvironment, type Exit } from "./process.ts";
import { bytesText, type Say } from "./say.ts";
import { messageOf } from "../lib/errors.ts";
import { FileChanged, uploadOutput } from "../client/upload.ts";

export interface RunnerDependencies {
  client: ManagerClient;
  allowed: Allowed;
  cache: InputCache;
  /** Holds the lease folders. */
  work: string;
  say: Say;
  onReach?: (reached: boolean) => void;
}

export type LeaseOutcome =
  /** Settled as done, or with failed frames; `claimed` answers the claim that rode along. */
  | { kind: "settled"; failed: boolean; claimed: LooseClaimed | null }
  | { kind: "lost" }
  | { kind: "released"; refuseMs: number; pauseMs: number };

/** On the way out there is no time for a manager that does not answer: the lease then runs out by itself. */
const STOP_SETTLE_MS = 4_000;
const STOP_GRACE_MS = 1_000;
/** Say what is being fetched when it takes noticeable time. */
const WORTH_SAYING_BYTES = 50_000_000;

const STOPPING = "the agent is stopping";

/** The agent stops: everything is given back at once. */
class Stopping extends Error {}
/** An input is not on the manager, now or later: the task's fault, not the machine's. */
class InputMissing extends Error {}

export class LeaseRunner {
  readonly lease: LooseLease;
  readonly #deps: RunnerDependencies;
  readonly #keeper: LeaseKeeper;
  readonly #log = new LogBuffer();
  readonly #stop = new AbortController();
  /** Fires some seconds after `#stop`: a settlement under way may still get through. */
  readonly #late = new AbortController();
  /** Lost, or stopping. */
  readonly #halt: AbortSignal;
  #outputs: Outputs | undefined;
  #process: LeaseProcess | undefined;
  #finishing = false;
  /** The process was ended after a frame, before others of the lease. */
  #cut = false;

  constructor(deps: RunnerDependencies, lease: LooseLease, claimedMs: number) {
    this.#deps = deps;
    this.lease = lease;
    this.#keeper = new LeaseKeeper({
      client: deps.client,
      lease,
      claimedMs,
      take: () => ({
        done: this.#outputs?.take() ?? [],
        log: this.#log.take(),
        progress: this.#process?.progress ?? null,
      }),
      putBack: (batch: Batch) => {
        this.#outputs?.putBack(batch.done);
        this.#log.putBack(batch.log, performance.now());
      },
      logDueMs: (watched) => this.#log.dueMs(performance.now(), watched),
      ...(deps.onReach && { onReach: deps.onReach }),
    });
    this.#halt = AbortSignal.any([this.#keeper.lost, this.#stop.signal]);
  }

  /**
   * Let the frame end that is being rendered, or loaded for, and give back those after it; before the process has started, all of
   * them. A program that tells of no frame goes on to its end.
   */
  finishFrame(): void {
    this.#finishing = true;
    if (!this.#process) this.stop();
  }

  /** Kill the process and give the lease back now, with what is done. */
  stop(): void {
    this.#stop.abort(new Stopping(STOPPING));
    setTimeout(() => this.#late.abort(), STOP_SETTLE_MS).unref();
  }

  /** The manager says that the lease is gone. */
  lose(why: string): void {
    this.#keeper.lose(why);
  }

  /** Make sure that the lease is still ours: the machine woke up, the network is back. */
  nudge(): void {
    this.#keeper.nudge();
  }

  /** Never rejects. `next` is asked for the next claim when the lease is settled. */
  async run(next: NextClaim): Promise<LeaseOutcome> {
    const { task_id, attempt, frames } = this.lease;
    let folder: LeaseFolder | undefined;
    this.#keeper.start();
    try {
      const checked = checkPlan(this.lease.plan, frames, this.#deps.allowed);
      if (!checked.ok) throw new GiveBack(checked.error, { refuseMs: POLICY_REFUSE_MS });
      folder = await makeLeaseFolder(this.#deps.work, task_id, attempt);
      const exit = await this.#render(checked.value, folder);
      return await this.#settle(checked.value, exit, folder, next);
    } catch (error) {
      return await this.#ended(error, next);
    } finally {
      await this.#keeper.stop();
      // Ends what may still be on its way.
      this.#keeper.lose("it is over");
      // Normally it ended long ago; a lease that is lost has 5 s for this (P2).
      await this.#process?.running.kill(this.#stop.signal.aborted ? STOP_GRACE_MS : undefined);
      await this.#outputs?.settled();
      await this.#outputs?.previewed();
      if (folder) await removeLeaseFolder(folder);
      await this.#deps.cache.evict("bound").catch(() => 0);
    }
  }

  async #render({ plan, frames, parser, program }: Runnable, folder: LeaseFolder): Promise<Exit> {
    const { say } = this.#deps;
    const { task_id, frames: list } = this.lease;
    const args = resolveArguments(plan.command.args, folder);
    if (!args.ok) throw new GiveBack(`the plan breaks a rule: ${args.error}`, { refuseMs: POLICY_REFUSE_MS });
    await this.#fetchInputs(plan, folder);
    this.#halt.throwIfAborted();
    const now = () => performance.now();
    this.#outputs = new Outputs(frames, {
      out: folder.out,
      outputs: plan.outputs,
      now,
      upload: (path, name) => this.#upload(path, name),
      rendered: (left) => {
        if (!this.#finishing || left === 0) return;
        this.#cut = true;
        void this.#process?.running.kill();
      },
      previews: previewsOf(this.#deps, task_id, folder.tmp, this.#halt, () => this.#keeper.grant),
    });
    say(
      `task ${task_id}: ${plan.outputs.length > 0 ? "rendering" : "running"} ${framesText(frames)} (attempt ${this.lease.attempt})`,
      { task: task_id, frames: list },
    );
    this.#process = new LeaseProcess({
      command: [...program, ...args.value],
      // What a program drops beside its outputs goes away with the folder.
      cwd: folder.out,
      env: childEnvironment(process.env, {
        ...plan.command.env,
        TMPDIR: folder.tmp,
        TMP: folder.tmp,
        TEMP: folder.tmp,
      }),
      parser,
      frames,
      frameTimeoutMs: plan.frame_timeout_s === null ? null : plan.frame_timeout_s * 1_000,
      outputs: this.#outputs,
      log: this.#log,
      now,
    });
    const { pid } = this.#process.running;
    if (pid !== undefined) await noteProcess(folder, pid).catch(() => undefined);
    const exit = await Promise.race([this.#process.ended(), whenAborted(this.#halt)]);
    this.#halt.throwIfAborted();
    if (this.#cut) {
      await Promise.race([this.#outputs.settled(), whenAborted(this.#halt)]);
      await this.#outputs.previewed();
      this.#halt.throwIfAborted();
      if (this.#outputs.unfinished.length > 0) throw new GiveBack(STOPPING);
    }
    if (exit.kind === "not_started" && !plan.needs_exec) {
      throw new GiveBack(`${plan.command.program} could not be started: ${exit.reason}`, {
        refuseMs: POLICY_REFUSE_MS,
      });
    }
    return exit;
  }

  async #fetchInputs(plan: Plan, folder: LeaseFolder): Promise<void> {
    const { client, cache, say } = this.#deps;
    try {
      const inputs = await listInputs(client, plan, this.#keeper.grant, this.#halt);
      const bytes = inputs.reduce((sum, input) => sum + input.size, 0);
      if (bytes > WORTH_SAYING_BYTES)
        say(`task ${this.lease.task_id}: fetching ${inputs.length} inputs, ${bytesText(bytes)}`);
      await placeInputs(cache, inputs, folder, this.#halt);
    } catch (error) {
      if (error instanceof ManagerError && error.status === 404)
        throw new InputMissing(`an input is not on the manager: ${error.detail}`);
      throw error;
    }
  }

  /** Upload one file. A refused grant may only be an old one: a renewal tells. */
  async #upload(path: string, name: string): Promise<string> {
    for (let tries = 1; ; tries++) {
      await this.#keeper.assured();
      try {
        const target = { taskId: this.lease.task_id, name, grant: this.#keeper.grant };
        return (await uploadOutput(this.#deps.client, path, target, { signal: this.#halt, retryForMs: Infinity }))
          .receipt;
      } catch (error) {
        this.#halt.throwIfAborted();
        if (tries === 3) throw error;
        if (error instanceof ManagerError && (error.status === 409 || error.status === 403))
          await this.#keeper.renewNow();
        else if (!(error instanceof FileChanged) && !(error instanceof ManagerError && error.status === 422))
          throw error;
      }
    }
  }

  async #settle({ plan, frames }: Runnable, exit: Exit, folder: LeaseFolder, next: NextClaim): Promise<LeaseOutcome> {
    const outputs = this.#outputs!;
    const { killed, fatal, errors, lastLines } = this.#process!;
    const saidDone = exit.kind === "exit" && exit.code === 0 && killed === undefined && !fatal;
    const verdict = saidDone ? await outputs.verify() : { missing: [], uploadError: await outputs.settled() };
    this.#halt.throwIfAborted();
    if (verdict.uploadError !== undefined) throw verdict.uploadError;
    await outputs.previewed();
    const { unfinished } = outputs;
    if (unfinished.length === 0) {
      const settled = await this.#keeper.settle(
        "complete",
        () => ({ ...this.#body(), next: next() }),
        this.#late.signal,
      );
      this.#deps.say(`task ${this.lease.task_id}: ${framesText(frames)} done`, { task: this.lease.task_id });
      return { kind: "settled", failed: false, claimed: settled.next };
    }
    if ((await freeBytes(folder.root)) < DISK_LOW_BYTES) throw diskFull();
    const missing = verdict.missing.map((file) => file.why);
    const said = failureText({ program: plan.command.program, exit, killed, errors, missing, lastLines });
    // Where this machine keeps its lease folders helps nobody; the rest of a path does.
    const error = said.replaceAll(`${folder.in}${sep}`, "").replaceAll(`${folder.out}${sep}`, "");
    return await this.#fail(blamed({ unfinished, current: outputs.current, saidDone }), error, next);
  }

  async #fail(frames: readonly number[], error: string, next: NextClaim): Promise<LeaseOutcome> {
    const { task_id } = this.lease;
    this.#deps.say(`task ${task_id}: ${framesText(frames)} failed: ${error}`, { task: task_id });
    const body = () => ({
      ...this.#body(),
      frames: formatFrameList(listOfFrames(frames)),
      error: error.slice(0, MAX_ERROR_CHARS),
      next: next(),
    });
    const settled = await this.#keeper.settle("fail", body, this.#late.signal);
    return { kind: "settled", failed: true, claimed: settled.next };
  }

  /** It did not come to a settlement: give the lease back, unless it is lost. */
  async #ended(error: unknown, next: NextClaim): Promise<LeaseOutcome> {
    const { say } = this.#deps;
    const { task_id } = this.lease;
    if (error instanceof LeaseLost || this.#keeper.lost.aborted) {
      say(
        `task ${task_id}: the lease of frames ${this.lease.frames} is lost (${messageOf(this.#keeper.lost.reason ?? error)}); dropping it`,
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
    const back = stopping ? new GiveBack(STOPPING) : asGiveBack(error);
    const left = this.#outputs?.unfinished ?? [];
    const which = left.length > 0 ? framesText(left) : `frames ${this.lease.frames}`;
    say(`task ${task_id}: giving ${which} back: ${back.message}`, { task: task_id });
    try {
      await this.#keeper.settle(
        "release",
        () => ({ ...this.#body(), reason: back.message.slice(0, 200) }),
        this.#late.signal,
      );
    } catch (refused) {
      say(`task ${task_id}: could not give the lease back (${messageOf(refused)}); it runs out by itself`, {
        task: task_id,
      });
      return { kind: "lost" };
    }
    return { kind: "released", refuseMs: back.refuseMs, pauseMs: back.pauseMs };
  }

  #body(): { attempt: number; done: Batch["done"]; log?: string } {
    const log = this.#log.take();
    return { attempt: this.lease.attempt, done: this.#outputs?.finished() ?? [], ...(log !== "" && { log }) };
  }
}

function framesText(frames: readonly number[]): string {
  return `${frames.length === 1 ? "frame" : "frames"} ${formatFrameList(listOfFrames(frames))}`;
}
