/** JPEG (ITU-T T.81): the markers, and whether it has one colour. */
import { isOneColourJpeg } from "./jpeg-colours.ts";
import { brokenPicture, wholePicture, type PictureFacts } from "./picture.ts";

/** Whether the bytes begin as a JPEG. */
export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}

/** The facts of a JPEG. Never rejects. */
export async function lookAtJpeg(bytes: Uint8Array): Promise<PictureFacts> {
  const facts = structureOf(bytes);
  return facts.broken === null ? { ...facts, oneColour: await isOneColourJpeg(bytes) } : facts;
}

function structureOf(bytes: Uint8Array): PictureFacts {
  let size: { width: number; height: number } | null = null;
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) return brokenPicture("JPEG", "it has bytes that belong to nothing", size);
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++;
      continue;
    }
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    // Start of a frame: all of C0 to CF but the tables DHT, JPG and DAC.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker) && at + 9 <= bytes.length)
      size = { height: (bytes[at + 5]! << 8) | bytes[at + 6]!, width: (bytes[at + 7]! << 8) | bytes[at + 8]! };
    if (marker === 0xda) return scanned(bytes, size);
    at += 2 + Math.max(2, length);
  }
  return brokenPicture("JPEG", "it ends before its pixels", size);
}

/** The pixels have begun: the file must end with the end mark, after which some programs write zeros. */
function scanned(bytes: Uint8Array, size: { width: number; height: number } | null): PictureFacts {
  let end = bytes.length;
  while (end > 2 && bytes[end - 1] === 0) end--;
  if (bytes[end - 2] !== 0xff || bytes[end - 1] !== 0xd9)
    return brokenPicture("JPEG", "it ends before its end mark", size);
  return size ? wholePicture("JPEG", size) : brokenPicture("JPEG", "it has no size");
}
