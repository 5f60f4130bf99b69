/**
 * A copy of a .blend in which some paths are different. All fields keep their length, so nothing else moves.
 * A zstd frame that is touched is stored without compression, because there is no compressor of zstd in all
 * runtimes. A gzip file, and a zstd file that is one long frame, cannot be changed in places; `patchedContent` makes an
 * uncompressed copy of them.
 */
import type { Patch } from "./layout.ts";
import type { BlendFile, StoredFrame } from "./types.ts";

/** A part of the copy: a range of the stored file (`to` is excluded), or new bytes. */
export type Segment = { from: number; to: number } | { bytes: Uint8Array };

/**
 * The parts of the copy in order; undefined for a file that cannot be changed in places. `storedSize` is the length of
 * the stored file.
 */
export async function segmentsOf(
  file: BlendFile,
  storedSize: number,
  patches: readonly Patch[],
): Promise<Segment[] | undefined> {
  if (file.compression !== "none") return file.frames && (await zstdSegments(file, file.frames, patches));
  const segments: Segment[] = [];
  let at = 0;
  for (const patch of ordered(patches)) {
    segments.push({ from: at, to: patch.offset }, { bytes: contentOf(patch) });
    at = patch.offset + patch.capacity;
  }
  segments.push({ from: at, to: storedSize });
  return segments.filter((segment) => "bytes" in segment || segment.to > segment.from);
}

/** How many bytes of a file are read at a time. */
const READ_BYTES = 1024 * 1024;

/** The decompressed bytes of a file, with the patches in them. */
export async function* patchedContent(file: BlendFile, patches: readonly Patch[]): AsyncGenerator<Uint8Array> {
  ordered(patches);
  for (let at = 0; at < file.size; at += READ_BYTES)
    yield patched(await file.read(at, Math.min(READ_BYTES, file.size - at)), at, patches);
}

function ordered(patches: readonly Patch[]): Patch[] {
  const sorted = patches.toSorted((a, b) => a.offset - b.offset);
  for (const [index, patch] of sorted.entries()) {
    const before = sorted[index - 1];
    if (before && before.offset + before.capacity > patch.offset)
      throw new Error(`two paths share the bytes at ${patch.offset}`);
  }
  return sorted;
}

/** The bytes of a field: the text, and zeros. Throws when it does not fit. */
function contentOf({ text, capacity }: Patch): Uint8Array {
  const bytes = new Uint8Array(capacity);
  const encoded = new TextEncoder().encode(text);
  if (encoded.length >= capacity) throw new Error(`'${text}' does not fit into ${capacity} bytes`);
  bytes.set(encoded);
  return bytes;
}

/** `chunk`, which begins at `at`, with the parts of the patches that lie in it. */
function patched(chunk: Uint8Array, at: number, patches: readonly Patch[]): Uint8Array {
  const touching = patches.filter(({ offset, capacity }) => offset < at + chunk.length && offset + capacity > at);
  if (touching.length === 0) return chunk;
  const copy = chunk.slice();
  for (const patch of touching) {
    const content = contentOf(patch);
    const from = Math.max(patch.offset, at);
    const to = Math.min(patch.offset + patch.capacity, at + chunk.length);
    copy.set(content.subarray(from - patch.offset, to - patch.offset), from - at);
  }
  return copy;
}

async function zstdSegments(
  file: BlendFile,
  frames: readonly StoredFrame[],
  patches: readonly Patch[],
): Promise<Segment[]> {
  ordered(patches);
  const segments: Segment[] = [];
  const sizes: [stored: number, content: number][] = [];
  for (const frame of frames) {
    const { storedOffset, storedSize, offset, size } = frame;
    const touched = patches.some((patch) => patch.offset < offset + size && patch.offset + patch.capacity > offset);
    if (touched) {
      const bytes = storedZstdFrame(patched(await file.read(offset, size), offset, patches));
      segments.push({ bytes });
      sizes.push([bytes.length, size]);
    } else {
      const last = segments.at(-1);
      if (last && "to" in last && last.to === storedOffset) last.to += storedSize;
      else segments.push({ from: storedOffset, to: storedOffset + storedSize });
      sizes.push([storedSize, size]);
    }
  }
  segments.push({ bytes: seekTable(sizes) });
  return segments;
}

/** The most bytes of a block of a zstd frame (RFC 8878, 3.1.1.2.3). */
const MAX_BLOCK = 128 * 1024;

/** A zstd frame that holds `content` as it is (RFC 8878, 3.1.1: raw blocks, one segment, size in four bytes). */
export function storedZstdFrame(content: Uint8Array): Uint8Array {
  const blocks = Math.max(1, Math.ceil(content.length / MAX_BLOCK));
  const bytes = new Uint8Array(9 + blocks * 3 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xfd2fb528, true);
  bytes[4] = 0xa0;
  view.setUint32(5, content.length, true);
  let at = 9;
  for (let block = 0; block < blocks; block++) {
    const part = content.subarray(block * MAX_BLOCK, (block + 1) * MAX_BLOCK);
    const header = (part.length << 3) | (block === blocks - 1 ? 1 : 0);
    view.setUint16(at, header & 0xffff, true);
    bytes[at + 2] = header >>> 16;
    bytes.set(part, at + 3);
    at += 3 + part.length;
  }
  return bytes;
}

/**
 * The table of all frames at the end of the file, without checksums (zstd's "seekable format": a skippable
 * frame, then for each frame its two sizes, then their count, flags and a magic number).
 */
function seekTable(sizes: readonly (readonly [stored: number, content: number])[]): Uint8Array {
  const bytes = new Uint8Array(8 + sizes.length * 8 + 9);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x184d2a5e, true);
  view.setUint32(4, sizes.length * 8 + 9, true);
  for (const [index, [stored, content]] of sizes.entries()) {
    view.setUint32(8 + index * 8, stored, true);
    view.setUint32(12 + index * 8, content, true);
  }
  const end = 8 + sizes.length * 8;
  view.setUint32(end, sizes.length, true);
  view.setUint32(end + 5, 0x8f92eab1, true);
  return bytes;
}
