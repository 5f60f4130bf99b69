/**
 * Blenders that this machine fetched from the farm. A lease that needs a version which the machine lacks fetches the
 * farm's build of it: in ranges that go on where they broke off, checked by its SHA-256, unpacked aside, and started
 * once with `--version`. Only then it counts.
 *
 * Agents of one machine share the folder:
 * - `<version>-<hash>/` with `<version>-<hash>.json`: a build that counts. The record is written last.
 * - `<version>-<hash>.fetch/`: one that is being fetched; `….fetch.lock` is held by the agent that does.
 * - `<version>-<hash>.use-<agent>.lock`: held by an agent while it renders with the build. Such a build is not removed.
 * - `store.lock`: held for the moments in which builds are taken into use, or removed.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { downloadTo, keepHalfFiles } from "../client/download.ts";
import { takeLock, type Lock } from "../client/lock.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";
import { messageOf } from "../lib/errors.ts";
import {
  archiveEnding,
  BUILD_VERSION,
  buildsSchema,
  fetchingText,
  type BlenderBuild,
  type BuildPlatform,
} from "../protocol/blender-build.ts";
import { blenderFor, compareVersions, newestOf } from "../protocol/blender-version.ts";
import type { Platform } from "../protocol/plan.ts";
import { PROGRAMS } from "../protocol/programs.ts";
import { whenAborted } from "./lease-renewer.ts";
import { freeBytes } from "./machine.ts";
import { versionOf } from "./programs.ts";
import { DISK_LOW_BYTES, isDiskFull, POLICY_DECLINE_MS, ReleaseLease } from "./release-lease.ts";
import { BadArchive, checkTree, findExecutable, unpack, UNPACK_LIMITS, type UnpackLimits } from "./unpack.ts";

/** As with inputs: how long the archive is tried without a byte (`INPUT_RETRY_MS` says why). */
const FETCH_RETRY_MS = 90_000;
/**
 * The manager holds the worker off for longer, and says why; a task that the agent declined for as long would be shown
 * without the reason.
 */
const DECLINE_MS = 60_000;
/** Between two looks at a lock that another agent of this machine holds. */
const LOCK_LOOK_MS = 250;
/** An official archive unpacks to less than four times its size. Room for that is made first. */
const UNPACKED_TIMES = 4;
/** What an agent left that was fetching, and never came back. */
const LEFT_FETCH_MS = 7 * 86_400_000;
/** A build that another agent removes again and again right after it came is no good place to render. */
const HOLD_TRIES = 3;

const recordSchema = z.object({
  version: z.string().regex(BUILD_VERSION),
  bytes: z.number().min(0),
  files: z.number().min(0),
  /** Relative to the folder of the build. */
  executable: z.string().min(1),
});
type Record_ = z.infer<typeof recordSchema>;

/** A Blender that is in use, until it is released. */
export interface HeldRenderer {
  version: string;
  command: readonly [string];
  release(): void;
}

export interface RendererStoreOptions {
  dir: string;
  maxBytes: number;
  client: ManagerClient;
  /** Of this machine. */
  build: BuildPlatform;
  platform: Platform;
  /** What the agent does at the moment, for people; null: nothing of this any more. */
  onActivity: (text: string | null) => void;
  /** Another set of versions counts. */
  onChange: () => void;
  log: (text: string) => void;
  /** Tests set lower ones. */
  limits?: UnpackLimits;
}

/** A build on its way, and how many leases wait for it. */
interface Fetching {
  done: Promise<void>;
  waiters: number;
  stop: AbortController;
}

interface Kept extends Record_ {
  name: string;
}

export class RendererStore {
  readonly #options: RendererStoreOptions;
  readonly #agent = randomUUID();
  readonly #fetching = new Map<string, Fetching>();
  /** Builds that cannot be used, why, and until when they are not tried again. */
  readonly #bad = new Map<string, { why: string; untilMs: number }>();
  readonly #used = new Map<string, { leases: number; lock: Lock }>();
  #kept: Kept[] = [];
  /** The steps that hold `store.lock`, one after the other: it does not keep out its own process everywhere. */
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(options: RendererStoreOptions) {
    this.#options = options;
  }

  /** Open the folder, with what earlier runs left in it. */
  static async open(options: RendererStoreOptions): Promise<RendererStore> {
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
    const store = new RendererStore(options);
    await store.#locked(async () => await store.#tidy());
    await store.#look();
    return store;
  }

  /** The versions that are here and count, the newest first. */
  get versions(): string[] {
    return this.#kept.map(({ version }) => version);
  }

