/**
 * `tablao worker`: the agent. It registers, then takes leases in its slots until it is told to
 * stop.
 *
 * Signals:
 * - The first Ctrl-C (SIGINT): the frame that is being rendered is finished, and nothing more is
 *   begun.
 * - The second Ctrl-C, SIGTERM, SIGHUP, or Ctrl-Break on Windows: all leases are released at once. Service managers kill 10 to 90
 *   seconds after SIGTERM, most frames take longer, and a lease that is released goes to another
 *   worker within a second.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { buildPlatformIn, FETCHABLE_HEADER, FETCHES_HEADER, type BuildPlatform } from "../protocol/blender-build.ts";
import { BLENDERS_HEADER, blendersHeader, minorOf } from "../protocol/blender-version.ts";
import { VERSION } from "../protocol/version.ts";
import { INSTANCE_HEADER, PING_MS, type WorkerRegister } from "../protocol/worker.ts";
import type { AgentOrder } from "../client/agent-control.ts";
import { statusLine, type AgentStatus } from "../client/agent-status.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { WorkNotifier } from "./work-notifier.ts";
import { claimLoop } from "./claim-loop.ts";
import { ConnectionState } from "./connection-state.ts";
import { ControlServer } from "./control-server.ts";
import { LiveLine, type Terminal } from "./live-line.ts";
import { LocalState } from "./local-state.ts";
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
import { RendererStore } from "./renderer-store.ts";
import { findPrograms, programsText, versionsOf, type Program, type Programs } from "./programs.ts";
import { bytesText, oneLine, createLogger, type Logger } from "./log.ts";
import { OutageLog } from "./outage-log.ts";
import { messageOf } from "../lib/errors.ts";
import { supervisor } from "./supervisor.ts";
import { NetworkFault } from "../client/network-fault.ts";
import { StopSignals, type SignalSource } from "./stop-signals.ts";
import { privacyProblem } from "./windows-paths.ts";
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
  /** Where a person may look on: then its last line says how the agent is. Lines go there, and not to `write`. */
  terminal?: Terminal;
}

