/**
 * Decompression of zstd (RFC 8878), written for files that may be hostile: each length is checked before
 * it is used, so a frame takes time and memory in proportion to the content that it is allowed to have.
 * Checksums are not verified.
 */
import { BlendError } from "./types.ts";

/** A block holds so much content at most (RFC 8878, section 3.1.1.2.4). */
export const MAX_BLOCK_BYTES = 128 * 1024;
/** Longest codes of the Huffman table for literals. */
const MAX_HUFFMAN_BITS = 11;
/** Matches may reach back by 2^27 at most here; no reader of this project keeps a larger window. */
const MAX_OFFSET_CODE = 27;

const damaged = (): BlendError => new BlendError("The zstd data of the file is damaged.");

const floorLog2 = (value: number): number => 31 - Math.clz32(value);

/** Numbers in short: `3*1 2` is 1, 1, 1, 2. */
function repeated(text: string): number[] {
  return text.split(" ").flatMap((part) => {
    const [first = "", value = first] = part.split("*");
    return Array.from({ length: part.includes("*") ? Number(first) : 1 }, () => Number(value));
  });
}

/** Base and number of extra bits of the codes for lengths of literals and of matches. */
const LITERAL_LENGTHS = lengthCodes(0, repeated("16*0 4*1 2*2 2*3 4 6 7 8 9 10 11 12 13 14 15 16"));
const MATCH_LENGTHS = lengthCodes(3, repeated("32*0 4*1 2*2 2*3 2*4 5 7 8 9 10 11 12 13 14 15 16"));

interface LengthCodes {
  base: Int32Array;
  bits: Uint8Array;
}

/** Each code begins where the one before it ends, but for the jump to the next power of two. */
function lengthCodes(first: number, bits: number[]): LengthCodes {
  const base = new Int32Array(bits.length);
  let next = first;
  for (const [code, extra] of bits.entries()) {
    // The long codes begin at powers of two (plus 3 for matches).
    if (code > 0 && extra >= 6 && extra > bits[code - 1]!) next = first + 2 ** extra;
    base[code] = next;
    next += 2 ** extra;
  }
  return { base, bits: Uint8Array.from(bits) };
}

/** A table of finite state entropy: for each state its symbol, and how to find the next state. */
interface FseTable {
  log: number;
  symbols: Uint8Array;
  bits: Uint8Array;
  base: Uint16Array;
}

/** Distributions that a block can use without storing them (RFC 8878, section 3.1.1.3.2.2). */
const DEFAULT_LITERAL_LENGTHS = fseTable(6, repeated("4 3 11*2 3*1 9*2 3 2 5*1 4*-1"));
const DEFAULT_MATCH_LENGTHS = fseTable(6, repeated("1 4 3 6*2 37*1 7*-1"));
const DEFAULT_OFFSETS = fseTable(5, repeated("6*1 3*2 15*1 5*-1"));

/** Spreads the symbols over the states. `counts[symbol]` is its number of states; -1 is "less than one". */
function fseTable(log: number, counts: ArrayLike<number>): FseTable {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const next = new Uint16Array(counts.length);
  let high = size;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    if (counts[symbol] !== -1) continue;
    symbols[--high] = symbol;
    next[symbol] = 1;
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol]!;
    if (count <= 0) continue;
    next[symbol] = count;
    for (let index = 0; index < count; index++) {
      symbols[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position >= high);
    }
  }
  const bits = new Uint8Array(size);
  const base = new Uint16Array(size);
  for (let state = 0; state < size; state++) {
    const value = next[symbols[state]!]!++;
    bits[state] = log - floorLog2(value);
    base[state] = (value << bits[state]!) - size;
  }
  return { log, symbols, bits, base };
}

/** A table whose only symbol takes no bits. */
const singleSymbol = (symbol: number): FseTable => ({
  log: 0,
  symbols: Uint8Array.of(symbol),
  bits: new Uint8Array(1),
  base: new Uint16Array(1),
});

