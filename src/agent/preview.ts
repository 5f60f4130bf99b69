/**
 * Previews: a small JPEG of each frame, made with ffmpeg where this machine has it. A help for people who look, never a
 * reason for a frame to fail or to be late: what goes wrong here shows as a frame without a preview.
 *
 * ffmpeg guesses formats from content, and some of its formats name other files and addresses. What a task rendered may be
 * anything, so only known extensions are looked at, each with the one reader for it, and nothing but files is opened.
 */
import { stat } from "node:fs/promises";
import { constants, getPriority, setPriority } from "node:os";
import path from "node:path";
import { fileNameSchema } from "../protocol/fields.ts";
import { MAX_PREVIEW_BYTES, PREVIEW_PIXELS, PREVIEW_SUFFIX } from "../protocol/file.ts";
import { childEnvironment, runProcess } from "./process.ts";

/** A frame takes a fraction of a second, a video's first picture, too; a run that gives way to renderers some times that. */
const RUN_TIMEOUT_MS = 30_000;

/** ffmpeg may hold all pictures of a run in memory, at up to 16 bytes a pixel: 16 of 1920 × 1080, or four of 3840 × 2160. */
const PIXELS_PER_RUN = 2 ** 25;

/** Readers by extension. `image2` without patterns reads one file as one picture of the kind its name says. */
const IMAGE = ["-f", "image2", "-pattern_type", "none"] as const;
const READERS: Readonly<Record<string, readonly string[]>> = {
  png: IMAGE,
  jpg: IMAGE,
  jpeg: IMAGE,
  webp: IMAGE,
  tif: IMAGE,
  tiff: IMAGE,
  bmp: IMAGE,
  tga: IMAGE,
  exr: IMAGE,
  mp4: ["-f", "mov"],
  mov: ["-f", "mov"],
  mkv: ["-f", "matroska"],
  webm: ["-f", "matroska"],
};

const FIT = `scale='min(${PREVIEW_PIXELS},iw)':'min(${PREVIEW_PIXELS},ih)':force_original_aspect_ratio=decrease:flags=area`;
/** Linear light to what a screen shows: straight up to a third, then bent so that four stops above white are still told apart. */
const CURVE = "maxval*pow(val/maxval,1/2.2)";
const TONE = `format=gbrpf32le,tonemap=mobius:desat=0:peak=16,format=gbrp16le,lutrgb=r='${CURVE}':g='${CURVE}':b='${CURVE}'`;

/** Extensions whose values are light, not what a screen shows. */
const LINEAR: ReadonlySet<string> = new Set(["exr"]);

function extensionOf(name: string): string {
  return path.extname(name).slice(1).toLowerCase();
}

/** The preview's name beside an output; undefined for what has none. */
export function previewName(output: string): string | undefined {
  if (!Object.hasOwn(READERS, extensionOf(output))) return undefined;
  const name = output + PREVIEW_SUFFIX;
  return fileNameSchema.safeParse(name).success ? name : undefined;
}

/** A file to look at, and where its preview is to be. */
export interface PreviewFile {
  file: string;
  target: string;
}

export interface PreviewOptions {
  /** ffmpeg: executable and leading arguments. */
  command: readonly [string, ...string[]];
  /** Where it may write; goes away with the lease. */
  folder: string;
  signal: AbortSignal;
}

/**
 * Make previews of files, if it can be in one run of ffmpeg, for its start costs as much as fifty small frames; answers for
 * each file whether its target is there. No process is left when it answers. Never rejects.
 */
export async function makePreviews(files: readonly PreviewFile[], options: PreviewOptions): Promise<boolean[]> {
  if (await run(files, options)) return await Promise.all(files.map(({ target }) => isPreview(target)));
  if (files.length < 2) return files.map(() => false);
  // One file that cannot be read ends the run of all, and nobody can tell which one it was: each half by itself finds out.
  const half = Math.ceil(files.length / 2);
  const first = await makePreviews(files.slice(0, half), options);
  return [...first, ...(await makePreviews(files.slice(half), options))];
}

/** One run of ffmpeg. Whether it went well for all. */
async function run(files: readonly PreviewFile[], { command, folder, signal }: PreviewOptions): Promise<boolean> {
  if (signal.aborted) return false;
  const [program, ...leading] = command;
  const running = runProcess({
    command: [program, ...leading, "-v", "error", "-nostdin", "-y", ...files.flatMap(input), ...files.flatMap(output)],
    cwd: folder,
    env: childEnvironment(process.env, { TMPDIR: folder, TMP: folder, TEMP: folder }),
    onLine: () => undefined,
  });
  giveWay(running.pid);
  const kill = (): void => void running.kill(0);
  const timer = setTimeout(kill, RUN_TIMEOUT_MS);
  signal.addEventListener("abort", kill, { once: true });
  try {
    const exit = await running.exit;
    return exit.kind === "exit" && exit.code === 0;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", kill);
  }
}

function input({ file }: PreviewFile, _: number, { length }: readonly PreviewFile[]): string[] {
  const reader = READERS[extensionOf(file)] ?? IMAGE;
  const largest = length > 1 ? ["-max_pixels", String(Math.floor(PIXELS_PER_RUN / length))] : [];
  return ["-threads", "1", ...largest, "-protocol_whitelist", "file", ...reader, "-i", `file:${file}`];
}

function output({ file, target }: PreviewFile, index: number): string[] {
  const filter = LINEAR.has(extensionOf(file)) ? `${FIT},${TONE}` : FIT;
  return [
    ["-map", `${index}:V:0`, "-frames:v", "1", "-an", "-vf", filter],
    "-threads 1 -q:v 4 -c:v mjpeg -f image2 -update 1".split(" "),
    [`file:${target}`],
  ].flat();
}

/** Renderers come first. */
function giveWay(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, Math.max(getPriority(), constants.priority.PRIORITY_BELOW_NORMAL));
  } catch {
    // It has ended already, or this system does not let us.
  }
}

async function isPreview(target: string): Promise<boolean> {
  const size = await stat(target).then(
    (info) => info.size,
    () => 0,
  );
  return size > 0 && size <= MAX_PREVIEW_BYTES;
}