  /**
   * A Blender of this minor version (undefined: of any), fetched where it is not here, and in use until it is
   * released. Throws `ReleaseLease`, or the signal's reason.
   */
  async hold(minor: string | undefined, signal: AbortSignal): Promise<HeldRenderer> {
    const wanted = (versions: readonly string[]): string | undefined =>
      minor === undefined ? newestOf(versions) : blenderFor(minor, versions);
    for (let tries = 0; tries < HOLD_TRIES; tries++) {
      signal.throwIfAborted();
      await this.#look();
      const version = wanted(this.versions);
      const kept = this.#kept.find((one) => one.version === version);
      const held = kept && (await this.#use(kept));
      if (held) return held;
      await this.#obtain(await this.#find(minor, wanted, signal), signal);
    }
    throw new ReleaseLease("the Blender that was fetched is removed again and again", "unable", {
      declineMs: DECLINE_MS,
    });
  }

  async #find(
    minor: string | undefined,
    wanted: (versions: readonly string[]) => string | undefined,
    signal: AbortSignal,
  ): Promise<BlenderBuild> {
    const { client, build: platform } = this.#options;
    const { builds } = await client
      .call(buildsSchema, "GET", "/blender-builds", { signal, retryForMs: FETCH_RETRY_MS })
      .catch((error: unknown) => {
        throw notFetched(error, signal, "the list of builds");
      });
    const own = builds.filter((build) => build.platform === platform);
    const version = wanted(own.map((build) => build.version));
    const build = own.find((one) => one.version === version);
    if (build) return build;
    const which = minor === undefined ? "no Blender" : `no Blender ${minor}`;
    throw new ReleaseLease(`this worker has ${which}, and the farm keeps none for ${platform}`, "unable", {
      declineMs: DECLINE_MS,
    });
  }

