/**
 * PIZ, OpenEXR's wavelet compression (https://openexr.com/en/latest/TechnicalIntroduction.html): the 16-bit words of
 * a chunk, of which those that occur are numbered, go through a Haar wavelet for each channel, and then through a
 * Huffman code with runs. Floats are two words.
 */

/** The longest code of the format. */
const MAX_CODE_BITS = 58;
/** Codes up to this length are found in a table; longer ones are rare. */
const TABLE_BITS = 16;
/** Words, and the symbol for a run. */
const SYMBOLS = 65_537;
/** The length of a code is 6 bits; from here on they are the number of symbols in a row that have no code. */
const SHORT_RUN = 59;
const LONG_RUN = 63;
const LONG_RUN_FROM = 6;
/** Numbers below this go through the wavelet as signed words. */
const SIGNED_BELOW = 1 << 14;

/** The packed data breaks the format. */
class NotPiz extends Error {}

/**
 * Unpack a chunk of `rows` rows. `words`: how many 16-bit words a pixel has, by channel. The result has the layout
 * of a chunk that is not packed: row by row, the channels of each. Throws on data that is none.
 */
export function unpackPiz(data: Uint8Array, words: readonly number[], width: number, rows: number): Uint8Array {
  const { values, coded } = partsOf(data);
  const plane = new Uint16Array(words.reduce((sum, size) => sum + size, 0) * width * rows);
  unpackWords(coded, plane);
  let start = 0;
  for (const size of words) {
    const part = plane.subarray(start, (start += size * width * rows));
    for (let word = 0; word < size; word++) undoWavelet(part.subarray(word), width, size, rows, values.length - 1);
  }
  for (let i = 0; i < plane.length; i++) plane[i] = values[plane[i]!] ?? 0;
  return inRows(plane, words, width, rows);
}

/**
 * Whether a chunk of `channels` channels, all halves or all floats, has a value that is infinite or no number. Of
 * halves, the list of the words that occur says it. Throws on data that is none.
 */
export function pizHasNoNumber(data: Uint8Array, type: 1 | 2, channels: number, width: number, rows: number): boolean {
  const { values, coded } = partsOf(data);
  const exponent = type === 1 ? 0x7c00 : 0x7f80;
  const isNone = (word: number | undefined): boolean => word !== undefined && (word & exponent) === exponent;
  if (!values.some(isNone)) return false;
  if (type === 1) return true;
  // It may have been the lower half of a float. The upper one comes second.
  const plane = new Uint16Array(2 * channels * width * rows);
  unpackWords(coded, plane);
  for (let channel = 0; channel < channels; channel++) {
    const start = 2 * channel * width * rows;
    const part = plane.subarray(start + 1, start + 2 * width * rows);
    undoWavelet(part, width, 2, rows, values.length - 1);
    for (let i = 0; i < part.length; i += 2) if (isNone(values[part[i]!])) return true;
  }
  return false;
}

/** The words that occur in a chunk, ascending, of which 0 is always one, and the coded words. */
function partsOf(data: Uint8Array): { values: Uint16Array; coded: Uint8Array } {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  // A bitmap of the words, without the bytes before the first and after the last that is not 0.
  const [first, last] = [view.getUint16(0, true), view.getUint16(2, true)];
  if (last >= 8192) throw new NotPiz();
  const at = first <= last ? 5 + last - first : 4;
  const bitmap = data.subarray(4, at);
  const values = [0];
  for (let i = 0; i < bitmap.length * 8; i++)
    if ((bitmap[i >> 3]! >> (i & 7)) & 1 && first * 8 + i > 0) values.push(first * 8 + i);
  const length = view.getInt32(at, true);
  if (length < 0 || at + 4 + length > data.length) throw new NotPiz();
  return { values: Uint16Array.from(values), coded: data.subarray(at + 4, at + 4 + length) };
}

/** From channel after channel to row after row. */
function inRows(plane: Uint16Array, words: readonly number[], width: number, rows: number): Uint8Array {
  const out = new Uint8Array(plane.length * 2);
  const view = new DataView(out.buffer);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    let start = 0;
    for (const size of words) {
      const from = start + row * size * width;
      for (let i = 0; i < size * width; i++, to += 2) view.setUint16(to, plane[from + i]!, true);
      start += size * width * rows;
    }
  }
  return out;
}

/** The Huffman code of a chunk, of which longer codes have smaller values. */
interface Code {
  /** By length: the first code, how many there are, and where their symbols begin. */
  first: Float64Array;
  count: Int32Array;
  at: Int32Array;
  symbols: Int32Array;
  /** By the next TABLE_BITS bits: the symbol and its length as `symbol * 64 + length`; 0 for a longer code. */
  table: Int32Array;
}

/** Fill `out` with the words of Huffman-coded data. Throws when there are fewer, or more. */
function unpackWords(data: Uint8Array, out: Uint16Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [lowest, highest, bits] = [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(12, true)];
  if (lowest >= SYMBOLS || highest >= SYMBOLS) throw new NotPiz();
  const { lengths, end } = lengthsOf(data, lowest, highest);
  if (bits > 8 * (data.length - end)) throw new NotPiz();
  decode(data.subarray(end), bits, codeOf(lengths), highest, out);
}

