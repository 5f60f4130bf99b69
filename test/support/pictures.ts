/** Contents of pictures and videos, read from PNG's own header and by ffmpeg. */
import { execFileSync } from "node:child_process";
import { z } from "zod";
import type { Colour } from "./scenes.ts";

const SIGNATURE = "89504e470d0a1a0a";

/**
 * Width and height from the header. Throws when the bytes are not a PNG (PNG specification, 5.2 and
 * 11.2.2).
 */
export function pngSize(bytes: Buffer): { width: number; height: number } {
  const isPng = bytes.subarray(0, 8).toString("hex") === SIGNATURE && bytes.toString("latin1", 12, 16) === "IHDR";
  if (!isPng) throw new Error(`not a PNG: it begins with ${bytes.subarray(0, 16).toString("hex")}`);
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}

/** Every pixel of a picture, fully decoded: a file that is cut off or damaged throws. */
export function pixelsOf(file: string): { at(x: number, y: number): Colour; width: number; height: number } {
  const run = (program: string, args: string[]): Buffer =>
    execFileSync(program, args, { timeout: 120_000, maxBuffer: 100_000_000, stdio: ["ignore", "pipe", "pipe"] });
  const size = run("ffprobe", ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", file]);
  const [width = 0, height = 0] = size.toString().trim().split(",").map(Number);
  const raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
  const rgb = run("ffmpeg", ["-v", "error", "-xerror", "-i", file, "-frames:v", "1", ...raw]);
  if (rgb.length !== width * height * 3) throw new Error(`${file} has ${rgb.length} bytes of pixels`);
  const at = (x: number, y: number): Colour => {
    const i = (y * width + x) * 3;
    return [rgb[i]!, rgb[i + 1]!, rgb[i + 2]!];
  };
  return { at, width, height };
}

const streamsSchema = z.object({
  streams: z.array(
    z.object({ codec_name: z.string(), width: z.int(), height: z.int(), nb_read_frames: z.coerce.number() }),
  ),
});

/** The one stream of a video; its frames are counted by decoding them. */
export function videoOf(file: string): z.infer<typeof streamsSchema>["streams"][number] {
  const entries = "stream=codec_name,width,height,nb_read_frames";
  const args = ["-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", file];
  const { streams } = streamsSchema.parse(
    JSON.parse(execFileSync("ffprobe", args, { encoding: "utf8", timeout: 120_000 })),
  );
  if (streams.length !== 1) throw new Error(`${file} has ${streams.length} streams`);
  return streams[0]!;
}
