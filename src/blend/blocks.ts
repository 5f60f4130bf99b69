/** The index of a file's blocks: where they lie, what is in them, and where they were in memory. */
import { type Bytes, readWhole } from "./bytes.ts";
import { MAX_DNA_BYTES } from "./dna.ts";
import type { BlendLayout } from "./header.ts";
import { BlendError } from "./types.ts";

/**
 * So many blocks take 80 MB of index. A scene of 1 GB has some hundred thousand; Blender itself needs
 * minutes for a file with more.
 */
const MAX_BLOCKS = 3_000_000;
/** Blocks up to this length are read at once where they are kept, so that they need not be decompressed again. */
const SMALL_BLOCK = 4096;

/** Codes of blocks, as four bytes read in the order of the file. */
export const CODE = { DATA: code("DATA"), DNA1: code("DNA1"), ENDB: code("ENDB"), GLOB: code("GLOB") };

/** A code as one number: `OB` is `code("OB")`. */
function code(text: string): number {
  let value = 0;
  for (let index = 0; index < 4; index++) value |= (text.charCodeAt(index) || 0) << (8 * index);
  return value >>> 0;
}

/** The text of a code: `OB`, `DATA`. */
export function codeText(value: number): string {
  return String.fromCharCode(value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24).replaceAll("\0", "");
}

/** Columns of the index, one entry for each block, in the order of the file. */
export class BlockIndex {
  count = 0;
  codes = new Uint32Array(4096);
  /** Index of the struct in the file's DNA. */
  structs = new Uint16Array(4096);
  /** Where the content begins in the decompressed file. */
  offsets = new Float64Array(4096);
  lengths = new Float64Array(4096);
  /** The address of the block when it was written. Pointers have the same values. */
  addresses = new Float64Array(4096);

  add(code: number, struct: number, offset: number, length: number, address: number): void {
    if (this.count === MAX_BLOCKS)
      throw new BlendError("The file has more than 3,000,000 blocks, which is more than can be read here.");
    if (this.count === this.codes.length) this.#grow();
    this.codes[this.count] = code;
    this.structs[this.count] = struct;
    this.offsets[this.count] = offset;
    this.lengths[this.count] = length;
    this.addresses[this.count++] = address;
  }

  #grow(): void {
    // By half only, because the old and the new column are in memory together.
    const size = Math.min(MAX_BLOCKS, Math.floor(this.codes.length * 1.5));
    const grown = <T extends Uint32Array | Uint16Array | Float64Array>(next: T, old: T): T => {
      next.set(old);
      return next;
    };
    this.codes = grown(new Uint32Array(size), this.codes);
    this.structs = grown(new Uint16Array(size), this.structs);
    this.offsets = grown(new Float64Array(size), this.offsets);
    this.lengths = grown(new Float64Array(size), this.lengths);
    this.addresses = grown(new Float64Array(size), this.addresses);
  }
}

/** What walking a file finds. */
export interface Walked {
  index: BlockIndex;
  /** The bytes of DNA1. */
  dna: Uint8Array;
  /** Where the file's last block ends. */
  end: number;
}

/**
 * Walks all blocks from header to header.
 * @throws BlendError if the file ends before ENDB, or a header is impossible.
 */
export async function walkBlocks(bytes: Bytes, layout: BlendLayout): Promise<Walked> {
  const headerBytes = layout.large ? 32 : layout.pointerSize === 8 ? 24 : 20;
  const index = new BlockIndex();
  let dna: Uint8Array | undefined;
  let at = layout.headerBytes;
  for (;;) {
    const reading = bytes.read(at, headerBytes);
    const header = reading instanceof Uint8Array ? reading : await reading;
    if (header.length < 4) throw truncated();
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    const code = view.getUint32(0, true);
    // Some writers end the file with a shorter header.
    if (code === CODE.ENDB) {
      if (!dna) throw new BlendError("The file is damaged: it has no description of structs (DNA1).");
      return { index, dna, end: Math.min(at + headerBytes, bytes.size ?? at + headerBytes) };
    }
    if (header.length < headerBytes) throw truncated();
    const { struct, address, length } = readBlockHeader(view, layout);
    at += headerBytes;
    if (length < 0 || length > Number.MAX_SAFE_INTEGER / 4 || !plausible(code)) {
      throw new BlendError("The file is damaged: a block header makes no sense.");
    }
    if (bytes.size !== undefined && at + length > bytes.size) throw truncated();
    if (code === CODE.DNA1) {
      if (length > MAX_DNA_BYTES)
        throw new BlendError("The file is damaged: its description of structs (DNA1) is too long.");
      dna = (await readWhole(bytes, at, length)).slice();
    } else {
      if (struct > 0xffff) throw new BlendError("The file is damaged: a block header makes no sense.");
      index.add(code, struct, at, length, address);
      if (bytes.keep && length > 0 && length <= SMALL_BLOCK) {
        const small = bytes.read(at, length);
        bytes.keep(at, small instanceof Uint8Array ? small : await small);
      }
    }
    at += length;
  }
}

const truncated = (): BlendError => new BlendError("The file is truncated: it ends before its last block.");

/** Codes are made of capitals and digits, in the first two or in all four bytes. */
function plausible(code: number): boolean {
  for (let shift = 0; shift < 32; shift += 8) {
    const byte = (code >>> shift) & 255;
    const letter = (byte >= 65 && byte <= 90) || (byte >= 48 && byte <= 57);
    if (!letter && !(byte === 0 && shift >= 16)) return false;
  }
  return true;
}

function readBlockHeader(view: DataView, layout: BlendLayout): { struct: number; address: number; length: number } {
  const little = layout.littleEndian;
  if (layout.large) {
    return {
      struct: view.getUint32(4, little),
      address: readAddress(view, 8, 8, little),
      length: view.getInt32(20, little) * 2 ** 32 + view.getUint32(16, little),
    };
  }
  const { pointerSize } = layout;
  return {
    length: view.getInt32(4, little),
    address: readAddress(view, 8, pointerSize, little),
    struct: view.getUint32(8 + pointerSize, little),
  };
}

/**
 * A pointer as a number. Numbers hold 53 bits. Addresses in memory have 48; Blender 5 writes numbers of 64 bits
 * instead, whose upper 11 bits are mixed into the lower ones here.
 */
export function readAddress(view: DataView, at: number, pointerSize: number, little: boolean): number {
  if (pointerSize === 4) return view.getUint32(at, little);
  const low = view.getUint32(little ? at : at + 4, little);
  const high = view.getUint32(little ? at + 4 : at, little);
  return (high & 0x1fffff) * 2 ** 32 + ((low ^ Math.imul(high >>> 21, 0x9e3779b1)) >>> 0);
}