/** The lengths of the codes by symbol, and where the coded words begin. */
function lengthsOf(data: Uint8Array, lowest: number, highest: number): { lengths: Uint8Array; end: number } {
  const lengths = new Uint8Array(SYMBOLS);
  let at = 20;
  let [bits, left] = [0, 0];
  const take = (count: number): number => {
    while (left < count) {
      if (at >= data.length) throw new NotPiz();
      bits = ((bits << 8) | data[at++]!) & 0xffff;
      left += 8;
    }
    left -= count;
    return (bits >> left) & ((1 << count) - 1);
  };
  for (let symbol = lowest; symbol <= highest;) {
    const length = take(6);
    if (length < SHORT_RUN) lengths[symbol++] = length;
    else symbol += length === LONG_RUN ? take(8) + LONG_RUN_FROM : length - SHORT_RUN + 2;
  }
  return { lengths, end: at };
}

function codeOf(lengths: Uint8Array): Code {
  const count = new Int32Array(MAX_CODE_BITS + 1);
  for (const length of lengths) if (length > 0) count[length]!++;
  const first = new Float64Array(MAX_CODE_BITS + 1);
  const at = new Int32Array(MAX_CODE_BITS + 2);
  for (let length = MAX_CODE_BITS, code = 0; length > 0; length--) {
    first[length] = code;
    code = (code + count[length]!) >> 1;
  }
  for (let length = 1; length <= MAX_CODE_BITS; length++) at[length + 1] = at[length]! + count[length]!;
  const symbols = new Int32Array(at[MAX_CODE_BITS + 1]!);
  const next = at.slice();
  const table = new Int32Array(1 << TABLE_BITS);
  for (const [symbol, length] of lengths.entries()) {
    if (length === 0) continue;
    const place = next[length]!++;
    symbols[place] = symbol;
    if (length > TABLE_BITS) continue;
    const from = (first[length]! + place - at[length]!) << (TABLE_BITS - length);
    table.fill(symbol * 64 + length, from, from + (1 << (TABLE_BITS - length)));
  }
  return { first, count, at, symbols, table };
}

/** `bits`: how many of the data count. `run`: the symbol after which 8 bits say how often the last word follows. */
function decode(data: Uint8Array, bits: number, code: Code, run: number, out: Uint16Array): void {
  const { table } = code;
  let [at, buffer, held, used, to] = [0, 0, 0, 0, 0];
  const take = (count: number): number => {
    while (held < count) {
      buffer = ((buffer & 0x3fffff) << 8) | (data[at++] ?? 0);
      held += 8;
    }
    held -= count;
    used += count;
    return (buffer >> held) & ((1 << count) - 1);
  };
  while (used < bits) {
    while (held < TABLE_BITS) {
      buffer = ((buffer & 0x3fffff) << 8) | (data[at++] ?? 0);
      held += 8;
    }
    const entry = table[(buffer >> (held - TABLE_BITS)) & ((1 << TABLE_BITS) - 1)]!;
    let symbol: number;
    if (entry > 0) {
      held -= entry & 63;
      used += entry & 63;
      symbol = entry >> 6;
    } else symbol = longSymbol(code, take);
    if (symbol === run) {
      const end = to + take(8);
      if (to === 0 || end > out.length) throw new NotPiz();
      out.fill(out[to - 1]!, to, end);
      to = end;
    } else {
      if (to === out.length) throw new NotPiz();
      out[to++] = symbol;
    }
  }
  if (used > bits || to !== out.length) throw new NotPiz();
}

function longSymbol({ first, count, at, symbols }: Code, take: (count: number) => number): number {
  let value = 0;
  for (let length = 1; length <= MAX_CODE_BITS; length++) {
    value = value * 2 + take(1);
    const place = value - first[length]!;
    if (place >= 0 && place < count[length]!) return symbols[at[length]! + place]!;
  }
  throw new NotPiz();
}

/**
 * Undo the wavelet of one word of all pixels, in place. `step`: from a pixel to the next. `highest`: the largest
 * number that there was.
 */
function undoWavelet(words: Uint16Array, width: number, step: number, rows: number, highest: number): void {
  const pair = highest < SIGNED_BELOW ? signedPair : modularPair;
  const row = step * width;
  let above = 1;
  while (above <= Math.min(width, rows)) above <<= 1;
  above >>= 1;
  for (let size = above >> 1; size >= 1; above = size, size >>= 1) {
    const [right, below] = [step * size, row * size];
    let y = 0;
    for (; y <= row * (rows - above); y += row * above) {
      let x = y;
      for (const end = y + step * (width - above); x <= end; x += step * above) {
        pair(words, x, x + below);
        pair(words, x + right, x + right + below);
        pair(words, x, x + right);
        pair(words, x + below, x + below + right);
      }
      if (width & size) pair(words, x, x + below);
    }
    if (rows & size)
      for (let x = y, end = y + step * (width - above); x <= end; x += step * above) pair(words, x, x + right);
  }
}

/** A mean and a difference become two words, as signed numbers. */
function signedPair(words: Uint16Array, i: number, j: number): void {
  const mean = (words[i]! << 16) >> 16;
  const difference = (words[j]! << 16) >> 16;
  const a = mean + (difference & 1) + (difference >> 1);
  words[i] = a;
  words[j] = a - difference;
}

/** The same, modulo 65,536. */
function modularPair(words: Uint16Array, i: number, j: number): void {
  const [mean, difference] = [words[i]!, words[j]!];
  const b = (mean - (difference >> 1)) & 0xffff;
  words[j] = b;
  words[i] = (difference + b - 0x8000) & 0xffff;
}
