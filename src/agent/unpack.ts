/**
 * Unpacks the archive of a build of Blender into a new folder, and checks what came out of it before anything of it
 * is used. An admin's archive may be broken, or not the one that they think it is.
 *
 * An archive of tar is decompressed here and goes to the system's `tar` as a stream, so that what comes out is
 * counted before it is on the disk, and a machine without `xz` or `zstd` can unpack it, too. `tar` itself (GNU,
 * BSD, BusyBox) writes no name with `..`, no absolute one, and none through a link that the archive made.
 */
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { lstat, mkdir, readdir, readlink, realpath, rm } from "node:fs/promises";
import path from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { messageOf } from "../lib/errors.ts";
import type { ArchiveEnding } from "../protocol/blender-build.ts";
import type { Platform } from "../protocol/plan.ts";
import { childEnvironment } from "./renderer-environment.ts";

/** Official builds have 10,000 files at most, and 1.5 GB. Without bounds, an archive of 1 MB can fill any disk. */
export const UNPACK_LIMITS: UnpackLimits = { files: 100_000, bytes: 10_000_000_000 };

export interface UnpackLimits {
  files: number;
  bytes: number;
}

/** The archive is no build that may be used: another try would find the same. */
export class BadArchive extends Error {
  override name = "BadArchive";
}

/** A program that unpacks, and its arguments. */
export interface Step {
  program: string;
  args: readonly string[];
}

const TAR_STREAM = ["-x", "-f", "-", "--no-same-owner", "--no-same-permissions"] as const;

/** The `tar` of this system. On Windows by its path: another one on the PATH may not know drive letters or .zip. */
function tarProgram(platform: Platform, env: NodeJS.ProcessEnv): string {
  if (platform !== "windows") return "tar";
  return path.win32.join(env["SystemRoot"] ?? env["SYSTEMROOT"] ?? "C:\\Windows", "System32", "tar.exe");
}

/** How an archive that is no stream of tar is unpacked: the programs, one after the other, in the new folder. */
export function unpackSteps(
  archive: string,
  folder: string,
  ending: ".zip" | ".dmg",
  platform: Platform,
  env: NodeJS.ProcessEnv = process.env,
): { steps: Step[]; finally: Step[] } {
  if (ending === ".dmg") {
    const mount = `${folder}.image`;
    const attach = ["attach", "-nobrowse", "-readonly", "-noautoopen", "-mountpoint", mount, archive];
    return {
      steps: [
        { program: "hdiutil", args: attach },
        { program: "ditto", args: [path.posix.join(mount, "Blender.app"), path.posix.join(folder, "Blender.app")] },
      ],
      finally: [{ program: "hdiutil", args: ["detach", mount, "-force"] }],
    };
  }
  if (platform === "linux") return { steps: [{ program: "unzip", args: ["-q", archive, "-d", folder] }], finally: [] };
  return { steps: [{ program: tarProgram(platform, env), args: ["-x", "-f", archive, "-C", folder] }], finally: [] };
}

/**
 * Unpack into `folder`, which must not exist, and check the outcome. Throws `BadArchive`, the signal's reason, or an
 * error of the disk; the folder is then to be removed.
 */
export async function unpack(
  archive: string,
  ending: ArchiveEnding,
  folder: string,
  { platform, signal, limits = UNPACK_LIMITS }: { platform: Platform; signal: AbortSignal; limits?: UnpackLimits },
): Promise<{ files: number; bytes: number }> {
  await mkdir(folder);
  try {
    if (ending === ".zip" || ending === ".dmg") await unpackWhole(archive, folder, ending, platform, signal);
    else await unpackStream(archive, folder, ending, platform, { signal, limits });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
  return await checkTree(folder, limits);
}

async function unpackWhole(
  archive: string,
  folder: string,
  ending: ".zip" | ".dmg",
  platform: Platform,
  signal: AbortSignal,
): Promise<void> {
  const { steps, finally: last } = unpackSteps(archive, folder, ending, platform);
  try {
    for (const { program, args } of steps) await run(program, args, signal);
  } finally {
    for (const { program, args } of last) await run(program, args).catch(() => undefined);
    if (ending === ".dmg") await rm(`${folder}.image`, { recursive: true, force: true });
  }
}

async function run(program: string, args: readonly string[], signal?: AbortSignal): Promise<void> {
  const child = spawn(program, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: environment(),
    signal,
    killSignal: "SIGKILL",
  });
  await ended(child, program);
}

