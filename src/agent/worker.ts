/**
 * `tablao worker`: the agent. It registers, then takes leases in its slots until it is told to
 * stop.
 *
 * Signals:
 * - The first Ctrl-C (SIGINT): the frame that is being rendered is finished, and nothing more is
 *   begun.
 * - The second Ctrl-C, or SIGTERM: all leases are released at once. Service managers kill 10 to 90
 *   seconds after SIGTERM, most frames take longer, and a lease that is released goes to another
 *   worker within a second.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { BLENDERS_HEADER, blendersHeader } from "../protocol/blender-version.ts";
import { VERSION } from "../protocol/version.ts";
import { INSTANCE_HEADER, PING_MS, type WorkerRegister } from "../protocol/worker.ts";
import { WorkNotifier } from "./work-notifier.ts";
import { claimLoop } from "./claim-loop.ts";
import { RegistrySocket } from "./registry-socket.ts";
import { register, readIdentity } from "./identity.ts";
import { InputCache } from "./input-cache.ts";
import { removeStaleLeaseFolders } from "./lease-folder.ts";
import { LeaseRunner } from "./lease-runner.ts";
import { ocioProblem } from "./renderer-environment.ts";
import { lockCache, lockName } from "./name-lock.ts";
import { describeMachine, machineId, measureMachine, platformOf } from "./machine.ts";
import { checkWorkerOptions, foldersOf, type Folders, type WorkerOptions, type WorkerSettings } from "./options.ts";
import { ownFolders, workersIn } from "./own-folders.ts";
import { findPrograms, programsText, versionsOf, type Programs } from "./programs.ts";
import { bytesText, oneLine, createLogger, type Logger } from "./log.ts";
import { OutageLog } from "./outage-log.ts";
import { messageOf } from "../lib/errors.ts";
import { StopSignals, type SignalSource } from "./stop-signals.ts";
import { watchForSuspension } from "./suspension.ts";
import { Updater, type UpdaterOptions } from "./update/updater.ts";
import { WorkerCalls } from "./worker-calls.ts";

/** Exit codes of the agent. */
export const AGENT_EXIT = {
  ok: 0,
  /** It cannot start or go on; the last line says why. */
  failed: 1,
  /** The options are wrong. */
  usage: 2,
  /** With `--once`: some frames failed. */
  renderFailed: 3,
} as const;

/** What the agent uses of its process; tests pass their own. */
export interface WorkerDependencies {
  signals: SignalSource;
  write: (line: string) => void;
  /** An id of the machine; empty or undefined where it has none. */
  machineId: () => Promise<string | undefined>;
  /** How it renews itself; absent where it does not. */
  updates?: Pick<UpdaterOptions, "folder" | "own" | "tell" | "lookMs">;
}

/** This process. */
export const DEFAULT_DEPENDENCIES: WorkerDependencies = {
  signals: process,
  write: (line) => void process.stderr.write(`${line}\n`),
  machineId,
};

/**
 * How often an agent without a socket asks for work. The registry shows such a worker as online for
 * 60 s after a request (`HTTP_ONLINE_MS`): four of these, so that a lost request does not show as
 * an offline worker.
 */
const POLL_MS = 15_000;
/**
 * How often a busy agent reports its load: a lease of hours would otherwise show the load from
 * before it.
 */
const BUSY_REPORT_MS = 5 * 60_000;
/**
 * With a join token or `--once` the agent gives up after this, since a person waits, and the
 * address may be that of another site; a registered worker tries for ever.
 */
const JOIN_RETRY_MS = 30_000;

/** How many workers of the folder a message names: more would fill the screen. */
const NAMED_WORKERS = 5;

/**
 * Run the agent until it is told to stop (with `once`, until there is nothing to do). Answers with
 * a code of `AGENT_EXIT`. Never rejects.
 */
export async function runWorker(
  options: WorkerOptions,
  dependencies: WorkerDependencies = DEFAULT_DEPENDENCIES,
): Promise<number> {
  const checked = checkWorkerOptions(options);
  if (!checked.ok) {
    dependencies.write(`tablao worker: ${oneLine(checked.error)}`);
    return AGENT_EXIT.usage;
  }
  const settings = checked.value;
  const problem = createLogger(settings.json ? "json" : "text", dependencies.write);
  const log: Logger = settings.quiet ? () => {} : problem;
  const locks: (() => void)[] = [];
  const stop = new StopSignals(dependencies.signals, log);
  try {
    const machine = settings.unnamed ? (await dependencies.machineId()) || undefined : undefined;
    const place = await lockPlace(settings, machine);
    locks.push(place.unlock);
    const { folders } = place;
    // Before the leases of an earlier run are removed: they may be those of another agent.
    locks.push(await lockCache(folders.cache));
    if (folders.identity !== foldersOf(settings).identity)
      log(`this machine had another name, and stays the worker of ${folders.identity}`);
    const colours = ocioProblem(process.env, existsSync);
    if (colours !== null) problem(colours);
    return await new Agent(settings, { folders, machine }, { log, problem, stop, updates: dependencies.updates }).run();
  } catch (error) {
    if (stop.asked) return AGENT_EXIT.ok;
    problem(messageOf(error));
    return AGENT_EXIT.failed;
  } finally {
    stop.dispose();
    for (const unlock of locks.toReversed()) unlock();
  }
}

