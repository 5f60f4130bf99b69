/**
 * Previews: a small JPEG of each frame, made with ffmpeg where this machine has it. A help for people who look, never a
 * reason for a frame to fail or to be late: what goes wrong here shows as a frame without a preview.
 *
 * ffmpeg guesses formats from content, and some of its formats name other files and addresses. What a task rendered may be
 * anything, so only known extensions are looked at, each with the one reader for it, and nothing but files is opened.
 */
import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import path from "node:path";
import { fileNameSchema } from "../protocol/fields.ts";
import { MAX_PREVIEW_BYTES, PREVIEW_PIXELS, PREVIEW_SUFFIX } from "../protocol/file.ts";
import type { ManagerClient } from "./manager-client.ts";
import { childEnvironment } from "./process.ts";
import type { Programs } from "./programs.ts";
import { uploadOutput } from "./upload.ts";

/** A frame takes a fraction of a second; a video's first picture, too. */
const MAKE_TIMEOUT_MS = 15_000;

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

export interface PreviewOptions {
  /** ffmpeg: executable and leading arguments. */
  command: readonly [string, ...string[]];
  /** Where it may be written; goes away with the lease. */
  folder: string;
  signal: AbortSignal;
}

/** Make the preview of a file; where it is, or undefined when there is none. Never rejects. */
export async function makePreview(file: string, name: string, options: PreviewOptions): Promise<string | undefined> {
  const target = path.join(options.folder, name);
  const extension = extensionOf(file);
  const [program, ...leading] = options.command;
  const filter = LINEAR.has(extension) ? `${FIT},${TONE}` : FIT;
  const args = [
    leading,
    "-v error -nostdin -y -threads 1 -protocol_whitelist file".split(" "),
    READERS[extension] ?? IMAGE,
    ["-i", `file:${file}`, "-frames:v", "1", "-an", "-vf", filter],
    "-q:v 4 -c:v mjpeg -f image2 -update 1".split(" "),
    [`file:${target}`],
  ].flat();
  const made = await new Promise<boolean>((resolve) => {
    const { signal, folder } = options;
    const env = childEnvironment(process.env, { TMPDIR: folder, TMP: folder, TEMP: folder });
    const settings = {
      signal,
      cwd: folder,
      env,
      timeout: MAKE_TIMEOUT_MS,
      killSignal: "SIGKILL",
      windowsHide: true,
    } as const;
    execFile(program, args, settings, (error) => resolve(error === null));
  });
  const size = made
    ? await stat(target).then(
        (info) => info.size,
        () => 0,
      )
    : 0;
  return size > 0 && size <= MAX_PREVIEW_BYTES ? target : undefined;
}

/** A frame does not wait longer for a manager that does not take its preview. */
const UPLOAD_RETRY_MS = 10_000;

/** Makes and uploads previews of one lease: answers with the receipt of each, or undefined. Undefined without ffmpeg. */
export function previewer(
  { client, allowed }: { client: ManagerClient; allowed: { programs: Programs } },
  taskId: number,
  folder: string,
  signal: AbortSignal,
  grant: () => string,
): ((file: string, output: string) => Promise<string | undefined>) | undefined {
  const command = allowed.programs.ffmpeg?.command;
  if (!command) return undefined;
  return async (file, output) => {
    const name = previewName(output);
    const made = name && (await makePreview(file, name, { command, folder, signal }));
    if (!made) return undefined;
    const target = { taskId, name, grant: grant() };
    return await uploadOutput(client, made, target, { signal, retryForMs: UPLOAD_RETRY_MS }).then(
      ({ receipt }) => receipt,
      () => undefined,
    );
  };
}