async function unpackStream(
  archive: string,
  folder: string,
  ending: Exclude<ArchiveEnding, ".zip" | ".dmg">,
  platform: Platform,
  { signal, limits }: { signal: AbortSignal; limits: UnpackLimits },
): Promise<void> {
  const tar = spawn(tarProgram(platform, process.env), TAR_STREAM, {
    cwd: folder,
    stdio: ["pipe", "ignore", "pipe"],
    env: environment(),
    signal,
    killSignal: "SIGKILL",
  });
  // `tar` ends before its input does when it cannot write: what it says then is the reason.
  const done = ended(tar, "tar");
  done.catch(() => undefined);
  let failure: unknown;
  try {
    const plain = await decompressed(archive, ending, signal);
    // Padding and headers of tar count, too: at most a tenth more than the files.
    await pipeline(plain, bounded(limits.bytes * 1.1 + limits.files * 1_024), tar.stdin, { signal });
  } catch (error) {
    failure = error;
    if (!isClosedPipe(error)) tar.kill("SIGKILL");
  }
  if (failure !== undefined && !isClosedPipe(failure)) {
    await done.catch(() => undefined);
    if (failure instanceof BadArchive) throw failure;
    signal.throwIfAborted();
    throw new BadArchive(`it cannot be decompressed: ${messageOf(failure)}`);
  }
  await done;
}

/** The bytes of an archive, decompressed; by Node where it can, since a base system has no other program for it. */
export async function decompressed(
  archive: string,
  ending: Exclude<ArchiveEnding, ".zip" | ".dmg">,
  signal: AbortSignal,
  xz: "system" | "own" = "system",
): Promise<Readable> {
  const packed = createReadStream(archive, { highWaterMark: 256 * 1024 });
  switch (ending) {
    case ".tar.gz":
    case ".tgz":
      return into(packed, zlib.createGunzip());
    case ".tar.zst": {
      // Node has it since 22.15 and 23.8; the agent runs on 20, too.
      const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform };
      if (createZstdDecompress) return into(packed, createZstdDecompress());
      return await throughProgram(packed, "zstd", ["-d", "-c"], signal);
    }
    case ".tar.xz":
      // The program takes half the time.
      if (xz === "system") {
        const bySystem = await throughProgram(packed, "xz", ["-d", "-c"], signal).catch(() => undefined);
        if (bySystem) return bySystem;
      }
      return await throughOwnXz(packed);
  }
}

/** A stream that fails when its source does. */
function into(source: Readable, through: Transform): Readable {
  source.on("error", (error) => through.destroy(error));
  through.on("close", () => source.destroy());
  return source.pipe(through);
}

/** What a program makes of the bytes. Rejects when it cannot be started. */
async function throughProgram(
  source: Readable,
  program: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Readable> {
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: environment(),
    signal,
    killSignal: "SIGKILL",
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.on("error", () => undefined);
  const over = ended(child, program);
  over.catch(() => undefined);
  child.stdin.on("error", () => source.destroy());
  source.pipe(child.stdin);
  // The output ends whether the program has failed or not: its exit code tells.
  async function* output(): AsyncGenerator<Buffer> {
    yield* child.stdout as AsyncIterable<Buffer>;
    await over;
  }
  const plain = Readable.from(output(), { objectMode: false });
  plain.on("close", () => child.kill("SIGKILL"));
  return plain;
}

/** WebAssembly, without native code: for a machine whose base system has no `xz`. */
async function throughOwnXz(source: Readable): Promise<Readable> {
  // A module of CommonJS: Node gives its exports as the default one, bundlers and tests under their names.
  const exported: typeof import("xz-decompress") & { default?: typeof import("xz-decompress") } =
    await import("xz-decompress");
  const { XzReadableStream } = exported.default ?? exported;
  const web = new XzReadableStream(Readable.toWeb(source) as ConstructorParameters<typeof XzReadableStream>[0]);
  return Readable.fromWeb(web as Parameters<typeof Readable.fromWeb>[0]);
}

/** Fails when more than so many bytes go through. */
function bounded(max: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, next) {
      bytes += chunk.length;
      if (bytes > max) next(new BadArchive(`it unpacks to more than ${Math.round(max / 1e9)} GB`));
      else next(null, chunk);
    },
  });
}

