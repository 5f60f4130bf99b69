/**
 * `tablao worker`: the agent. Registers, then serves leases in its slots until it is told to stop.
 *
 * Signals: the first Ctrl-C (SIGINT) lets the frame end that is being rendered and begins nothing more; the second gives
 * everything back at once. SIGTERM does that the first time: service managers kill 10 to 90 seconds after it, most frames take
 * longer, and a lease that is given back is somebody else's within a second.
 */
import { mkdir } from "node:fs/promises";
import { VERSION } from "../protocol/version.ts";
import { Bell } from "./bell.ts";
import { claimLoop } from "./claim-loop.ts";
import { Connection } from "./connection.ts";
import { enrol, readIdentity } from "./identity.ts";
import { InputCache } from "./input-cache.ts";
import { sweepLeaseFolders } from "./lease-folder.ts";
import { LeaseRunner } from "./lease-runner.ts";
import { lockName } from "./name-lock.ts";
import { describeMachine, measureMachine, platformOf } from "./machine.ts";
import { ManagerError } from "../client/manager-client.ts";
import { checkWorkerOptions, foldersOf, type Folders, type WorkerOptions, type WorkerSettings } from "./options.ts";
import { findPrograms, programsText, type Programs } from "./programs.ts";
import { bytesText, oneLine, sayer, type Say } from "./say.ts";
import { messageOf } from "../lib/errors.ts";
import { StopSignals, type SignalSource } from "./stop-signals.ts";
import { watchForWaking } from "./wake.ts";
import { WorkerCalls } from "./worker-calls.ts";

/** Exit codes of the agent. */
export const EXIT = {
  ok: 0,
  /** It cannot start or go on; the last line says why. */
  failed: 1,
  /** The options are wrong. */
  usage: 2,
  /** `--once`: there was work, and some of it failed. */
  renderFailed: 3,
} as const;

/** What the agent needs of its surroundings; tests bring their own. */
export interface Surroundings {
  signals: SignalSource;
  write: (line: string) => void;
}

const SURROUNDINGS: Surroundings = {
  signals: process,
  write: (line) => void process.stderr.write(`${line}\n`),
};

/** HTTP-only workers are online for `OFFLINE_AFTER_MS` after they were heard: three of these. */
const POLL_MS = 15_000;
/** A machine that renders for hours shows its load now and then. */
const BUSY_REPORT_MS = 5 * 60_000;
/** A known worker waits for its manager as long as it takes; somebody who types a join command wants to know. */
const JOIN_RETRY_MS = 30_000;

/** Run the agent until it is told to stop (or with `once`, until there is nothing to do). Answers with the exit code. */
export async function runWorker(options: WorkerOptions, surroundings: Surroundings = SURROUNDINGS): Promise<number> {
  const checked = checkWorkerOptions(options);
  if (!checked.ok) {
    surroundings.write(`tablao worker: ${oneLine(checked.error)}`);
    return EXIT.usage;
  }
  const settings = checked.value;
  const problem = sayer(settings.json ? "json" : "text", surroundings.write);
  const say: Say = settings.quiet ? () => {} : problem;
  const folders = foldersOf(settings);
  let unlock: (() => void) | undefined;
  const stop = new StopSignals(surroundings.signals, say);
  try {
    unlock = await lockName(folders.lock);
    return await new Agent(settings, folders, say, problem, stop).run();
  } catch (error) {
    if (stop.asked) return EXIT.ok;
    problem(messageOf(error));
    return EXIT.failed;
  } finally {
    stop.dispose();
    unlock?.();
  }
}

class Agent {
  readonly #settings: WorkerSettings;
  readonly #folders: Folders;
  readonly #say: Say;
  readonly #problem: Say;
  readonly #stop: StopSignals;
  readonly #bell = new Bell();
  readonly #runners = new Set<LeaseRunner>();
  #drained = false;
  #pausedUntilMs = -Infinity;
  #idleSaid = false;
  #failed = false;

  constructor(settings: WorkerSettings, folders: Folders, say: Say, problem: Say, stop: StopSignals) {
    this.#settings = settings;
    this.#folders = folders;
    this.#say = say;
    this.#problem = problem;
    this.#stop = stop;
  }

