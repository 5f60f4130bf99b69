/** The first bytes of a decompressed .blend file, and what other files are that have its name. */
import { BlendError, type BlendVersion } from "./types.ts";

/** How block headers are stored. */
export interface BlendLayout {
  version: BlendVersion;
  littleEndian: boolean;
  pointerSize: 4 | 8;
  /** Blender 5.0's headers, whose lengths have 64 bits. */
  large: boolean;
  /** Where the first block begins. */
  headerBytes: number;
}

/** So many bytes tell the layout, or what the file is instead. */
export const HEADER_BYTES = 64;

/**
 * `BLENDER-v405` up to Blender 4.5: pointer size (`_` 4, `-` 8), byte order (`v` little, `V` big),
 * version. `BLENDER17-01v0500` from 5.0 on: length of the header, pointer size, version of the format,
 * byte order, version of Blender.
 * @throws BlendError that says what the file is, if it is no .blend file.
 */
export function parseHeader(bytes: Uint8Array): BlendLayout {
  const text = latin1(bytes.subarray(0, 17));
  const old = /^BLENDER([_-])([vV])(\d)(\d\d)/.exec(text);
  if (old) {
    return {
      version: { major: Number(old[3]), minor: Number(old[4]) },
      littleEndian: old[2] === "v",
      pointerSize: old[1] === "_" ? 4 : 8,
      large: false,
      headerBytes: 12,
    };
  }
  const modern = /^BLENDER(\d\d)-(\d\d)v(\d\d)(\d\d)/.exec(text);
  if (modern) {
    if (modern[1] !== "17" || modern[2] !== "01") {
      throw new BlendError(
        `The file has format ${Number(modern[2])} of a newer Blender (${Number(modern[3])}.${Number(modern[4])}), which is not known here.`,
      );
    }
    return {
      version: { major: Number(modern[3]), minor: Number(modern[4]) },
      littleEndian: true,
      pointerSize: 8,
      large: true,
      headerBytes: 17,
    };
  }
  throw new BlendError(`The file is not a .blend file: ${whatItIs(bytes)}.`);
}

/** Beginnings of files that people send by mistake. */
const KNOWN: [string, string][] = [
  ["version https://git-lfs", "it is a Git LFS pointer, so the file itself was never downloaded (run `git lfs pull`)"],
  ["\x89PNG", "it is a PNG picture"],
  ["\xff\xd8\xff", "it is a JPEG picture"],
  ["\x76\x2f\x31\x01", "it is an OpenEXR picture"],
  ["II*\0", "it is a TIFF picture"],
  ["MM\0*", "it is a TIFF picture"],
  ["RIFF", "it is a RIFF file (WebP, WAV or AVI)"],
  ["PK\x03\x04", "it is a ZIP archive"],
  ["Rar!", "it is a RAR archive"],
  ["7z\xbc\xaf", "it is a 7-Zip archive"],
  ["%PDF", "it is a PDF document"],
  ["glTF", "it is a glTF file"],
  ["<!DOCTYPE", "it is a web page"],
  ["<html", "it is a web page"],
];

/** Names what a file is that does not begin as a .blend file does. */
function whatItIs(bytes: Uint8Array): string {
  if (bytes.length === 0) return "it is empty";
  const text = latin1(bytes);
  const known = KNOWN.find(([start]) => text.startsWith(start));
  if (known) return known[1];
  if (bytes.every((byte) => byte === 0)) return "it begins with zeros, so it was not written completely";
  if (text.startsWith("BLENDER")) return "its header is damaged or truncated";
  return "it does not begin with BLENDER";
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