/** This process. */
export const DEFAULT_DEPENDENCIES: WorkerDependencies = {
  signals: process,
  write: (line) => void process.stderr.write(`${line}\n`),
  machineId,
  terminal: process.stderr,
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

/** A report of what was asked at the machine is waited for so long when the agent ends. */
const LAST_REPORT_MS = 2_000;

/** Why leases are given back, for the history. */
const PAUSED = "the worker was paused on its machine";
const STOPPED = "the worker was stopped";
/** How often a worker says how far it is with a Blender: each text that is new costs the manager a row. */
const ACTIVITY_EVERY_MS = 5_000;

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
  const { terminal } = dependencies;
  const live =
    terminal && LiveLine.fits(terminal, process.env) && !settings.json && !settings.quiet
      ? new LiveLine(terminal)
      : undefined;
  const write = live ? (line: string) => live.log(line) : dependencies.write;
  const problem = createLogger(settings.json ? "json" : "text", write);
  const log: Logger = settings.quiet ? () => {} : problem;
  const locks: (() => void)[] = [];
  const stop = new StopSignals(dependencies.signals, log);
  let control: ControlServer | undefined;
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
    const open = privacyProblem(settings.stateDir, homedir());
    if (open !== undefined) problem(open);
    locks.push(supervisor.start(problem));
    const { updates } = dependencies;
    const agent = new Agent(settings, { folders, machine }, { log, problem, stop, updates });
    control = await ControlServer.start(folders.control, (order) => agent.obey(order)).catch((error: unknown) => {
      problem(`'tablao worker status' and 'pause' cannot reach this agent: ${messageOf(error)}`);
      return undefined;
    });
    live?.show(() => statusLine(agent.status));
    return await agent.run();
  } catch (error) {
    if (stop.asked) return AGENT_EXIT.ok;
    problem(messageOf(error));
    return error instanceof NetworkFault ? AGENT_EXIT.usage : AGENT_EXIT.failed;
  } finally {
    stop.dispose();
    live?.end();
    control?.close();
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

/**
 * The programs, and the Blenders that were fetched from the farm. What was found on the machine stays the one that is
 * used by default.
 */
function withFetched(programs: Programs, fetched: readonly string[]): Programs {
  const { blender } = programs;
  const has = versionsOf(blender).map(minorOf);
  const added = fetched.filter((version, i) => !has.includes(minorOf(version)) && fetched.indexOf(version) === i);
  const others = added.map((version): Program => ({ command: ["blender"], version }));
  const [first, ...rest] = blender ? [blender, ...(blender.others ?? []), ...others] : others;
  if (!first) return programs;
  return { ...programs, blender: { ...first, ...(rest.length > 0 && { others: rest }) } };
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
  /** Sent with every call. What of it changes is which Blenders there are, and which could be fetched. */
  readonly #headers: Record<string, string> = { [INSTANCE_HEADER]: randomUUID() };
  readonly #local: LocalState;
  readonly #connection: ConnectionState;
  #calls: WorkerCalls | undefined;
  #cache: InputCache | undefined;
  #over = new AbortController();
  /** The manager gives this worker no work. */
  #drained = false;
  /** And wants back what it has. */
  #stopped = false;
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
    this.#local = new LocalState(folders.paused);
    this.#connection = new ConnectionState(new OutageLog(problem));
  }

  /** How this agent is. */
  get status(): AgentStatus {
    const pausedMs = this.#pausedUntilMs - performance.now();
    return {
      name: this.#settings.name,
      pid: process.pid,
      version: VERSION,
      worker_id: this.#calls?.workerId ?? null,
      manager: this.#calls?.client.url ?? null,
      ...this.#connection.status,
      paused: this.#local.paused,
      drained: this.#drained,
      stopping: this.#stop.soft.aborted,
      disk_full_until_ms: pausedMs > 0 ? Date.now() + pausedMs : null,
      leases: [...this.#runners].map((runner) => runner.status),
      cache_bytes: this.#cache?.bytes ?? 0,
    };
  }

  /** Carry out an order of somebody at this machine. */
  obey(order: AgentOrder): Result<AgentStatus, string> {
    if (order !== "status" && order !== "drain" && this.#stop.soft.aborted) return err("it is about to end");
    try {
      if (order === "pause") this.#pause();
      if (order === "resume") this.#resume();
      if (order === "drain") {
        this.#local.drain();
        this.#updates?.tell({ type: "stopping" });
        this.#stop.drain();
      }
    } catch (error) {
      return err(`${this.#folders.paused}: ${messageOf(error)}`);
    }
    this.#tellLocalState();
    return ok(this.status);
  }

  #pause(): void {
    if (this.#local.paused) return;
    this.#local.pause();
    this.#log("paused on this machine: the frame that is being rendered may end, nothing more is begun");
    for (const runner of this.#runners) runner.finishFrame(PAUSED);
  }

  #resume(): void {
    if (!this.#local.paused) return;
    this.#local.resume();
    this.#idleLogged = false;
    this.#log(this.#drained ? "resumed; an admin has drained this worker: no work until it is enabled" : "resumed");
    this.#notifier.notify();
  }

  #tellLocalState(): void {
    const calls = this.#calls;
    if (calls) this.#local.tell((state) => calls.reportLocalState(state, this.#over.signal));
  }

  async run(): Promise<number> {
    const { cache: cacheDir, work } = this.#folders;
    await mkdir(work, { recursive: true, mode: 0o700 });
    const { removed, problems } = await removeStaleLeaseFolders(work);
    for (const text of problems) this.#problem(text);
    if (removed > 0) this.#log(`removed ${removed} lease folders that an earlier run left behind`);
    const programs = await findPrograms(this.#settings, VERSION);
    if (this.#local.paused) this.#log("paused on this machine: taking no work until 'tablao worker resume'");
    const build = this.#settings.fetch ? buildPlatformIn(`${platformOf()}-${process.arch}`) : undefined;
    if (build !== undefined) this.#headers[FETCHES_HEADER] = build;
    const { client, workerId, created } = await this.#register(programs);
    const calls = new WorkerCalls(client, workerId, () => measureMachine(work), this.#problem);
    this.#calls = calls;
    // It may have been paused or resumed while it registered.
    this.#tellLocalState();
    this.#log(
      `${created ? "registered" : "signed in"} as worker ${workerId} (${this.#settings.name}) at ${client.url}: ${programsText(programs)}`,
      { worker: workerId },
    );
    if (this.#settings.registerOnly) {
      await calls.leave();
      return AGENT_EXIT.ok;
    }
    const cache = await InputCache.open(cacheDir, this.#settings.cacheGb * 1e9, client);
    this.#cache = cache;
    if (cache.bytes > 0) this.#log(`input cache: ${bytesText(cache.bytes)}`);
    const renderers = build && (await this.#openRenderers(build, client, calls, programs));
    const over = this.#over;
    const updater = this.#updater(client, workerId, over.signal);
    const socket = new RegistrySocket({
      client,
      workerId,
      signal: over.signal,
      onPush: (push) => this.#pushed(push),
      onUp: () => {
        this.#log("connected");
        this.#connection.socket(true);
        // The manager says at once when it still gives no work. A push that came while there was no socket is lost.
        this.#drained = this.#stopped = false;
        this.#idleLogged = false;
        this.#notifier.notify();
        for (const runner of this.#runners) runner.renewNow();
        updater?.lookNow();
      },
      onDown: (why) => {
        this.#connection.socket(false);
        this.#problem(`no connection (${why}); going on over plain HTTP while trying again`);
      },
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
        if (socket.up) return;
        // It does not ask for work, and must not show as offline for that.
        if (this.#local.paused || this.#drained) void calls.report();
        if (this.#runners.size < this.#settings.slots) this.#notifier.notify();
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
        this.#runSlot(slot, { client, cache, calls, programs, updater, renderers }),
      );
      // A slot that cannot go on ends the agent, but only after the other slots have released their
      // leases.
      const ends = await Promise.allSettled(slots.map((slot) => slot.catch((error: unknown) => this.#fail(error))));
      const broken = ends.find((end) => end.status === "rejected");
      await Promise.race([this.#local.settled(), delay(LAST_REPORT_MS, undefined, { ref: false })]);
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

  /** Open the folder of Blenders from the farm, and tell the registry which there are, now and later. */
  async #openRenderers(
    build: BuildPlatform,
    client: WorkerCalls["client"],
    calls: WorkerCalls,
    programs: Programs,
  ): Promise<RendererStore> {
    const { renderersDir: dir, renderersGb } = this.#settings;
    const told = throttled(ACTIVITY_EVERY_MS, (text: string | null) => void calls.say(text));
    let opened: RendererStore | undefined;
    const offer = (): void => {
      if (!opened) return;
      const all = withFetched(programs, opened.versions);
      this.#nameBlenders(all);
      void calls.offer(reported(all));
    };
    opened = await RendererStore.open({
      dir,
      maxBytes: renderersGb * 1e9,
      client,
      build,
      platform: platformOf(),
      onActivity: told,
      onChange: offer,
      log: (text) => this.#log(text),
    });
    if (opened.versions.length > 0) {
      this.#log(`Blenders from the farm: ${opened.versions.join(", ")}`);
      offer();
    }
    return opened;
  }

  #nameBlenders(programs: Programs): void {
    const blenders = blendersHeader(versionsOf(programs.blender));
    if (blenders === undefined) delete this.#headers[BLENDERS_HEADER];
    else this.#headers[BLENDERS_HEADER] = blenders;
  }

  /** The registry says which Blenders could be fetched; a claim repeats it, since a task does not know. */
  #nameFetchable(versions: readonly string[]): void {
    const fetchable = blendersHeader(versions);
    if (fetchable === undefined) delete this.#headers[FETCHABLE_HEADER];
    else this.#headers[FETCHABLE_HEADER] = fetchable;
  }

  async #register(programs: Programs): Promise<Awaited<ReturnType<typeof register>>> {
    const {
      manager,
      ca,
      join,
      name,
      slots,
      tags,
      allowExec,
      allowAutoexec,
      once: doesOnce,
      registerOnly,
    } = this.#settings;
    // A person waits.
    const once = doesOnce || registerOnly;
    const known = (await readIdentity(this.#folders.identity)) !== undefined;
    this.#nameBlenders(programs);
    const localState = this.#local.reported;
    this.#local.registered(localState);
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
        ca,
        userAgent: `tablao-worker/${VERSION}`,
        headers: this.#headers,
        retryForMs: known && !once ? Infinity : JOIN_RETRY_MS,
        // A manager that cannot be reached is no fault of the program.
        outage: {
          failed: (call, error) => {
            called();
            this.#connection.failed(call, error);
          },
          ended: (call, answered) => this.#connection.ended(call, answered),
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
        ...(localState !== null && { local_state: localState }),
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
      renderers,
    }: {
      client: WorkerCalls["client"];
      cache: InputCache;
      calls: WorkerCalls;
      programs: Programs;
      updater: Updater | undefined;
      renderers: RendererStore | undefined;
    },
  ): Promise<void> {
    const { once, allowExec: exec, allowAutoexec: autoexec } = this.#settings;
    // At the start the first slot alone asks the registry; if it finds work, it wakes the next
    // slot, and so on.
    if (slot > 0 && !once) await this.#notifier.wait(Infinity, this.#stop.soft);
    await claimLoop({
      platform: platformOf(),
      notifier: this.#notifier,
      ask: async (refused) => {
        const patched = await calls.ask(refused, this.#stop.soft);
        if (renderers) this.#nameFetchable(patched.blender_builds ?? []);
        return patched;
      },
      claim: (taskId, claim) => calls.claim(taskId, claim, this.#stop.late),
      run: async (lease, claimedMs, next) => {
        const runner = new LeaseRunner(
          {
            client,
            allowed: { exec, autoexec, programs },
            cache,
            renderers,
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
        else if (this.#local.paused) runner.stop(PAUSED);
        else if (this.#stopped) runner.stop(STOPPED);
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
      pausedMs: () => (this.#local.paused ? Infinity : Math.max(0, this.#pausedUntilMs - performance.now())),
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
      case "stop_now":
        this.#log("the manager stops this worker: giving back what runs");
        this.#drained = this.#stopped = true;
        for (const runner of this.#runners) runner.stop(STOPPED);
        return;
      case "enable":
        this.#drained = this.#stopped = false;
        this.#idleLogged = false;
        this.#notifier.notify();
    }
  }
}

/** Passes texts on, of those that begin alike at most one in so many milliseconds; others, and null, at once. */
function throttled(everyMs: number, pass: (text: string | null) => void): (text: string | null) => void {
  let passedMs = -Infinity;
  let last: string | null = null;
  const verb = (text: string | null): string | undefined => text?.split(" ", 1)[0];
  return (text) => {
    const now = performance.now();
    if (text === last || (text !== null && verb(text) === verb(last) && now - passedMs < everyMs)) return;
    passedMs = now;
    last = text;
    pass(text);
  };
}
