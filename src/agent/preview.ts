/**
 * Previews: a small JPEG of each frame, made with ffmpeg where this machine has it. A preview that
 * cannot be made never makes a frame fail or late; the frame has no preview then.
 *
 * ffmpeg guesses formats from content, and some formats refer to other files and addresses. A task
 * may have rendered anything. So only files with known extensions are read, each with the one
 * reader for its extension, and ffmpeg may open files only.
 */
import { stat } from "node:fs/promises";
import { constants, getPriority, setPriority } from "node:os";
import path from "node:path";
import { fileNameSchema } from "../protocol/fields.ts";
import { MAX_PREVIEW_BYTES, PREVIEW_PIXELS, PREVIEW_SUFFIX } from "../protocol/file.ts";
import { runProcess } from "./process.ts";
import { childEnvironment } from "./renderer-environment.ts";

/**
 * A frame, or the first picture of a video, takes a fraction of a second; beside a busy renderer,
 * several times that.
 */
const RUN_TIMEOUT_MS = 30_000;

/**
 * ffmpeg may hold all pictures of a run in memory, at up to 16 bytes a pixel: 16 of 1920 × 1080, or
 * four of 3840 × 2160.
 */
const PIXELS_PER_RUN = 2 ** 25;

/**
 * Readers by extension. `image2` without patterns reads one file as one picture of the kind its
 * name says.
 */
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
/**
 * Linear light to screen values: linear up to a third, then compressed, so that values up to four
 * stops above white differ.
 */
const CURVE = "maxval*pow(val/maxval,1/2.2)";
const TONE = `format=gbrpf32le,tonemap=mobius:desat=0:peak=16,format=gbrp16le,lutrgb=r='${CURVE}':g='${CURVE}':b='${CURVE}'`;

/** Extensions of files with linear light instead of screen values. */
const LINEAR: ReadonlySet<string> = new Set(["exr"]);

function extensionOf(name: string): string {
  return path.extname(name).slice(1).toLowerCase();
}

/** The name of an output's preview; undefined for outputs that have none. */
export function previewName(output: string): string | undefined {
  if (!Object.hasOwn(READERS, extensionOf(output))) return undefined;
  const name = output + PREVIEW_SUFFIX;
  return fileNameSchema.safeParse(name).success ? name : undefined;
}

/** A file, and where to write its preview. */
export interface PreviewFile {
  file: string;
  target: string;
}

export interface PreviewOptions {
  /** ffmpeg: executable and leading arguments. */
  command: readonly [string, ...string[]];
  /** The folder it may write to, which is removed with the lease. */
  folder: string;
  signal: AbortSignal;
}

/**
 * Make previews of files, in one run of ffmpeg where possible: its start costs as much as fifty
 * small frames. Answers for each file whether its preview was made. No process is left when it
 * answers. Never rejects.
 */
export async function makePreviews(files: readonly PreviewFile[], options: PreviewOptions): Promise<boolean[]> {
  if (await run(files, options)) return await Promise.all(files.map(({ target }) => isPreview(target)));
  if (files.length < 2) return files.map(() => false);
  // A file that cannot be read ends the run for all files, and ffmpeg does not tell which it was:
  // try each half by itself.
  const half = Math.ceil(files.length / 2);
  const first = await makePreviews(files.slice(0, half), options);
  return [...first, ...(await makePreviews(files.slice(half), options))];
}

/** One run of ffmpeg; answers whether it succeeded for all files. */
async function run(files: readonly PreviewFile[], { command, folder, signal }: PreviewOptions): Promise<boolean> {
  if (signal.aborted) return false;
  const [program, ...leading] = command;
  const running = runProcess({
    command: [program, ...leading, "-v", "error", "-nostdin", "-y", ...files.flatMap(input), ...files.flatMap(output)],
    cwd: folder,
    env: childEnvironment(process.env, { TMPDIR: folder, TMP: folder, TEMP: folder }),
    onLine: () => undefined,
  });
  lowerPriority(running.pid);
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

/** Lower the priority of ffmpeg, so that it does not slow renderers down. */
function lowerPriority(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, Math.max(getPriority(), constants.priority.PRIORITY_BELOW_NORMAL));
  } catch {
    // It has ended already, or the system does not allow it.
  }
}

async function isPreview(target: string): Promise<boolean> {
  const size = await stat(target).then(
    (info) => info.size,
    () => 0,
  );
  return size > 0 && size <= MAX_PREVIEW_BYTES;
}
