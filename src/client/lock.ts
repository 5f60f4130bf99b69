/**
 * A lock between processes of one machine, for Node 20 and newer. The lock is a file that names its
 * owner; a file whose owner does not run any more is stale, and the next process takes it over.
 *
 * Guarantees:
 * - At most one process holds the lock. The file appears with its whole content (a hard link of a
 *   draft), or not at all.
 * - A crash, `kill -9` or a loss of power leaves a file that the next start takes over.
 * - A process id that was given to another process does not keep a stale lock alive
 *   (`ProcessIdentity`).
 * - One process replaces a stale file. The file must not be removed and made again: a second
 *   process, which has read the stale one, too, would remove the new one. So a takeover holds a
 *   lock of its own, whose name has the id of the stale record, and renames its draft over the file
 *   if that record still stands there. No other process writes over that record, and a record never
 *   comes back.
 *
 * - A holder in another container or on another machine that shares the folder is seen by its
 *   heartbeat: it sets the time of its file again and again. A file that names another space of
 *   process ids (`processSpace`) is watched for `SILENT_MS`, and is stale when its time stands still.
 *   So a takeover after a power cut, or of a container's lock by its successor, takes that long. The
 *   same holds where the system does not tell when a process was started (Windows): there the id of a
 *   holder that died soon belongs to another process.
 *
 * Exceptions:
 * - A holder elsewhere that stands still for longer (suspended, or stopped by a signal) is taken for
 *   dead.
 * - On file systems without hard links the file is made first and written then; a reader waits for
 *   the content.
 */
import { createHash, randomUUID } from "node:crypto";
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { systemCode } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { whenFreeSync } from "./held-file.ts";
import { identityOf, isRunning, processSpace, type ProcessIdentity } from "./process-stat.ts";

/** In a folder while one process fills it: a download, a backup, or an agent its inputs. */
export const FOLDER_LOCK_NAME = ".tablao-download.lock";

/** A file without content is waited for this long; after that its writer has died in between. */
const WRITTEN_WITHIN_MS = 2_000;
/**
 * Between two looks while another process is about to take the lock over, which takes it about a
 * millisecond.
 */
const RETRY_MS = 5;
/** Between two looks at a file whose holder may be elsewhere. */
const WATCH_MS = 500;

/** How often a holder sets the time of its file. */
const HEARTBEAT_MS = 2_000;
/** A holder elsewhere is dead when its file's time stands still for this long: five heartbeats. */
const SILENT_MS = 10_000;

const recordSchema = z.object({
  id: z.uuid(),
  pid: z.int(),
  boot: z.string(),
  start: z.string(),
  /** Absent in records of 0.1: their holders have no heartbeat. */
  space: z.string().optional(),
});
type LockRecord = z.infer<typeof recordSchema>;

export interface Lock {
  /** Free the lock; idempotent. */
  readonly release: () => void;
}

/** What stands in a lock file. */
interface Found {
  /** Never the same for two records. */
  id: string;
  /** Undefined when the file names nobody: it is being written, or its writer died. */
  owner: (ProcessIdentity & { space?: string | undefined }) | undefined;
  modifiedMs: number;
}

/** Where the caller's process ids count, and how long a silent holder elsewhere is watched. */
export interface LockOptions {
  space?: string;
  silentMs?: number;
}

/**
 * Take the lock `file` for `owner`, by default this process; its folder is made where there is
 * none. The error is the process that holds it. Throws the system's error when the folder cannot be
 * written.
 */
export async function takeLock(
  file: string,
  owner: ProcessIdentity = identityOf(process.pid),
  { space = processSpace(), silentMs = SILENT_MS }: LockOptions = {},
): Promise<Result<Lock, ProcessIdentity>> {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const record: LockRecord = { id: randomUUID(), ...owner, space };
  const holder = await acquire(file, record, silentMs);
  if (holder) return err(holder);
  removeLeftovers(file);
  const heartbeat = setInterval(() => beat(file, record.id), HEARTBEAT_MS).unref();
  const release = (): void => {
    clearInterval(heartbeat);
    removeOwn(file, record.id);
  };
  return ok({ release });
}

/** Show processes elsewhere that the holder lives. */
function beat(file: string, id: string): void {
  try {
    const now = new Date();
    if (read(file)?.id === id) utimesSync(file, now, now);
  } catch {
    // The next one may get through.
  }
}

/** Whether the holder of this record, in another space of process ids, lives: its file's time changes. */
async function isBeating(file: string, found: Found, silentMs: number): Promise<boolean> {
  const untilMs = performance.now() + silentMs;
  while (performance.now() < untilMs) {
    await delay(Math.min(silentMs / 10, WATCH_MS));
    const now = read(file);
    if (now?.id !== found.id) return false;
    if (now.modifiedMs !== found.modifiedMs) return true;
  }
  return false;
}

