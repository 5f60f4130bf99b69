/**
 * The layout of a tar (POSIX.1-2017, `pax`: "ustar Interchange Format" and "pax Extended Header").
 * It needs no checksum of the files, so it takes files whose CRC-32 nobody knows. Pure.
 */
import { layoutOf, type ArchiveEntry, type Layout, type Segment } from "./layout.ts";

/** Everything in a tar begins at a multiple of this. */
const BLOCK = 512;
/** A tar ends with two blocks of zeros. */
const END_BYTES = 2 * BLOCK;
/** The longest path of a plain header, in bytes. Its second field for longer paths is not used. */
const MAX_PATH = 100;
/** The most that the eleven octal digits of a plain header hold: 8 GiB less one byte. */
const MAX_NUMBER = 0o77_777_777_777;

const encoder = new TextEncoder();

/** The layout of a tar of these files. */
export function tarLayout(entries: readonly ArchiveEntry[]): Layout {
  const segments: Segment[] = [];
  for (const [index, entry] of entries.entries()) {
    segments.push({ size: headerBytes(entry), bytes: () => headers(entry) }, { size: entry.size, entry: index });
    const padding = paddingOf(entry.size);
    if (padding > 0) segments.push({ size: padding, bytes: () => new Uint8Array(padding) });
  }
  segments.push({ size: END_BYTES, bytes: () => new Uint8Array(END_BYTES) });
  return layoutOf(segments);
}

/** Zeros after so many bytes, up to the next block. */
function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/**
 * What a plain header cannot hold, as the records of an extended header: a path that is long or not
 * ASCII, and a size of 8 GiB or more. Empty for most files.
 */
function extendedRecords({ path, size }: ArchiveEntry): Uint8Array {
  const records: string[] = [];
  if (path.length > MAX_PATH || !isAscii(path)) records.push(recordOf("path", path));
  if (size > MAX_NUMBER) records.push(recordOf("size", String(size)));
  return encoder.encode(records.join(""));
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

/** `23 path=grün_0001.exr\n`. The number counts all bytes of the record, its own digits too. */
function recordOf(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = encoder.encode(rest).length;
  let length = bytes + 1;
  while (length !== bytes + String(length).length) length = bytes + String(length).length;
  return `${length}${rest}`;
}

function headerBytes(entry: ArchiveEntry): number {
  const extended = extendedRecords(entry).length;
  return BLOCK + (extended > 0 ? BLOCK + extended + paddingOf(extended) : 0);
}

/** The headers before a file: an extended one where it is needed, and the plain one. */
function headers(entry: ArchiveEntry): Uint8Array {
  const bytes = new Uint8Array(headerBytes(entry));
  const extended = extendedRecords(entry);
  let at = 0;
  if (extended.length > 0) {
    bytes.set(header({ ...entry, path: "PaxHeader", size: extended.length }, "x"), 0);
    bytes.set(extended, BLOCK);
    at = BLOCK + extended.length + paddingOf(extended.length);
  }
  bytes.set(header(entry, "0"), at);
  return bytes;
}

/** A plain header. What it cannot hold is cut off: the extended header before it has that. */
function header({ path, size, modifiedMs }: ArchiveEntry, type: "0" | "x"): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string): void => block.set(encoder.encode(text), at);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  put(0, path.replace(/[^\x20-\x7e]/g, "_").slice(0, MAX_PATH));
  put(100, octal(0o644, 7));
  // Owner and group: nobody in particular.
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size > MAX_NUMBER ? 0 : size, 11));
  put(136, octal(Math.min(MAX_NUMBER, Math.max(0, Math.floor(modifiedMs / 1_000))), 11));
  // The checksum counts its own field as blanks.
  put(148, "        ");
  put(156, type);
  put(257, "ustar\0");
  put(263, "00");
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