/** Reads a stored distribution at `start`. @returns its table, and where the next field begins. */
function readFseTable(
  bytes: Uint8Array,
  start: number,
  end: number,
  limits: { log: number; symbols: number },
): { table: FseTable; at: number } {
  if (start >= end) throw damaged();
  const log = (bytes[start]! & 15) + 5;
  if (log > limits.log) throw damaged();
  const counts = new Int16Array(limits.symbols);
  let bit = start * 8 + 4;
  const peek = (count: number): number => {
    const at = bit >> 3;
    const word = bytes[at]! | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
    return (word >> (bit & 7)) & ((1 << count) - 1);
  };
  let remaining = 1 << log;
  let symbol = 0;
  while (remaining > 0) {
    if (symbol >= limits.symbols || bit >> 3 >= end) throw damaged();
    const bits = floorLog2(remaining + 1) + 1;
    let value = peek(bits);
    const lowMask = (1 << (bits - 1)) - 1;
    const threshold = (1 << bits) - 1 - (remaining + 1);
    if ((value & lowMask) < threshold) {
      value &= lowMask;
      bit += bits - 1;
    } else {
      if (value > lowMask) value -= threshold;
      bit += bits;
    }
    const count = value - 1;
    remaining -= Math.abs(count);
    counts[symbol++] = count;
    if (count !== 0) continue;
    for (let repeat = 3; repeat === 3;) {
      if (bit >> 3 >= end) throw damaged();
      repeat = peek(2);
      bit += 2;
      symbol += repeat;
      if (symbol > limits.symbols) throw damaged();
    }
  }
  const at = (bit + 7) >> 3;
  if (remaining < 0 || at > end) throw damaged();
  return { table: fseTable(log, counts.subarray(0, symbol)), at };
}

/**
 * Bits that are read from the end to the start. The last byte ends with a one bit, which is not data.
 * Reading before the start gives zero bits; `left` is negative then.
 */
class BackwardBits {
  left: number;
  readonly #bytes: Uint8Array;
  readonly #start: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    const last = end > start ? bytes[end - 1]! : 0;
    if (last === 0) throw damaged();
    this.#bytes = bytes;
    this.#start = start;
    this.left = (end - start - 1) * 8 + floorLog2(last);
  }

  /** The next `count` bits, 24 at most. */
  read(count: number): number {
    const left = this.left - count;
    this.left = left;
    if (left < 0) return left <= -count ? 0 : (this.#word(0) & ((1 << (left + count)) - 1)) << -left;
    return (this.#word(left) >>> (left & 7)) & ((1 << count) - 1);
  }

  #word(bit: number): number {
    const at = this.#start + (bit >> 3);
    const bytes = this.#bytes;
    // Callers give arrays with four bytes more than the data.
    return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  }
}

/** For each prefix of `log` bits, the symbol that it begins with, and the length of its code. */
interface HuffmanTable {
  log: number;
  symbols: Uint8Array;
  bits: Uint8Array;
}

function readHuffmanTable(bytes: Uint8Array, start: number, end: number): { table: HuffmanTable; at: number } {
  if (start >= end) throw damaged();
  const header = bytes[start]!;
  const weights: number[] = [];
  let at = start + 1;
  if (header >= 128) {
    const count = header - 127;
    if (at + ((count + 1) >> 1) > end) throw damaged();
    for (let index = 0; index < count; index++) {
      const pair = bytes[at + (index >> 1)]!;
      weights.push(index & 1 ? pair & 15 : pair >> 4);
    }
    at += (count + 1) >> 1;
  } else {
    if (at + header > end) throw damaged();
    readWeights(bytes, at, at + header, weights);
    at += header;
  }
  return { table: huffmanTable(weights), at };
}

/** Weights that are compressed by two interleaved states. */
function readWeights(bytes: Uint8Array, start: number, end: number, weights: number[]): void {
  const { table, at } = readFseTable(bytes, start, end, { log: 6, symbols: 13 });
  const stream = new BackwardBits(bytes, at, end);
  let state = stream.read(table.log);
  let other = stream.read(table.log);
  for (;;) {
    weights.push(table.symbols[state]!);
    state = table.base[state]! + stream.read(table.bits[state]!);
    if (stream.left < 0) {
      weights.push(table.symbols[other]!);
      break;
    }
    if (weights.length > 255) throw damaged();
    [state, other] = [other, state];
  }
  if (weights.length > 255) throw damaged();
}