/**
 * Lock the files of this worker. Where the agent of another name of this machine runs, the machine was
 * not renamed: it is two workers that share the folder, and with a join token this one is new.
 */
async function lockPlace(
  settings: WorkerSettings,
  machine: string | undefined,
): Promise<{ folders: Folders; unlock: () => void }> {
  const folders = ownFolders(settings, machine);
  const named = foldersOf(settings);
  try {
    return { folders, unlock: await lockName(folders.lock) };
  } catch (error) {
    if (settings.join === undefined || folders.identity === named.identity) throw error;
    return { folders: named, unlock: await lockName(named.lock) };
  }
}

/** The programs as a report names them: each with one version, and all versions where there are several. */
function reported(programs: Programs): Pick<WorkerRegister, "programs" | "versions"> {
  const found = Object.entries(programs);
  const several = found.filter(([, { others = [] }]) => others.length > 0);
  return {
    programs: Object.fromEntries(found.map(([name, { version }]) => [name, version])),
    ...(several.length > 0 && {
      versions: Object.fromEntries(several.map(([name, program]) => [name, versionsOf(program)])),
    }),
  };
}

class Agent {
  readonly #settings: WorkerSettings;
  readonly #folders: Folders;
  readonly #machine: string | undefined;
  readonly #log: Logger;
  readonly #problem: Logger;
  readonly #stop: StopSignals;
  readonly #updates: WorkerDependencies["updates"];
  readonly #notifier = new WorkNotifier();
  readonly #runners = new Set<LeaseRunner>();
  #drained = false;
  #pausedUntilMs = -Infinity;
  #idleLogged = false;
  #failed = false;

  constructor(
    settings: WorkerSettings,
    { folders, machine }: { folders: Folders; machine: string | undefined },
    {
      log,
      problem,
      stop,
      updates,
    }: { log: Logger; problem: Logger; stop: StopSignals } & Pick<WorkerDependencies, "updates">,
  ) {
    this.#settings = settings;
    this.#folders = folders;
    this.#machine = machine;
    this.#log = log;
    this.#problem = problem;
    this.#stop = stop;
    this.#updates = updates;
  }

