/**
 * The layout of a zip (PKWARE's APPNOTE.TXT 6.3.10; section numbers are of that document). Files are
 * stored and not compressed: rendered pictures do not shrink. The local headers state size and
 * CRC-32, so no data descriptors follow the files. Zip64 is used only where a number needs it,
 * because some programs do not read it. Pure.
 */
import { layoutOf, type ArchiveEntry, type Layout, type Segment } from "./layout.ts";

/** A file of a zip; `crc32` as eight hexadecimal digits. */
export interface ZipEntry extends ArchiveEntry {
  crc32: string;
}

/** In a field of this size, the largest number means: look into the Zip64 record (4.4.1.4). */
const MAX_16 = 0xffff;
const MAX_32 = 0xffff_ffff;

/** Bit 11: names are UTF-8 (4.4.4). */
const UTF8 = 0x0800;
/** Features needed to extract (4.4.3.2): 2.0 for folders, 4.5 for Zip64. */
const PLAIN = 20;
const ZIP64 = 45;
/** Made on Unix (4.4.2), so that the upper half of the external attributes is a file mode. */
const MADE_BY = (3 << 8) | ZIP64;
/** A regular file that everybody may read and the owner may write. */
const FILE_MODE = 0o100_644;

const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR_BYTES = 20;
/** The extra field "UT" (0x5455) of Info-ZIP: the time in UTC; the headers' own times have no zone. */
const TIME_BYTES = 9;

/** A file with its place in the zip. */
interface Placed extends ZipEntry {
  pathBytes: Uint8Array;
  offset: number;
}

/** The layout of a zip of these files. */
export function zipLayout(entries: readonly ZipEntry[]): Layout {
  const segments: Segment[] = [];
  const placed: Placed[] = [];
  const encoder = new TextEncoder();
  let offset = 0;
  for (const [index, entry] of entries.entries()) {
    const file: Placed = { ...entry, pathBytes: encoder.encode(entry.path), offset };
    const size = localBytes(file);
    placed.push(file);
    segments.push({ size, bytes: () => localHeader(file) }, { size: entry.size, entry: index });
    offset += size + entry.size;
  }
  const directory = placed.reduce((sum, file) => sum + centralBytes(file), 0);
  const end = { count: placed.length, offset, size: directory };
  segments.push({ size: directory + endBytes(end), bytes: () => directoryAndEnd(placed, end) });
  return layoutOf(segments);
}

/** The numbers of a file that its Zip64 extra field holds, in the order of 4.5.3. */
function wideFields({ size, offset }: Placed): number[] {
  return [...(size >= MAX_32 ? [size, size] : []), ...(offset >= MAX_32 ? [offset] : [])];
}

function localBytes({ size, pathBytes }: Placed): number {
  return LOCAL_BYTES + pathBytes.length + (size >= MAX_32 ? 20 : 0) + TIME_BYTES;
}

/** 4.3.7. */
function localHeader(file: Placed): Uint8Array {
  const wide = file.size >= MAX_32 ? [file.size, file.size] : [];
  const bytes = new Fields(localBytes(file));
  bytes.u32(0x0403_4b50).u16(file.size >= MAX_32 ? ZIP64 : PLAIN);
  common(bytes, file, wide);
  return bytes.raw(file.pathBytes).extra(wide, file.modifiedMs).done();
}

function centralBytes(file: Placed): number {
  const wide = wideFields(file).length;
  return CENTRAL_BYTES + file.pathBytes.length + (wide > 0 ? 4 + 8 * wide : 0) + TIME_BYTES;
}

/** 4.3.12, written to `bytes`. */
function centralHeader(bytes: Fields, file: Placed): void {
  const wide = wideFields(file);
  bytes
    .u32(0x0201_4b50)
    .u16(MADE_BY)
    .u16(wide.length > 0 ? ZIP64 : PLAIN);
  common(bytes, file, wide);
  // No comment, first disk, no internal attributes.
  bytes
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(FILE_MODE * 0x1_0000);
  bytes.u32(Math.min(file.offset, MAX_32)).raw(file.pathBytes).extra(wide, file.modifiedMs);
}

/** What both headers of a file have in common. */
function common(bytes: Fields, { size, crc32, modifiedMs, pathBytes }: Placed, wide: readonly number[]): void {
  const { time, date } = dosTime(modifiedMs);
  bytes.u16(UTF8).u16(0).u16(time).u16(date).u32(Number.parseInt(crc32, 16));
  bytes.u32(Math.min(size, MAX_32)).u32(Math.min(size, MAX_32));
  bytes.u16(pathBytes.length).u16((wide.length > 0 ? 4 + 8 * wide.length : 0) + TIME_BYTES);
}

/** The directory: how many files, and where it is. */
interface Directory {
  count: number;
  offset: number;
  size: number;
}

function isWide({ count, offset, size }: Directory): boolean {
  return count >= MAX_16 || offset >= MAX_32 || size >= MAX_32;
}

function endBytes(end: Directory): number {
  return (isWide(end) ? END64_BYTES + LOCATOR_BYTES : 0) + END_BYTES;
}

/** The central directory (4.3.12) and the records that end the zip (4.3.14 to 4.3.16). */
function directoryAndEnd(files: readonly Placed[], end: Directory): Uint8Array {
  const { count, offset, size } = end;
  const bytes = new Fields(size + endBytes(end));
  for (const file of files) centralHeader(bytes, file);
  if (isWide(end)) {
    bytes
      .u32(0x0606_4b50)
      .u64(END64_BYTES - 12)
      .u16(MADE_BY)
      .u16(ZIP64)
      .u32(0)
      .u32(0);
    bytes.u64(count).u64(count).u64(size).u64(offset);
    bytes
      .u32(0x0706_4b50)
      .u32(0)
      .u64(offset + size)
      .u32(1);
  }
  const shown = Math.min(count, MAX_16);
  bytes.u32(0x0605_4b50).u16(0).u16(0).u16(shown).u16(shown);
  return bytes.u32(Math.min(size, MAX_32)).u32(Math.min(offset, MAX_32)).u16(0).done();
}

const FIRST_MS = Date.UTC(1980, 0, 1);
const LAST_MS = Date.UTC(2107, 11, 31, 23, 59, 58);

/** An instant in the format of MS-DOS (4.4.6), in UTC: 1980 to 2107, in steps of two seconds. */
function dosTime(ms: number): { time: number; date: number } {
  const at = new Date(Math.min(LAST_MS, Math.max(FIRST_MS, ms)));
  const time = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  const date = ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();
  return { time, date };
}

/** Numbers and bytes, one after the other, little-endian. */
class Fields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  u64(value: number): this {
    this.#view.setBigUint64(this.#at, BigInt(value), true);
    this.#at += 8;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  /** The extra fields of a file: Zip64 (0x0001) where it has numbers, and the time. */
  extra(wide: readonly number[], modifiedMs: number): this {
    if (wide.length > 0) this.u16(1).u16(8 * wide.length);
    for (const value of wide) this.u64(value);
    // A signed number of seconds: programs read it until 2038.
    const seconds = Math.min(0x7fff_ffff, Math.max(0, Math.floor(modifiedMs / 1_000)));
    this.u16(0x5455).u16(TIME_BYTES - 4);
    this.#bytes[this.#at++] = 1;
    return this.u32(seconds);
  }

  /** The bytes. Throws when they are not exactly full, which would shift all that follows. */
  done(): Uint8Array {
    if (this.#at !== this.#bytes.length) throw new Error(`${this.#at} of ${this.#bytes.length} bytes were written`);
    return this.#bytes;
  }
}
