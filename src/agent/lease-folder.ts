/**
 * The folder of one lease: `<work>/<task>-<attempt>/{in,out,tmp}`. Paths of a plan come from the
 * network: each is resolved and must stay inside its folder.
 */
import { lstat, mkdir, readdir, realpath, rm } from "node:fs/promises";
import ownPaths, { join, type PlatformPath } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { isInside } from "../client/paths.ts";
import { whyUnsafePath } from "../protocol/path-rules.ts";
import type { Argument } from "../protocol/plan.ts";
import { endLeftProcesses } from "./left-processes.ts";

export interface LeaseFolder {
  root: string;
  in: string;
  out: string;
  tmp: string;
}

/** On Windows a program that ends, or looks for viruses, may hold a file for a moment. */
const REMOVING = { recursive: true, force: true, maxRetries: 3, retryDelay: 200 } as const;

/** Make the folder, empty. One of the same attempt was left by a crash, and is removed first. */
export async function makeLeaseFolder(work: string, taskId: number, attempt: number): Promise<LeaseFolder> {
  const root = join(work, `${taskId}-${attempt}`);
  if ((await mkdir(root, { recursive: true, mode: 0o700 })) === undefined) {
    await rm(root, REMOVING);
    await mkdir(root, { recursive: true, mode: 0o700 });
  }
  // Blender prints resolved paths. Ours must be resolved, too, or a link on the way to the work
  // folder would look like an escape.
  const real = await realpath(root);
  const folder = { root: real, in: join(real, "in"), out: join(real, "out"), tmp: join(real, "tmp") };
  for (const path of [folder.in, folder.out, folder.tmp]) await mkdir(path);
  return folder;
}

/**
 * Remove it. On Windows a dying process may still hold a file: then it is tried again, and at the
 * latest at the next start.
 */
export async function removeLeaseFolder(folder: LeaseFolder): Promise<void> {
  await rm(folder.root, REMOVING).catch(() => undefined);
}

/**
 * Remove what an earlier agent of this name left, processes included; answers how many folders, and what
 * could not be ended or removed. The caller holds the name's lock. Never rejects.
 */
export async function removeStaleLeaseFolders(work: string): Promise<{ removed: number; problems: string[] }> {
  const names = await readdir(work).catch(() => [] as string[]);
  const stale = names.filter((name) => /^\d+-\d+$/.test(name)).map((name) => join(work, name));
  const resolved = await Promise.all(stale.map(async (root) => await realpath(root).catch(() => root)));
  const left = stale.length === 0 ? undefined : await endLeftProcesses(resolved);
  const problems = left === undefined ? [] : [left];
  let removed = 0;
  for (const root of stale) {
    try {
      await rm(root, REMOVING);
      removed++;
    } catch (error) {
      // On Windows another program may hold a file of it. The folder is in nobody's way: no lease has its name again.
      problems.push(`a lease folder of an earlier run cannot be removed: ${messageOf(error)}`);
    }
  }
  return { removed, problems };
}

/**
 * Turn a plan's arguments into what the process gets. The error names the argument. `system` are the
 * paths of another system.
 */
export function resolveArguments(
  args: readonly Argument[],
  folder: Pick<LeaseFolder, "in" | "out">,
  system: PlatformPath = ownPaths,
): Result<string[], string> {
  const resolved: string[] = [];
  for (const [index, arg] of args.entries()) {
    if (typeof arg === "string") {
      if (arg.includes("\0")) return err(`argument ${index} holds a NUL`);
      resolved.push(arg);
      continue;
    }
    const [base, path] = "in" in arg ? [folder.in, arg.in] : [folder.out, arg.out];
    const full = system.resolve(base, path);
    if (
      path.includes("\0") ||
      path.includes("\\") ||
      system.isAbsolute(path) ||
      /^[A-Za-z]:/.test(path) ||
      !isInside(base, full, system)
    ) {
      return err(`argument ${index} points outside the lease's folder`);
    }
    // Windows takes some names for devices, streams of a file, or other names. A folder's has '/' at its end.
    const name = path.replace(/\/$/, "");
    const fault = system.sep === "\\" && name !== "" ? whyUnsafePath(name) : undefined;
    if (fault !== undefined) return err(`argument ${index} is no path on Windows: it ${fault}`);
    resolved.push(path.endsWith("/") ? `${full}${system.sep}` : full);
  }
  return ok(resolved);
}

/**
 * P11: whether the file exists, is a regular file inside the output folder, and is not empty. The
 * error reads on from its name.
 */
export async function checkOutput(
  out: string,
  name: string,
): Promise<Result<{ path: string; size: number; mtimeMs: number }, string>> {
  const path = join(out, name);
  try {
    const info = await lstat(path);
    if (!info.isFile()) return err("is not a regular file");
    if (!isInside(await realpath(out), await realpath(path))) return err("lies outside the output folder");
    if (info.size === 0) return err("is empty");
    return ok({ path, size: info.size, mtimeMs: info.mtimeMs });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return err("was not written");
    throw error;
  }
}