function huffmanTable(weights: number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > MAX_HUFFMAN_BITS) throw damaged();
    if (weight > 0) sum += 1 << (weight - 1);
  }
  if (sum === 0) throw damaged();
  const log = floorLog2(sum) + 1;
  const rest = (1 << log) - sum;
  // The last weight is not stored: it fills the table.
  if (log > MAX_HUFFMAN_BITS || (rest & (rest - 1)) !== 0) throw damaged();
  weights.push(floorLog2(rest) + 1);
  const symbols = new Uint8Array(1 << log);
  const bits = new Uint8Array(1 << log);
  let at = 0;
  for (let weight = 1; weight <= log; weight++) {
    for (let symbol = 0; symbol < weights.length; symbol++) {
      if (weights[symbol] !== weight) continue;
      const states = 1 << (weight - 1);
      symbols.fill(symbol, at, at + states);
      bits.fill(log + 1 - weight, at, at + states);
      at += states;
    }
  }
  return { log, symbols, bits };
}

function decodeHuffmanStream(
  bytes: Uint8Array,
  range: { start: number; end: number },
  table: HuffmanTable,
  out: Uint8Array,
): void {
  const stream = new BackwardBits(bytes, range.start, range.end);
  const { log, symbols, bits } = table;
  const mask = (1 << log) - 1;
  let left = stream.left;
  let index = 0;
  // While a whole prefix is left, bits are read here: this loop takes most of the time.
  for (; index < out.length && left >= log; index++) {
    const bit = left - log;
    const at = range.start + (bit >> 3);
    const prefix = ((bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)) >> (bit & 7)) & mask;
    out[index] = symbols[prefix]!;
    left -= bits[prefix]!;
  }
  for (; index < out.length; index++) {
    stream.left = left;
    const prefix = stream.read(log);
    out[index] = symbols[prefix]!;
    left -= bits[prefix]!;
  }
  if (left !== 0) throw damaged();
}

/**
 * Literals of the block that is decoded. One place serves all decoders, because a block is decoded without a
 * pause.
 */
const LITERALS = new Uint8Array(MAX_BLOCK_BYTES);

/** The state that blocks of one frame share. */
export class ZstdBlocks {
  readonly #literals = LITERALS;
  #huffman: HuffmanTable | undefined;
  #tables: (FseTable | undefined)[] = [undefined, undefined, undefined];
  #recent: [number, number, number] = [1, 4, 8];

  /**
   * Decodes one compressed block.
   * @param bytes stored bytes; at least four more than `end`
   * @param out gets the content at `position`; what lies before it can be matched
   * @returns the position after the content
   */
  decode(bytes: Uint8Array, start: number, end: number, out: Uint8Array, position: number): number {
    const literals = this.#readLiterals(bytes, start, end);
    return this.#runSequences(bytes, literals.at, end, literals.size, out, position);
  }

