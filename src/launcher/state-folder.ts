/**
 * The state folder of a local manager: its lock, its secrets, its log. One manager per folder.
 *
 *     lock             names the running launcher (client/lock.ts)
 *     group.json       the process group of the manager, to clear away what a crash left
 *     admin-token, signing-key, join-token      mode 0600
 *     schema.sha256    D1 migrations that are applied
 *     manager.log      what the manager and its runtime print
 *     v3/              Miniflare's own: Durable Objects, D1, R2; `wrangler dev` has the same
 *
 * `npm run dev` adds secrets.env and registry/.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { CliError, EXIT } from "../cli/failure.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { takeLock } from "../client/lock.ts";
import { readPrivateFile, writePrivateFile } from "../client/private-file.ts";
import { weakSecret } from "../protocol/secret-strength.ts";

/**
 * A log larger than this is moved aside at the next start; one old log is kept, so that the disk
 * does not fill up.
 */
const MAX_LOG_BYTES = 10_000_000;

/** What an Authorization header can carry (RFC 6750), and what needs no quoting in an env file. */
const TOKEN = /^[A-Za-z0-9._~+/=-]{1,500}$/;

export interface StateFolder {
  path: string;
  file(name: string): string;
  /** Free the lock; idempotent. */
  release(): void;
}

/**
 * Create the folder where needed, make it private, and take its lock; undefined when another manager
 * holds it. Throws `CliError`.
 */
export async function lockStateFolder(folder: string): Promise<StateFolder | undefined> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    makePrivate(folder);
  } catch (thrown) {
    if (thrown instanceof CliError) throw thrown;
    throw new CliError(
      EXIT.failed,
      `cannot use the state folder ${folder}: ${messageOf(thrown)}`,
      "Set TABLAO_STATE to a folder you can write to.",
    );
  }
  const file = (name: string): string => path.join(folder, name);
  let lock: Awaited<ReturnType<typeof takeLock>>;
  try {
    lock = await takeLock(file("lock"));
  } catch (thrown) {
    throw new CliError(EXIT.failed, `cannot lock the state folder ${folder}: ${messageOf(thrown)}`);
  }
  if (!lock.ok) return undefined;
  if (await heldByOlderRelease(file)) {
    lock.value.release();
    return undefined;
  }
  return { path: folder, file, release: lock.value.release };
}

/**
 * Take the folder from all other accounts, whatever its mode was: scenes, frames and tokens are in
 * it. Windows has no such modes.
 */
function makePrivate(folder: string): void {
  const { mode } = statSync(folder);
  if ((mode & 0o077) === 0 || process.platform === "win32") return;
  // /tmp is such a folder: without it, other programs of the machine would fail.
  if ((mode & 0o1000) !== 0) {
    throw new CliError(
      EXIT.usage,
      `the state folder ${folder} is shared by all accounts of this machine`,
      "Set TABLAO_STATE to a folder of its own inside it.",
    );
  }
  chmodSync(folder, 0o700);
}

/**
 * Releases up to 9991c53 held an exclusive lock on the database `lock.sqlite` instead. Without this
 * check, an upgrade beside a running manager would end that manager. The file is removed when no
 * process holds it.
 */
async function heldByOlderRelease(file: StateFolder["file"]): Promise<boolean> {
  const oldLock = file("lock.sqlite");
  if (!existsSync(oldLock)) return false;
  // Loaded here, because only folders of older releases need it, and Node warns that it is new.
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(oldLock, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (thrown) {
    if (/locked|busy/i.test(messageOf(thrown))) return true;
    throw thrown;
  } finally {
    database.close();
  }
  rmSync(oldLock, { force: true });
  return false;
}

/** The admin token: from the environment, else the one kept here, else a new one. */
export function adminToken(state: StateFolder, fixed: string | undefined): string {
  if (fixed !== undefined && fixed !== "") {
    if (!TOKEN.test(fixed)) {
      throw new CliError(EXIT.usage, "TABLAO_ADMIN_TOKEN must be letters, digits or . _ ~ + / = - (at most 500)");
    }
    refuseWeak(fixed, "TABLAO_ADMIN_TOKEN");
    writePrivateFile(state.file("admin-token"), `${fixed}\n`);
    return fixed;
  }
  const file = state.file("admin-token");
  const kept = keptSecret(file, () => `tablao_admin_${randomBytes(32).toString("base64url")}`);
  // An earlier release has taken any TABLAO_ADMIN_TOKEN, and kept it.
  refuseWeak(kept, `the admin token in ${file}`, "Or remove that file: then the next start makes a new token.");
  return kept;
}

function refuseWeak(token: string, name: string, advice?: string): void {
  const weakness = weakSecret(name, token);
  if (weakness !== null) throw new CliError(EXIT.usage, weakness, advice);
}

/**
 * The key of access tokens, grants and receipts. It survives restarts, so that uploads of a running
 * agent stay valid.
 */
export function localSigningKey(state: StateFolder): string {
  return keptSecret(state.file("signing-key"), () => randomBytes(32).toString("base64url"));
}

function keptSecret(file: string, make: () => string): string {
  const kept = readPrivateFile(file)?.trim();
  if (kept !== undefined && TOKEN.test(kept)) return kept;
  const made = make();
  writePrivateFile(file, `${made}\n`);
  return made;
}

/** Move an overlong log aside. */
export function rotateLog(file: string): void {
  try {
    if (statSync(file).size > MAX_LOG_BYTES) renameSync(file, `${file}.1`);
  } catch (thrown) {
    if (systemCode(thrown) !== "ENOENT") throw thrown;
  }
}
