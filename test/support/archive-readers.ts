/**
 * Readers of zip and tar that share no code with what writes ours. They read at places, so that an
 * archive may be larger than any memory, and throw where two statements about one thing differ.
 * They run in Node and in workerd.
 */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads `length` bytes from `offset` on. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

/** Reads from bytes in memory. */
export function readerOf(bytes: Uint8Array): ReadAt {
  return (offset, length) => {
    const got = bytes.subarray(offset, offset + length);
    if (got.length !== length) throw new Error(`${length} bytes at ${offset} are beyond the end, ${bytes.length}`);
    return got;
  };
}

/** A file in an archive; its bytes are `size` bytes from `at` on. */
export interface FoundFile {
  path: string;
  size: number;
  at: number;
  modifiedMs: number;
}

export interface ZippedFile extends FoundFile {
  crc32: number;
  /** Whether its directory entry has a Zip64 field. */
  zip64: boolean;
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Extra fields by their id. */
function extraOf(bytes: Uint8Array): Map<number, DataView> {
  const view = viewOf(bytes);
  const fields = new Map<number, DataView>();
  let at = 0;
  while (at < bytes.length) {
    const size = view.getUint16(at + 2, true);
    fields.set(view.getUint16(at, true), viewOf(bytes.subarray(at + 4, at + 4 + size)));
    at += 4 + size;
  }
  must(at === bytes.length, "the extra fields have their length");
  return fields;
}

/** The values, each replaced by the next Zip64 number where it is the largest of its field. */
function widened(values: readonly number[], zip64: DataView | undefined): number[] {
  let at = 0;
  const wide = values.map((value) => {
    if (value !== 0xffff_ffff) return value;
    must(zip64 !== undefined, "a Zip64 field holds the number that is too large");
    at += 8;
    return Number(zip64!.getBigUint64(at - 8, true));
  });
  must(at === (zip64?.byteLength ?? 0), "the Zip64 field holds those numbers and no others");
  return wide;
}

/** The end of the directory, from the record of Zip64 where there is one. */
function endOf(size: number, read: ReadAt): { count: number; bytes: number; at: number; zip64: boolean } {
  const end = viewOf(read(size - 22, 22));
  must(end.getUint32(0, true) === 0x0605_4b50, "the zip ends with its end record");
  must(end.getUint16(20, true) === 0, "there is no comment");
  const [count, bytes, at] = [end.getUint16(10, true), end.getUint32(12, true), end.getUint32(16, true)];
  must(end.getUint16(8, true) === count, "all files are on one disk");
  if (count !== 0xffff && bytes !== 0xffff_ffff && at !== 0xffff_ffff) {
    must(at + bytes + 22 === size, "the directory is before the end record");
    return { count, bytes, at, zip64: false };
  }
  const locator = viewOf(read(size - 42, 20));
  must(locator.getUint32(0, true) === 0x0706_4b50, "there is a Zip64 locator");
  const place = Number(locator.getBigUint64(8, true));
  must(place === size - 98, "the Zip64 record is where the locator says");
  const wide = viewOf(read(place, 56));
  must(wide.getUint32(0, true) === 0x0606_4b50 && wide.getBigUint64(4, true) === 44n, "it is a Zip64 record");
  const number = (offset: number): number => Number(wide.getBigUint64(offset, true));
  must(number(24) === number(32), "all files are on one disk");
  must(number(48) + number(40) === place, "the directory is before the Zip64 record");
  return { count: number(32), bytes: number(40), at: number(48), zip64: true };
}

/**
 * The files of a zip of `size` bytes, in order. Throws unless it consists of local headers and files
 * without a gap, and of the directory, which says the same.
 */
export function readZip(size: number, read: ReadAt): { files: ZippedFile[]; zip64: boolean } {
  const end = endOf(size, read);
  const directory = read(end.at, end.bytes);
  const view = viewOf(directory);
  const files: ZippedFile[] = [];
  let at = 0;
  let expected = 0;
  for (let index = 0; index < end.count; index++) {
    must(view.getUint32(at, true) === 0x0201_4b50, "a directory entry begins");
    const pathBytes = view.getUint16(at + 28, true);
    const extraBytes = view.getUint16(at + 30, true);
    must(view.getUint16(at + 32, true) === 0, "there is no comment of a file");
    const path = directory.subarray(at + 46, at + 46 + pathBytes);
    const extra = extraOf(directory.subarray(at + 46 + pathBytes, at + 46 + pathBytes + extraBytes));
    const shown = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
    const [fileSize, stored, local] = widened(shown, extra.get(1)) as [number, number, number];
    must(fileSize === stored && view.getUint16(at + 10, true) === 0, "files are not compressed");
    must(local === expected, "a file begins where the one before ended");
    const crc32 = view.getUint32(at + 16, true);
    const times = extra.get(0x5455)!;
    const modifiedMs = times.getUint32(1, true) * 1_000;

    const header = viewOf(read(local, 30));
    must(header.getUint32(0, true) === 0x0403_4b50, "a local header begins");
    must(header.getUint16(6, true) === 0x0800, "names are UTF-8, and there is no data descriptor");
    for (const [inLocal, inCentral, bytes] of [
      [6, 8, 2],
      [8, 10, 2],
      [10, 12, 2],
      [12, 14, 2],
      [14, 16, 4],
    ] as const) {
      const same = [...Array(bytes).keys()].every(
        (byte) => header.getUint8(inLocal + byte) === view.getUint8(at + inCentral + byte),
      );
      must(same, `both headers say the same at ${inLocal}`);
    }
    must(header.getUint16(26, true) === pathBytes, "both headers have the path");
    const rest = read(local + 30, pathBytes + header.getUint16(28, true));
    must(
      path.every((byte, i) => rest[i] === byte),
      "both headers have the path",
    );
    const localExtra = extraOf(rest.subarray(pathBytes));
    const localSizes = widened([header.getUint32(22, true), header.getUint32(18, true)], localExtra.get(1));
    must(
      localSizes.every((one) => one === fileSize),
      "both headers state the size",
    );
    const zip64 = extra.has(1);
    must(view.getUint16(at + 6, true) === (zip64 ? 45 : 20), "the version that is needed fits");
    const dataAt = local + 30 + rest.length;
    files.push({ path: decoder.decode(path), size: fileSize, at: dataAt, crc32, modifiedMs, zip64 });
    expected = dataAt + fileSize;
    at += 46 + pathBytes + extraBytes;
  }
  must(at === end.bytes && expected === end.at, "the directory follows the last file, and has no more entries");
  return { files, zip64: end.zip64 };
}

/** The files of a tar of `size` bytes, in order. Throws for a wrong checksum, and for other types. */
export function readTar(size: number, read: ReadAt): FoundFile[] {
  const files: FoundFile[] = [];
  let at = 0;
  let extended = new Map<string, string>();
  for (;;) {
    const header = read(at, 512);
    if (header.every((byte) => byte === 0)) break;
    const field = (from: number, length: number): string =>
      decoder.decode(header.subarray(from, from + length)).replace(/\0.*$/s, "");
    const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    must(Number.parseInt(field(148, 8), 8) === sum, "the checksum is right");
    must(field(257, 6) === "ustar" && field(263, 2) === "00", "it is a POSIX header");
    const bytes = Number.parseInt(field(124, 12), 8);
    const type = field(156, 1);
    at += 512;
    if (type === "x") {
      extended = recordsOf(read(at, bytes));
      at += Math.ceil(bytes / 512) * 512;
      continue;
    }
    must(type === "0", `an entry has the type ${type}`);
    const fileSize = Number(extended.get("size") ?? bytes);
    const modifiedMs = Number.parseInt(field(136, 12), 8) * 1_000;
    files.push({ path: extended.get("path") ?? field(0, 100), size: fileSize, at, modifiedMs });
    extended = new Map();
    at += Math.ceil(fileSize / 512) * 512;
  }
  must(at + 1_024 === size && read(at + 512, 512).every((byte) => byte === 0), "two blocks of zeros are the end");
  return files;
}

/** The records of an extended header: `<length> <key>=<value>\n`. */
function recordsOf(bytes: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const length = Number(decoder.decode(bytes.subarray(at, bytes.indexOf(32, at))));
    const record = decoder.decode(bytes.subarray(at, at + length));
    const [, key, value] = /^\d+ ([^=]+)=(.*)\n$/s.exec(record) ?? [];
    must(key !== undefined, `an extended record is complete: ${JSON.stringify(record)}`);
    records.set(key!, value!);
    at += length;
  }
  must(at === bytes.length, "the extended records fill their header");
  return records;
}