  async run(): Promise<number> {
    const { cache: cacheDir, work } = this.#folders;
    await mkdir(work, { recursive: true, mode: 0o700 });
    const swept = await sweepLeaseFolders(work);
    if (swept > 0) this.#say(`removed ${swept} lease folders that an earlier run left behind`);
    const programs = await findPrograms(this.#settings, VERSION);
    const { client, workerId, created } = await this.#enrol(programs);
    this.#say(
      `${created ? "registered" : "signed in"} as worker ${workerId} (${this.#settings.name}) at ${client.url}: ${programsText(programs)}`,
      { worker: workerId },
    );
    const cache = await InputCache.open(cacheDir, this.#settings.cacheGb * 1e9, client);
    if (cache.bytes > 0) this.#say(`input cache: ${bytesText(cache.bytes)}`);
    const calls = new WorkerCalls(client, workerId, () => measureMachine(work), this.#problem);
    const over = new AbortController();
    const connection = new Connection({
      client,
      workerId,
      signal: over.signal,
      onPush: (push) => this.#pushed(push),
      onUp: () => {
        this.#say("connected");
        this.#bell.ring();
        for (const runner of this.#runners) runner.nudge();
      },
      onDown: (why) => this.#problem(`no connection (${why}); going on over plain HTTP while trying again`),
    });
    const connected = connection.run();
    const unwatch = watchForWaking((stillMs) => {
      this.#say(`stood still for ${Math.round(stillMs / 1_000)} s (sleep, or a clock that jumped): checking leases`);
      for (const runner of this.#runners) runner.nudge();
      connection.nudge();
    });
    const poll = setInterval(
      () => {
        if (!connection.up && this.#runners.size < this.#settings.slots) this.#bell.ring();
      },
      POLL_MS * (0.9 + Math.random() * 0.2),
    );
    const busy = setInterval(() => {
      if (this.#runners.size > 0) void calls.report();
    }, BUSY_REPORT_MS);
    this.#stop.soft.addEventListener("abort", () => {
      for (const runner of this.#runners) runner.finishFrame();
    });
    this.#stop.hard.addEventListener("abort", () => {
      for (const runner of this.#runners) runner.stop();
    });
    try {
      const slots = Array.from({ length: this.#settings.slots }, (_, slot) =>
        this.#serve(slot, { client, cache, calls, programs }),
      );
      // One slot that cannot go on ends the agent, but not before the others have given back what they hold.
      const ends = await Promise.allSettled(
        slots.map((slot) => slot.catch((error: unknown) => this.#cannotGoOn(error))),
      );
      const broken = ends.find((end) => end.status === "rejected");
      await calls.leave();
      if (broken) throw broken.reason;
      this.#say("stopped");
    } finally {
      for (const runner of this.#runners) runner.stop();
      clearInterval(poll);
      clearInterval(busy);
      unwatch();
      over.abort();
      await connected;
    }
    return this.#settings.once && this.#failed ? EXIT.renderFailed : EXIT.ok;
  }

  async #enrol(programs: Programs): Promise<Awaited<ReturnType<typeof enrol>>> {
    const { manager, join, name, slots, tags, allowExec, allowAutoexec, once } = this.#settings;
    const known = (await readIdentity(this.#folders.identity)) !== undefined;
    return await enrol({
      file: this.#folders.identity,
      manager,
      join,
      signal: this.#stop.soft,
      client: {
        userAgent: `tablao-worker/${VERSION}`,
        retryForMs: known && !once ? Infinity : JOIN_RETRY_MS,
        onRetry: throttled((error: ManagerError) => this.#problem(`${error.message}; trying again`)),
      },
      report: {
        ...describeMachine(),
        ...(await measureMachine(this.#folders.work)),
        name,
        slots,
        tags,
        programs: Object.fromEntries(Object.entries(programs).map(([program, { version }]) => [program, version])),
        allow_exec: allowExec,
        allow_autoexec: allowAutoexec,
        version: VERSION,
      },
    });
  }

  async #serve(
    slot: number,
    {
      client,
      cache,
      calls,
      programs,
    }: { client: WorkerCalls["client"]; cache: InputCache; calls: WorkerCalls; programs: Programs },
  ): Promise<void> {
    const { once, allowExec: exec, allowAutoexec: autoexec } = this.#settings;
    // One question is enough to learn that there is nothing; with work, the first slot wakes the second, and so on.
    if (slot > 0 && !once) await this.#bell.wait(Infinity, this.#stop.soft);
    await claimLoop({
      platform: platformOf(),
      bell: this.#bell,
      ask: (refused) => calls.ask(refused, this.#stop.soft),
      claim: (taskId, claim) => calls.claim(taskId, claim, this.#stop.late),
      run: async (lease, claimedMs, next) => {
        const runner = new LeaseRunner(
          { client, allowed: { exec, autoexec, programs }, cache, work: this.#folders.work, say: this.#say },
          lease,
          claimedMs,
        );
        this.#runners.add(runner);
        this.#idleSaid = false;
        // Its claim was on the way: nothing of it has begun.
        if (this.#stop.soft.aborted) runner.stop();
        try {
          return await runner.run(next);
        } finally {
          this.#runners.delete(runner);
        }
      },
      drained: () => this.#drained,
      pause: (ms) => {
        this.#pausedUntilMs = performance.now() + ms;
        this.#problem(`taking no work for ${Math.round(ms / 1_000)} s`);
      },
      pausedMs: () => Math.max(0, this.#pausedUntilMs - performance.now()),
      once,
      onIdle: () => {
        if (this.#runners.size === 0 && !this.#idleSaid)
          this.#say(this.#drained ? "draining: taking no work" : "waiting for work");
        this.#idleSaid = true;
      },
      onFailed: () => (this.#failed = true),
      signal: this.#stop.soft,
      now: () => performance.now(),
    });
  }

  /** Being told to stop is no error, whatever it interrupted. */
  #cannotGoOn(error: unknown): void {
    if (this.#stop.soft.aborted) return;
    this.#stop.now();
    throw error;
  }

  #pushed(push: Parameters<ConstructorParameters<typeof Connection>[0]["onPush"]>[0]): void {
    switch (push.type) {
      case "work":
        this.#bell.ring();
        return;
      case "cancel":
        for (const runner of this.#runners) {
          if (runner.lease.task_id === push.task_id && push.lease_ids.includes(runner.lease.lease_id))
            runner.lose("the manager canceled it");
        }
        return;
      case "drain":
        if (!this.#drained) this.#say("the manager asks for no more work from here: finishing what runs");
        this.#drained = true;
        return;
      case "enable":
        this.#drained = false;
        this.#idleSaid = false;
        this.#bell.ring();
    }
  }
}

/** At most once a minute. */
function throttled<T>(call: (value: T) => void): (value: T) => void {
  let quietUntilMs = -Infinity;
  return (value) => {
    if (performance.now() < quietUntilMs) return;
    quietUntilMs = performance.now() + 60_000;
    call(value);
  };
}