  #readLiterals(bytes: Uint8Array, start: number, end: number): { size: number; at: number } {
    const first = bytes[start]!;
    const type = first & 3;
    const format = (first >> 2) & 3;
    if (start >= end) throw damaged();
    if (type < 2) {
      const headerBytes = [1, 2, 1, 3][format]!;
      const word = first | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16);
      const size = format & 1 ? (word & (2 ** (8 * headerBytes) - 1)) >>> 4 : first >> 3;
      const at = start + headerBytes;
      const stored = type === 0 ? size : 1;
      if (size > MAX_BLOCK_BYTES || at + stored > end) throw damaged();
      if (type === 0) this.#literals.set(bytes.subarray(at, at + size));
      else this.#literals.fill(bytes[at]!, 0, size);
      return { size, at: at + stored };
    }
    const headerBytes = [3, 3, 4, 5][format]!;
    const bits = [10, 10, 14, 18][format]!;
    let header = 0;
    for (let index = headerBytes - 1; index >= 0; index--) header = header * 256 + bytes[start + index]!;
    header = Math.floor(header / 16);
    const size = header % 2 ** bits;
    const stored = Math.floor(header / 2 ** bits);
    let at = start + headerBytes;
    const stop = at + stored;
    if (size > MAX_BLOCK_BYTES || stop > end) throw damaged();
    if (type === 2) {
      const read = readHuffmanTable(bytes, at, stop);
      this.#huffman = read.table;
      at = read.at;
    }
    const table = this.#huffman;
    if (!table) throw damaged();
    if (format === 0) {
      decodeHuffmanStream(bytes, { start: at, end: stop }, table, this.#literals.subarray(0, size));
      return { size, at: stop };
    }
    if (at + 6 > stop) throw damaged();
    const part = (size + 3) >> 2;
    let streamStart = at + 6;
    for (let stream = 0; stream < 4; stream++) {
      const lengthAt = at + stream * 2;
      const streamEnd = stream === 3 ? stop : streamStart + (bytes[lengthAt]! | (bytes[lengthAt + 1]! << 8));
      const from = part * stream;
      const to = stream === 3 ? size : from + part;
      if (streamEnd > stop || from > to || to > size) throw damaged();
      decodeHuffmanStream(bytes, { start: streamStart, end: streamEnd }, table, this.#literals.subarray(from, to));
      streamStart = streamEnd;
    }
    return { size, at: stop };
  }

  #runSequences(
    bytes: Uint8Array,
    start: number,
    end: number,
    literalSize: number,
    out: Uint8Array,
    position: number,
  ): number {
    const limit = Math.min(out.length, position + MAX_BLOCK_BYTES);
    const literals = this.#literals;
    if (start >= end) throw damaged();
    let at = start + 1;
    let count = bytes[start]!;
    if (count === 255) {
      count = (bytes[at]! | (bytes[at + 1]! << 8)) + 0x7f00;
      at += 2;
    } else if (count > 127) {
      count = ((count - 128) << 8) | bytes[at++]!;
    }
    if (count === 0) {
      if (position + literalSize > limit || at !== end) throw damaged();
      out.set(literals.subarray(0, literalSize), position);
      return position + literalSize;
    }
    if (at >= end) throw damaged();
    const modes = bytes[at++]!;
    if (modes & 3) throw damaged();
    for (const [kind, rules] of SEQUENCE_TABLES.entries()) {
      const mode = (modes >> (6 - 2 * kind)) & 3;
      if (mode === 0) this.#tables[kind] = rules.table;
      else if (mode === 1) {
        const symbol = bytes[at++]!;
        if (at > end || symbol >= rules.symbols) throw damaged();
        this.#tables[kind] = singleSymbol(symbol);
      } else if (mode === 2) {
        const read = readFseTable(bytes, at, end, rules);
        this.#tables[kind] = read.table;
        at = read.at;
      }
    }
    const [literalTable, offsetTable, matchTable] = this.#tables;
    if (!literalTable || !offsetTable || !matchTable) throw damaged();
    const stream = new BackwardBits(bytes, at, end);
    let literalState = stream.read(literalTable.log);
    let offsetState = stream.read(offsetTable.log);
    let matchState = stream.read(matchTable.log);
    let [recent0, recent1, recent2] = this.#recent;
    let used = 0;
    let to = position;
    for (let sequence = 1; ; sequence++) {
      const offsetCode = offsetTable.symbols[offsetState]!;
      const matchCode = matchTable.symbols[matchState]!;
      const literalCode = literalTable.symbols[literalState]!;
      if (offsetCode > MAX_OFFSET_CODE) throw damaged();
      let value = 2 ** offsetCode;
      if (offsetCode > 20) {
        value += stream.read(offsetCode - 20) * 2 ** 20;
        value += stream.read(20);
      } else value += stream.read(offsetCode);
      let matchLength = MATCH_LENGTHS.base[matchCode]! + stream.read(MATCH_LENGTHS.bits[matchCode]!);
      const literalLength = LITERAL_LENGTHS.base[literalCode]! + stream.read(LITERAL_LENGTHS.bits[literalCode]!);
      let offset: number;
      if (value > 3) {
        offset = value - 3;
        recent2 = recent1;
        recent1 = recent0;
        recent0 = offset;
      } else {
        const index = literalLength === 0 ? value : value - 1;
        offset = index === 0 ? recent0 : index === 1 ? recent1 : index === 2 ? recent2 : recent0 - 1;
        if (index > 1) recent2 = recent1;
        if (index > 0) recent1 = recent0;
        recent0 = offset;
      }
      if (stream.left < 0 || used + literalLength > literalSize || to + literalLength + matchLength > limit) {
        throw damaged();
      }
      for (const stop = used + literalLength; used < stop;) out[to++] = literals[used++]!;
      if (offset <= 0 || offset > to) throw damaged();
      if (offset >= matchLength && matchLength > 32) {
        out.copyWithin(to, to - offset, to - offset + matchLength);
        to += matchLength;
      } else {
        for (; matchLength > 0; matchLength--, to++) out[to] = out[to - offset]!;
      }
      if (sequence === count) break;
      literalState = literalTable.base[literalState]! + stream.read(literalTable.bits[literalState]!);
      matchState = matchTable.base[matchState]! + stream.read(matchTable.bits[matchState]!);
      offsetState = offsetTable.base[offsetState]! + stream.read(offsetTable.bits[offsetState]!);
    }
    if (stream.left !== 0) throw damaged();
    this.#recent = [recent0, recent1, recent2];
    const rest = literalSize - used;
    if (to + rest > limit) throw damaged();
    out.set(literals.subarray(used, literalSize), to);
    return to + rest;
  }
}