/** Undefined when `record` stands in the file now; otherwise the process that holds it. */
async function acquire(file: string, record: LockRecord, silentMs: number): Promise<ProcessIdentity | undefined> {
  const draft = `${file}.${record.id}.draft`;
  writeFileSync(draft, `${JSON.stringify(record)}\n`, { flag: "wx", mode: 0o600 });
  try {
    for (;;) {
      if (create(file, draft)) return undefined;
      const found = read(file);
      // Released between the two looks.
      if (!found) continue;
      const elsewhere = found.owner?.space !== undefined && found.owner.space !== record.space;
      const held = found.owner
        ? elsewhere
          ? await isBeating(file, found, silentMs)
          : isOther(found.owner, record) &&
            isRunning(found.owner) &&
            (isTold(found.owner) || (await isBeating(file, found, silentMs)))
        : Math.abs(Date.now() - found.modifiedMs) < WRITTEN_WITHIN_MS;
      if (held) {
        if (found.owner) return found.owner;
        await delay(RETRY_MS);
      } else if (await takeOver(file, draft, found, record, silentMs)) return undefined;
      else await delay(RETRY_MS);
    }
  } finally {
    whenFreeSync(() => rmSync(draft, { force: true }));
  }
}

/**
 * Whether the owner in a file may be another process than the one that wants the lock. Where the
 * file does not say when its owner was started, our own process id in it is that of an earlier
 * process: in a container, the next process often has the id of the one that was killed.
 */
function isOther(owner: ProcessIdentity, record: ProcessIdentity): boolean {
  return owner.pid !== record.pid || owner.start !== "";
}

/**
 * Whether the process id of an owner is surely its own. Those of 0.1, which have no heartbeat, are taken
 * for it.
 */
function isTold({ start, space }: NonNullable<Found["owner"]>): boolean {
  return start !== "" || space === undefined;
}

/** Replace a stale record by the draft. False when another process does so, or has done so. */
async function takeOver(
  file: string,
  draft: string,
  stale: Found,
  owner: LockRecord,
  silentMs: number,
): Promise<boolean> {
  const guardFile = `${file}.${stale.id}.guard`;
  const guard: LockRecord = { ...owner, id: randomUUID() };
  if (await acquire(guardFile, guard, silentMs)) return false;
  try {
    if (read(file)?.id !== stale.id) return false;
    whenFreeSync(() => renameSync(draft, file));
    return true;
  } finally {
    removeOwn(guardFile, guard.id);
  }
}

/** Make the file if there is none. */
function create(file: string, draft: string): boolean {
  try {
    whenFreeSync(() => linkSync(draft, file));
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === "EEXIST") return false;
    // The draft is there, so it is not ENOENT of ours: this file system has no hard links.
    if (code === "ENOENT" || code === "ENOSPC" || code === "EACCES") throw error;
  }
  try {
    whenFreeSync(() => writeFileSync(file, readFileSync(draft), { flag: "wx", mode: 0o600 }));
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
}

function read(file: string): Found | undefined {
  let text: string;
  let modifiedMs: number;
  try {
    text = whenFreeSync(() => readFileSync(file, "utf8")).trim();
    modifiedMs = statSync(file).mtimeMs;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
  const record = recordSchema.safeParse(parseJson(text));
  if (record.success) return { id: record.data.id, owner: record.data, modifiedMs };
  const id = createHash("sha256").update(`${text} ${modifiedMs}`).digest("hex").slice(0, 32);
  // Releases before this one wrote the process id alone.
  const owner = /^\d{1,15}$/.test(text) ? { pid: Number(text), boot: "", start: "" } : undefined;
  return { id, owner, modifiedMs };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Remove the file if this record stands in it. No other process replaces the record of one that
 * runs.
 */
function removeOwn(file: string, id: string): void {
  if (read(file)?.id === id) whenFreeSync(() => rmSync(file, { force: true }));
}

/**
 * Remove drafts and guards of processes that died while they took this lock. The caller holds it,
 * so no record that a guard is named after can still stand in the file: even a guard that were
 * removed in error would let nobody in.
 */
function removeLeftovers(file: string): void {
  const prefix = `${path.basename(file)}.`;
  for (const name of readdirSync(path.dirname(file))) {
    if (!name.startsWith(prefix) || !/\.(draft|guard)$/.test(name)) continue;
    const leftover = path.join(path.dirname(file), name);
    const owner = read(leftover)?.owner;
    // Of a process elsewhere it cannot be told.
    if (owner && (owner.space === undefined || owner.space === processSpace()) && !isRunning(owner))
      rmSync(leftover, { force: true });
  }
}
