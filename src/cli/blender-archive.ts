/** The archive of a Blender that an admin adds to the farm: a file, or fetched from a URL by its hash. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  ARCHIVE_ENDINGS,
  archiveEnding,
  BUILD_PLATFORMS,
  BUILD_VERSION,
  buildPlatformIn,
  readArchiveName,
  type ArchiveEnding,
  type BuildPlatform,
} from "../protocol/blender-build.ts";
import { MAX_FILE_BYTES } from "../protocol/constants.ts";
import { CliError, EXIT } from "./failure.ts";
import type { Progress } from "./progress.ts";
import { bytes } from "./text.ts";

/** Which build an archive is. */
export interface BuildName {
  version: string;
  platform: BuildPlatform;
  fileName: string;
}

/** Of the address of an archive, the name of the file; undefined where the text is no address. */
export function urlIn(text: string): { url: URL; fileName: string } | undefined {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return { url, fileName: decodeURIComponent(url.pathname.split("/").at(-1) ?? "") };
}

/**
 * Version and platform of an archive: what the flags say, else what its name says. Throws `CliError` where neither
 * says it, or the name does not say how it is packed.
 */
export function buildNameOf(
  fileName: string,
  flags: { version?: string | undefined; platform?: string | undefined },
): BuildName {
  if (archiveEnding(fileName) === undefined)
    throw new CliError(
      EXIT.usage,
      `${fileName || "this"} is no archive of Blender that workers can unpack`,
      `Its name must end with one of ${ARCHIVE_ENDINGS.join(" ")}.`,
    );
  const named = readArchiveName(fileName);
  const { version = named.version } = flags;
  const platform = flags.platform === undefined ? named.platform : buildPlatformIn(flags.platform);
  if (version === undefined || !BUILD_VERSION.test(version))
    throw new CliError(
      EXIT.usage,
      version === undefined
        ? `the name ${fileName} does not say the version`
        : `'${version}' is no version with its patch`,
      "Say it as 4.5.3 with --blender-version.",
    );
  if (platform === undefined)
    throw new CliError(
      EXIT.usage,
      flags.platform === undefined
        ? `the name ${fileName} does not say the platform`
        : `'${flags.platform}' is no platform`,
      `Say one of ${BUILD_PLATFORMS.join(", ")} with --platform.`,
    );
  return { version, platform, fileName };
}

/** The first bytes of each kind of archive. Images of disks (.dmg) have theirs at the end. */
const FIRST_BYTES: Record<Exclude<ArchiveEnding, ".dmg">, readonly number[]> = {
  ".tar.xz": [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0],
  ".tar.gz": [0x1f, 0x8b],
  ".tgz": [0x1f, 0x8b],
  ".tar.zst": [0x28, 0xb5, 0x2f, 0xfd],
  ".zip": [0x50, 0x4b, 3, 4],
};
/** The trailer of an image of a disk: 512 bytes that begin so. */
const DMG_TRAILER = { bytes: 512, mark: "koly" };

/**
 * Why a file cannot be the archive that its name says; null when it may be. An error page that was saved under the
 * archive's name is found before it is sent.
 */
export async function archiveFault(file: string, ending: ArchiveEnding): Promise<string | null> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (size > MAX_FILE_BYTES) return `it has more than the ${bytes(MAX_FILE_BYTES)} that the manager takes`;
    const isDmg = ending === ".dmg";
    const expected = isDmg ? Buffer.from(DMG_TRAILER.mark) : Buffer.from(FIRST_BYTES[ending]);
    const found = Buffer.alloc(expected.length);
    if (size >= (isDmg ? DMG_TRAILER.bytes : expected.length))
      await handle.read(found, 0, expected.length, isDmg ? size - DMG_TRAILER.bytes : 0);
    return found.equals(expected) ? null : `its bytes are not those of a ${ending} file`;
  } finally {
    await handle.close();
  }
}

/** A file on this machine; `dispose` removes it where it was only fetched. */
export interface LocalArchive {
  file: string;
  dispose(): Promise<void>;
}

/**
 * Fetch an archive into a temporary folder. It is not used before its SHA-256 is right. Throws `CliError`, and leaves
 * nothing behind then.
 */
export async function fetchArchive(
  { url, fileName }: { url: URL; fileName: string },
  sha256: string,
  progress: Progress,
): Promise<LocalArchive> {
  const folder = await mkdtemp(path.join(tmpdir(), "tablao-blender-"));
  const dispose = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  const file = path.join(folder, path.basename(fileName));
  try {
    const found = await download(url, file, progress);
    if (found !== sha256)
      throw new CliError(EXIT.failed, `${url} has the SHA-256 ${found} and not ${sha256}: nothing was sent`);
    return { file, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function download(url: URL, file: string, progress: Progress): Promise<string> {
  const failed = (why: string): CliError => new CliError(EXIT.failed, `${url} cannot be fetched: ${why}`);
  const response = await fetch(url).catch((error: unknown) => {
    const { cause } = error as { cause?: { message?: string } };
    throw failed(cause?.message ?? String(error));
  });
  if (!response.ok || !response.body) throw failed(`it answered ${response.status}`);
  const length = Number(response.headers.get("content-length") ?? 0);
  const digest = createHash("sha256");
  let came = 0;
  const counted = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      came += chunk.length;
      if (came > MAX_FILE_BYTES) throw failed(`it has more than the ${bytes(MAX_FILE_BYTES)} that the manager takes`);
      digest.update(chunk);
      progress.update(came, Math.max(length, came), `${bytes(came)}${length > 0 ? ` of ${bytes(length)}` : ""}`);
      yield chunk;
    }
  };
  await pipeline(
    Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]),
    counted,
    createWriteStream(file),
  ).catch((error: unknown) => {
    throw error instanceof CliError ? error : failed(`the connection broke off (${String(error)})`);
  });
  return digest.digest("hex");
}

/** A file that a person names. Throws `CliError`. */
export async function localArchive(file: string): Promise<LocalArchive> {
  const info = await stat(file).catch(() => undefined);
  if (!info?.isFile()) throw new CliError(EXIT.notFound, `there is no file ${file}`);
  return { file, dispose: async () => undefined };
}