/** The three codes of a sequence, in the order of their tables: its own, and the limits of a stored one. */
const SEQUENCE_TABLES = [
  { table: DEFAULT_LITERAL_LENGTHS, log: 9, symbols: 36 },
  { table: DEFAULT_OFFSETS, log: 8, symbols: 32 },
  { table: DEFAULT_MATCH_LENGTHS, log: 9, symbols: 53 },
];

/** Reused, because a file has thousands of frames. */
let paddedBuffer = new Uint8Array(0);

/** A copy with four zero bytes behind it, which the bit readers may look at. */
function padded(stored: Uint8Array): Uint8Array {
  if (paddedBuffer.length < stored.length + 4) paddedBuffer = new Uint8Array(stored.length + 4);
  paddedBuffer.set(stored);
  paddedBuffer.fill(0, stored.length, stored.length + 4);
  return paddedBuffer;
}

/**
 * The content of the blocks of one frame.
 * @param stored the frame from its first block on
 * @param size length of the content; one more or less is an error
 * @param enough so much of the content is needed: the blocks behind it are left alone, and `stored` may end there
 * @returns the content, or its beginning; less than `enough` only where `stored` ends
 * @throws BlendError for damaged data.
 */
export function decodeZstdBlocks(stored: Uint8Array, size: number, enough = size): Uint8Array {
  const bytes = padded(stored);
  const isWhole = enough >= size;
  const out = new Uint8Array(Math.min(size, enough + MAX_BLOCK_BYTES));
  const blocks = new ZstdBlocks();
  let position = 0;
  let at = 0;
  for (let last = false; !last;) {
    if (!isWhole && position >= enough) return out.subarray(0, position);
    if (at + 3 > stored.length) {
      if (isWhole) throw damaged();
      return out.subarray(0, position);
    }
    const header = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
    last = (header & 1) === 1;
    const type = (header >> 1) & 3;
    const length = header >> 3;
    at += 3;
    const storedLength = type === 1 ? 1 : length;
    if (length > MAX_BLOCK_BYTES || type === 3) throw damaged();
    if (at + storedLength > stored.length) {
      if (isWhole) throw damaged();
      return out.subarray(0, position);
    }
    if (type === 2) position = blocks.decode(bytes, at, at + length, out, position);
    else {
      if (position + length > out.length) throw damaged();
      if (type === 0) out.set(bytes.subarray(at, at + length), position);
      else out.fill(bytes[at]!, position, position + length);
      position += length;
    }
    at += storedLength;
  }
  if (position !== size) throw damaged();
  return out;
}