  async run(): Promise<number> {
    const { cache: cacheDir, work } = this.#folders;
    await mkdir(work, { recursive: true, mode: 0o700 });
    const removed = await removeStaleLeaseFolders(work);
    if (removed > 0) this.#log(`removed ${removed} lease folders that an earlier run left behind`);
    const programs = await findPrograms(this.#settings, VERSION);
    const { client, workerId, created } = await this.#register(programs);
    this.#log(
      `${created ? "registered" : "signed in"} as worker ${workerId} (${this.#settings.name}) at ${client.url}: ${programsText(programs)}`,
      { worker: workerId },
    );
    const cache = await InputCache.open(cacheDir, this.#settings.cacheGb * 1e9, client);
    if (cache.bytes > 0) this.#log(`input cache: ${bytesText(cache.bytes)}`);
    const calls = new WorkerCalls(client, workerId, () => measureMachine(work), this.#problem);
    const over = new AbortController();
    const updater = this.#updater(client, workerId, over.signal);
    const socket = new RegistrySocket({
      client,
      workerId,
      signal: over.signal,
      onPush: (push) => this.#pushed(push),
      onUp: () => {
        this.#log("connected");
        this.#notifier.notify();
        for (const runner of this.#runners) runner.renewNow();
        updater?.lookNow();
      },
      onDown: (why) => this.#problem(`no connection (${why}); going on over plain HTTP while trying again`),
    });
    const connected = socket.run();
    const updating = updater?.run();
    const stopWatching = watchForSuspension((pauseMs) => {
      this.#log(`stood still for ${Math.round(pauseMs / 1_000)} s (sleep, or a clock that jumped): checking leases`);
      for (const runner of this.#runners) runner.renewNow();
      socket.checkNow();
    });
    const poll = setInterval(
      () => {
        if (!socket.up && this.#runners.size < this.#settings.slots) this.#notifier.notify();
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
        this.#runSlot(slot, { client, cache, calls, programs, updater }),
      );
      // A slot that cannot go on ends the agent, but only after the other slots have released their
      // leases.
      const ends = await Promise.allSettled(slots.map((slot) => slot.catch((error: unknown) => this.#fail(error))));
      const broken = ends.find((end) => end.status === "rejected");
      await calls.leave();
      if (broken) throw broken.reason;
      this.#log("stopped");
    } finally {
      for (const runner of this.#runners) runner.stop();
      clearInterval(poll);
      clearInterval(busy);
      stopWatching();
      over.abort();
      await connected;
      await updating;
    }
    return this.#settings.once && this.#failed ? AGENT_EXIT.renderFailed : AGENT_EXIT.ok;
  }

  async #register(programs: Programs): Promise<Awaited<ReturnType<typeof register>>> {
    const { manager, join, name, slots, tags, allowExec, allowAutoexec, once } = this.#settings;
    const known = (await readIdentity(this.#folders.identity)) !== undefined;
    const blenders = blendersHeader(versionsOf(programs.blender));
    const outage = new OutageLog(this.#problem);
    const called = (): void => this.#updates?.tell({ type: "called" });
    const registered = await register({
      file: this.#folders.identity,
      machine: this.#machine,
      // The other agent shows as offline when it has missed three pings.
      taken: once ? undefined : { say: this.#problem, retryMs: PING_MS },
      others: this.#settings.unnamed ? workersIn(this.#settings.stateDir, NAMED_WORKERS) : [],
      manager,
      join,
      signal: this.#stop.soft,
      client: {
        userAgent: `tablao-worker/${VERSION}`,
        headers: { [INSTANCE_HEADER]: randomUUID(), ...(blenders !== undefined && { [BLENDERS_HEADER]: blenders }) },
        retryForMs: known && !once ? Infinity : JOIN_RETRY_MS,
        // A manager that cannot be reached is no fault of the program.
        outage: {
          failed: (call, error) => {
            called();
            outage.failed(call, error);
          },
          ended: (call, answered) => outage.ended(call, answered),
        },
      },
      report: {
        ...describeMachine(),
        ...(await measureMachine(this.#folders.work)),
        name,
        slots,
        tags,
        ...reported(programs),
        allow_exec: allowExec,
        allow_autoexec: allowAutoexec,
        version: VERSION,
      },
    });
    called();
    return registered;
  }

  #updater(client: WorkerCalls["client"], workerId: number, signal: AbortSignal): Updater | undefined {
    if (!this.#updates) return undefined;
    const finish = (): void => this.#stop.finish();
    return new Updater({ ...this.#updates, client, workerId, finish, log: this.#problem, signal });
  }

  async #runSlot(
    slot: number,
    {
      client,
      cache,
      calls,
      programs,
      updater,
    }: {
      client: WorkerCalls["client"];
      cache: InputCache;
      calls: WorkerCalls;
      programs: Programs;
      updater: Updater | undefined;
    },
  ): Promise<void> {
    const { once, allowExec: exec, allowAutoexec: autoexec } = this.#settings;
    // At the start the first slot alone asks the registry; if it finds work, it wakes the next
    // slot, and so on.
    if (slot > 0 && !once) await this.#notifier.wait(Infinity, this.#stop.soft);
    await claimLoop({
      platform: platformOf(),
      notifier: this.#notifier,
      ask: (refused) => calls.ask(refused, this.#stop.soft),
      claim: (taskId, claim) => calls.claim(taskId, claim, this.#stop.late),
      run: async (lease, claimedMs, next) => {
        const runner = new LeaseRunner(
          {
            client,
            allowed: { exec, autoexec, programs },
            cache,
            work: this.#folders.work,
            log: this.#log,
            env: this.#settings.env,
          },
          lease,
          claimedMs,
        );
        this.#runners.add(runner);
        this.#idleLogged = false;
        // The claim was under way when the agent was told to stop: the lease is released before
        // anything begins.
        if (this.#stop.soft.aborted) runner.stop();
        try {
          const outcome = await runner.run(next);
          if (outcome.kind === "settled" && !outcome.failed) updater?.leaseFinished();
          return outcome;
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
        if (this.#runners.size === 0 && !this.#idleLogged)
          this.#log(this.#drained ? "draining: taking no work" : "waiting for work");
        this.#idleLogged = true;
      },
      onFailed: () => (this.#failed = true),
      signal: this.#stop.soft,
      now: () => performance.now(),
    });
  }

  /**
   * Stop all slots for an error of one. After a request to stop, errors are only what the stop
   * interrupted.
   */
  #fail(error: unknown): void {
    if (this.#stop.soft.aborted) return;
    this.#stop.now();
    throw error;
  }

  #pushed(push: Parameters<ConstructorParameters<typeof RegistrySocket>[0]["onPush"]>[0]): void {
    switch (push.type) {
      case "work":
        this.#notifier.notify();
        return;
      case "cancel":
        for (const runner of this.#runners) {
          if (runner.lease.task_id === push.task_id && push.lease_ids.includes(runner.lease.lease_id))
            runner.markLost("the manager canceled it");
        }
        return;
      case "drain":
        if (!this.#drained) this.#log("the manager asks for no more work from here: finishing what runs");
        this.#drained = true;
        return;
      case "enable":
        this.#drained = false;
        this.#idleLogged = false;
        this.#notifier.notify();
    }
  }
}