  /** Fetch a build, or wait for the call that does. It goes on while at least one lease waits for it. */
  async #obtain(build: BlenderBuild, signal: AbortSignal): Promise<void> {
    const name = nameOf(build);
    const bad = this.#bad.get(name);
    if (bad && performance.now() < bad.untilMs) throw unusable(build, bad.why);
    let fetching = this.#fetching.get(name);
    if (fetching?.stop.signal.aborted) {
      // It was given up, and must have closed the half file before another one resumes it.
      await Promise.race([fetching.done.catch(() => undefined), whenAborted(signal)]);
      return await this.#obtain(build, signal);
    }
    if (!fetching) {
      const stop = new AbortController();
      const done = this.#fetch(build, stop.signal).finally(() => {
        this.#fetching.delete(name);
        if (this.#fetching.size === 0) this.#options.onActivity(null);
      });
      done.catch(() => undefined);
      fetching = { done, waiters: 0, stop };
      this.#fetching.set(name, fetching);
    }
    fetching.waiters++;
    try {
      await Promise.race([fetching.done, whenAborted(signal)]);
    } finally {
      if (--fetching.waiters === 0) fetching.stop.abort(signal.reason);
    }
  }

  async #fetch(build: BlenderBuild, signal: AbortSignal): Promise<void> {
    const { dir, onActivity, log } = this.#options;
    const name = nameOf(build);
    const waiting = `fetching Blender ${build.version}: another agent of this machine does`;
    const lock = await this.#wait(path.join(dir, `${name}.fetch.lock`), signal, () => onActivity(waiting));
    const folder = path.join(dir, `${name}.fetch`);
    try {
      if (await this.#record(name)) return;
      await this.#makeRoom(build.bytes * (1 + UNPACKED_TIMES));
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await this.#install(build, folder, signal);
      await rm(folder, { recursive: true, force: true });
      log(`Blender ${build.version} is here`);
    } catch (error) {
      await rm(path.join(folder, UNPACKED), { recursive: true, force: true });
      signal.throwIfAborted();
      throw await this.#failure(build, folder, error);
    } finally {
      lock.release();
    }
    await this.#look();
  }

  /** Download, unpack aside, start once, and only then put the build in its place. */
  async #install(build: BlenderBuild, folder: string, signal: AbortSignal): Promise<void> {
    const { dir, client, platform, onActivity, log, limits = UNPACK_LIMITS } = this.#options;
    const { version, sha256, bytes, file_name } = build;
    const ending = archiveEnding(file_name);
    if (ending === undefined) throw new BadArchive(`the agent does not know how ${file_name} is packed`);
    const archive = path.join(folder, `archive${ending}`);
    // This agent holds the lock of the folder.
    await keepHalfFiles(folder);
    log(`fetching Blender ${version} from the farm (${Math.round(bytes / 1e6)} MB)`);
    onActivity(fetchingText(version, 0, bytes));
    await downloadTo(
      client,
      archive,
      `/blender-files/${sha256}`,
      { sha256 },
      {
        size: bytes,
        signal,
        retryForMs: FETCH_RETRY_MS,
        onProgress: (done) => onActivity(fetchingText(version, done, bytes)),
      },
    );
    onActivity(`unpacking Blender ${version}`);
    const unpacked = path.join(folder, UNPACKED);
    await rm(unpacked, { recursive: true, force: true });
    const tree = await unpack(archive, ending, unpacked, { platform, signal, limits });
    const executable = await findExecutable(unpacked, platform);
    signal.throwIfAborted();
    const says = await versionOf(BLENDER, path.join(unpacked, executable));
    if (says === undefined) throw new BadArchive("it does not start on this machine");
    if (compareVersions(says, version) !== 0) throw new BadArchive(`it says that it is Blender ${says}`);
    signal.throwIfAborted();
    const record: Record_ = { version, ...tree, executable };
    const name = nameOf(build);
    await this.#locked(async () => {
      await rm(path.join(dir, name), { recursive: true, force: true });
      await rename(unpacked, path.join(dir, name));
      const draft = path.join(folder, "record.json");
      await writeFile(draft, JSON.stringify(record));
      await rename(draft, path.join(dir, `${name}.json`));
    });
  }

  /**
   * Why a lease is released for which a build did not come. Always `unable`: the worker is held off, and nothing is
   * counted against a frame, which has not been looked at.
   */
  async #failure(build: BlenderBuild, folder: string, error: unknown): Promise<ReleaseLease> {
    if (error instanceof ReleaseLease) return error;
    const free = await freeBytes(this.#options.dir).catch(() => Infinity);
    if (isDiskFull(error) || (error instanceof BadArchive && free < DISK_LOW_BYTES)) {
      await rm(folder, { recursive: true, force: true });
      return new ReleaseLease(`the worker's disk has no room for Blender ${build.version}`, "unable", {
        declineMs: DECLINE_MS,
      });
    }
    const isOtherContent = error instanceof ManagerError && error.code === "bad_answer";
    if (!(error instanceof BadArchive) && !isOtherContent)
      return notFetched(error, undefined, `Blender ${build.version}`);
    // It would be the same bytes again: hundreds of megabytes for nothing.
    await rm(folder, { recursive: true, force: true });
    const why = messageOf(error);
    this.#bad.set(nameOf(build), { why, untilMs: performance.now() + POLICY_DECLINE_MS });
    return unusable(build, why);
  }

  // The folder

  /** Take a build into use; undefined when another agent has removed it. */
  async #use({ name, version, executable }: Kept): Promise<HeldRenderer | undefined> {
    const { dir } = this.#options;
    const isThere = await this.#locked(async () => {
      if (!(await this.#record(name))) return false;
      const used = this.#used.get(name);
      if (used) used.leases++;
      else {
        const lock = await takeLock(path.join(dir, `${name}.use-${this.#agent}.lock`));
        if (!lock.ok) return false;
        this.#used.set(name, { leases: 1, lock: lock.value });
      }
      const now = new Date();
      await utimes(path.join(dir, `${name}.json`), now, now).catch(() => undefined);
      return true;
    });
    if (!isThere) return undefined;
    let held = true;
    const release = (): void => {
      const used = this.#used.get(name)!;
      if (!held) return;
      held = false;
      if (--used.leases > 0) return;
      this.#used.delete(name);
      used.lock.release();
    };
    return { version, command: [path.join(dir, name, executable)], release };
  }

  /** Remove builds that no agent uses, the least recently used first, until so many more bytes fit. */
  async #makeRoom(bytes: number): Promise<void> {
    const { dir, maxBytes, log } = this.#options;
    const removed = await this.#locked(async () => {
      const gone: string[] = [];
      const kept = await Promise.all(
        (await this.#keptNow()).map(async (one) => ({
          ...one,
          usedMs: (await stat(path.join(dir, `${one.name}.json`)).catch(() => ({ mtimeMs: 0 }))).mtimeMs,
        })),
      );
      let sum = kept.reduce((all, one) => all + one.bytes, 0);
      for (const one of kept.toSorted((a, b) => a.usedMs - b.usedMs)) {
        const fits = sum + bytes <= maxBytes && bytes <= (await freeBytes(dir));
        if (fits) break;
        if (await this.#isUsed(one.name)) continue;
        gone.push(await this.#takeAway(one.name));
        sum -= one.bytes;
        log(`Blender ${one.version} is removed, to make room for another one`);
      }
      return gone;
    });
    for (const folder of removed) await rm(folder, { recursive: true, force: true });
    if (removed.length > 0) await this.#look();
  }

  /** Have a build count no more; answers with the folder that is left of it. Under `store.lock`. */
  async #takeAway(name: string): Promise<string> {
    const { dir } = this.#options;
    await rm(path.join(dir, `${name}.json`), { force: true });
    const gone = path.join(dir, `${name}.gone-${randomUUID()}`);
    await rename(path.join(dir, name), gone).catch(() => undefined);
    return gone;
  }

  /** Whether an agent of this machine renders with it. Under `store.lock`. */
  async #isUsed(name: string): Promise<boolean> {
    if (this.#used.has(name)) return true;
    const { dir } = this.#options;
    for (const file of await readdir(dir)) {
      if (!file.startsWith(`${name}.use-`) || !file.endsWith(".lock")) continue;
      // That of an agent that is gone can be taken.
      const lock = await takeLock(path.join(dir, file));
      if (!lock.ok) return true;
      lock.value.release();
    }
    return false;
  }

  /** Remove what agents left that were killed. Under `store.lock`. */
  async #tidy(): Promise<void> {
    const { dir } = this.#options;
    for (const file of await readdir(dir)) {
      const full = path.join(dir, file);
      if (GONE.test(file)) await rm(full, { recursive: true, force: true });
      else if (file.endsWith(".fetch") && (await isOlder(full, LEFT_FETCH_MS))) {
        const lock = await takeLock(`${full}.lock`);
        if (!lock.ok) continue;
        await rm(full, { recursive: true, force: true });
        lock.value.release();
      }
    }
    // A power cut right after the record was written may have left files without their bytes.
    for (const { name, bytes, files } of await this.#keptNow()) {
      const tree = await checkTree(path.join(dir, name), UNPACK_LIMITS).catch(() => undefined);
      if ((tree?.bytes === bytes && tree.files === files) || (await this.#isUsed(name))) continue;
      await rm(await this.#takeAway(name), { recursive: true, force: true });
    }
  }

  /** Read which builds count. */
  async #look(): Promise<void> {
    const before = this.versions.join();
    this.#kept = await this.#keptNow();
    if (this.versions.join() !== before) this.#options.onChange();
  }

  async #keptNow(): Promise<Kept[]> {
    const names = (await readdir(this.#options.dir))
      .filter((file) => file.endsWith(".json"))
      .map((file) => file.slice(0, -5));
    const records = await Promise.all(
      names.map(async (name) => {
        const record = await this.#record(name);
        return record ? [{ name, ...record }] : [];
      }),
    );
    return records.flat().toSorted((a, b) => compareVersions(b.version, a.version));
  }

  /** The record of a build that counts; undefined where there is none, or its program is gone. */
  async #record(name: string): Promise<Record_ | undefined> {
    const { dir } = this.#options;
    try {
      const record = recordSchema.parse(JSON.parse(await readFile(path.join(dir, `${name}.json`), "utf8")));
      const isIn = !path.relative(dir, path.join(dir, name, record.executable)).startsWith("..");
      return isIn && (await stat(path.join(dir, name, record.executable))).isFile() ? record : undefined;
    } catch {
      return undefined;
    }
  }

  /** Do something while no other agent, and no other call, looks at which builds there are. */
  async #locked<T>(work: () => Promise<T>): Promise<T> {
    const file = path.join(this.#options.dir, "store.lock");
    const mine = this.#queue.then(async () => {
      const lock = await this.#wait(file, undefined);
      try {
        return await work();
      } finally {
        lock.release();
      }
    });
    this.#queue = mine.catch(() => undefined);
    return await mine;
  }

  async #wait(file: string, signal: AbortSignal | undefined, onWait?: () => void): Promise<Lock> {
    for (;;) {
      signal?.throwIfAborted();
      const lock = await takeLock(file);
      if (lock.ok) return lock.value;
      onWait?.();
      await delay(LOCK_LOOK_MS, undefined, { signal });
    }
  }
}

const BLENDER = PROGRAMS.find(({ name }) => name === "blender")!;
const UNPACKED = "unpacked";
const GONE = /\.gone-[0-9a-f-]{36}$/;

/** The name of a build's files. The version has been checked, and holds no separator. */
function nameOf({ version, sha256 }: Pick<BlenderBuild, "version" | "sha256">): string {
  return `${version}-${sha256.slice(0, 16)}`;
}

function unusable({ version }: Pick<BlenderBuild, "version">, why: string): ReleaseLease {
  return new ReleaseLease(`Blender ${version} of the farm cannot be used: ${why}`, "unable", {
    declineMs: DECLINE_MS,
  });
}

/** A build did not come. Half of it stays, and is resumed. Throws the signal's reason where that is why. */
function notFetched(error: unknown, signal: AbortSignal | undefined, what: string): ReleaseLease {
  signal?.throwIfAborted();
  return new ReleaseLease(`${what} could not be fetched from the farm: ${messageOf(error)}`, "unable", {
    declineMs: DECLINE_MS,
  });
}

async function isOlder(file: string, ms: number): Promise<boolean> {
  return (await stat(file)).mtimeMs < Date.now() - ms;
}