function isClosedPipe(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE";
}

/** Programs of the system, with messages that can be read anywhere. */
function environment(): NodeJS.ProcessEnv {
  return { ...childEnvironment(process.env, {}), LC_ALL: "C" };
}

/** Wait for the end of a program. Throws `BadArchive` with what it said when it fails. */
async function ended(child: ReturnType<typeof spawn>, program: string): Promise<void> {
  const said: Buffer[] = [];
  child.stderr?.on("data", (chunk: Buffer) => {
    if (said.length < 20) said.push(chunk);
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "ENOENT"
          ? new BadArchive(`this machine has no ${path.basename(program)} to unpack it with`)
          : error,
      ),
    );
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else {
        const words = Buffer.concat(said).toString("utf8").trim().replaceAll(/\s+/g, " ").slice(0, 300);
        reject(
          new BadArchive(`${path.basename(program)} ended with ${code ?? signal}${words === "" ? "" : `: ${words}`}`),
        );
      }
    });
  });
}

/**
 * Check an unpacked folder: no link leads out of it, nothing but files, folders and links is in it, no file changes
 * its user, and it is not too large. Throws `BadArchive` that names what is wrong.
 */
export async function checkTree(root: string, limits: UnpackLimits): Promise<{ files: number; bytes: number }> {
  const real = await realpath(root);
  /** How often a file with several names is seen: a name elsewhere would let others change it. */
  const names = new Map<string, { seen: number; links: number; name: string }>();
  let files = 0;
  let bytes = 0;
  const walk = async (folder: string): Promise<void> => {
    for (const name of await readdir(folder)) {
      const full = path.join(folder, name);
      const shown = path.relative(root, full);
      if (++files > limits.files) throw new BadArchive(`it has more than ${limits.files} files`);
      const info = await lstat(full);
      if (info.isSymbolicLink()) await checkLink(full, shown, real);
      else if (info.isDirectory()) await walk(full);
      else if (!info.isFile()) throw new BadArchive(`${shown} is a device, a pipe or a socket`);
      else {
        if ((info.mode & 0o6000) !== 0) throw new BadArchive(`${shown} would run as another user (setuid or setgid)`);
        if (info.nlink > 1) {
          const key = `${info.dev}:${info.ino}`;
          const before = names.get(key);
          names.set(key, { seen: (before?.seen ?? 0) + 1, links: info.nlink, name: shown });
          if (before) continue;
        }
        bytes += info.size;
        if (bytes > limits.bytes) throw new BadArchive(`it unpacks to more than ${limits.bytes / 1e9} GB`);
      }
    }
  };
  await walk(root);
  for (const { seen, links, name } of names.values())
    if (seen !== links) throw new BadArchive(`${name} is another name of a file outside of it`);
  return { files, bytes };
}

/** A link must lead to something in the folder, wherever other links take it on the way. */
async function checkLink(full: string, shown: string, root: string): Promise<void> {
  const target = await readlink(full);
  if (path.isAbsolute(target)) throw new BadArchive(`${shown} is a link to ${target}, which is not in it`);
  const end = await realpath(full).catch(() => undefined);
  if (end === undefined) throw new BadArchive(`${shown} is a link to ${target}, which is not there`);
  if (end !== root && !end.startsWith(root + path.sep))
    throw new BadArchive(`${shown} is a link to ${target}, which is not in it`);
}

/** Where Blender is in an official build, from its top folder or the one in it. */
const EXECUTABLES: Record<Platform, string> = {
  linux: "blender",
  windows: "blender.exe",
  darwin: "Blender.app/Contents/MacOS/Blender",
};

/** The path of Blender in an unpacked build, relative to it. Throws `BadArchive` when there is none, or several. */
export async function findExecutable(root: string, platform: Platform): Promise<string> {
  const name = EXECUTABLES[platform];
  const folders = ["", ...(await readdir(root))];
  const found: string[] = [];
  for (const folder of folders) {
    const relative = path.join(folder, ...name.split("/"));
    const info = await lstat(path.join(root, relative)).catch(() => undefined);
    if (info && (info.isFile() || info.isSymbolicLink())) found.push(relative);
  }
  if (found.length === 1) return found[0]!;
  throw new BadArchive(found.length === 0 ? `there is no ${name} in it` : `there are ${found.length} of ${name} in it`);
}
