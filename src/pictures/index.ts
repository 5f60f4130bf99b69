/** Looks at a picture file: its format, its size, whether it is whole, and what its pixels say. */
import { isExr, lookAtExr } from "./exr.ts";
import { isJpeg, lookAtJpeg } from "./jpeg.ts";
import { brokenPicture, type PictureFacts } from "./picture.ts";
import { isPng, lookAtPng } from "./png.ts";

export type { PictureFacts } from "./picture.ts";

/** The formats by the extensions of files. */
const FORMATS: Readonly<Record<string, NonNullable<PictureFacts["format"]>>> = {
  png: "PNG",
  jpg: "JPEG",
  jpeg: "JPEG",
  exr: "EXR",
};

/** The format that a file name promises; null for one that is not looked at. */
export function formatOf(name: string): PictureFacts["format"] {
  return FORMATS[/\.([a-z]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ""] ?? null;
}

/** The facts of a file. Never rejects; bounded in time and memory on any bytes. */
export async function lookAt(bytes: Uint8Array): Promise<PictureFacts> {
  if (isPng(bytes)) return await lookAtPng(bytes);
  if (isJpeg(bytes)) return await lookAtJpeg(bytes);
  if (isExr(bytes)) return await lookAtExr(bytes);
  return brokenPicture(null, "it begins as no picture");
}

/** The size that a picture was asked for, in pixels. */
export interface PictureSize {
  width: number;
  height: number;
}

/** What is wrong with a picture of this name, in sentences about it; nothing when nothing is. */
export function findings(name: string, facts: PictureFacts, size: PictureSize | null): string[] {
  const asked = formatOf(name);
  if (facts.format !== asked) return [`the picture is no ${asked}`];
  if (facts.broken !== null) return [`the picture is not whole: ${facts.broken}`];
  const isOther = size !== null && (facts.width !== size.width || facts.height !== size.height);
  return [
    ...(isOther
      ? [`the picture has ${facts.width} × ${facts.height} pixels instead of ${size.width} × ${size.height}`]
      : []),
    ...(facts.notANumber ? ["the picture has pixels that are no numbers (NaN or infinite)"] : []),
  ];
}
