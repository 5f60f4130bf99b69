/**
 * Whether a JPEG (ITU-T T.81) has one colour: the coefficients of its blocks are read, and no pixel is made. The
 * picture has one colour when the blocks of each component have one DC coefficient, and no AC coefficient. What one
 * step of 8 bits makes of a coefficient is no difference: Blender's dither spreads a colour over two steps.
 *
 * Baseline, extended and progressive pictures of 8 bits with Huffman codes are read, which is what Blender and ffmpeg
 * write; of others (arithmetic codes, lossless, 12 bits) it is not known.
 */
import { MAX_PIXEL_BYTES } from "./picture.ts";

/** Between so many bytes, other work of the process gets its turn. */
const PAUSE_BYTES = 256 * 1024;
/** Segments that are read. Pictures have some hundreds; millions of tiny ones would take seconds. */
const MAX_SEGMENTS = 10_000;
/** The most blocks of an MCU of several components (B.2.3). */
const MAX_MCU_BLOCKS = 10;
/** One step of 8 bits in all 64 pixels of a block changes its DC coefficient by this (A.3.3) … */
const DC_STEP = 8;
/** … and one step in any of them changes an AC coefficient by at most this: half a step about the mean of each. */
const AC_STEP = 4;

/** The coefficients cannot be read: the data ends, or breaks a rule of the format. */
class Unreadable extends Error {}

/** A Huffman table as the decoder of F.2.2.3 needs it. */
interface Table {
  /** By the length of a code, 1 to 16: its first code, how many there are, and where the first one's value is. */
  first: number[];
  count: number[];
  at: number[];
  values: Uint8Array;
}

interface Component {
  id: number;
  /** Sampling factors. */
  h: number;
  v: number;
  /** The quantisation table, by the place of a coefficient in zigzag order; undefined until it is defined. */
  steps: number[] | undefined;
  tableId: number;
  /** Blocks that have pixels of the picture. */
  blocksWide: number;
  blocksHigh: number;
  /** The lowest and the highest DC coefficient, in steps. */
  lowest: number;
  highest: number;
  /** An AC coefficient is not 0. */
  hasAc: boolean;
}

interface Frame {
  progressive: boolean;
  width: number;
  height: number;
  components: Component[];
}

/** A part of a component's place in the scan under way. */
interface Scanned {
  component: Component;
  dc: Table | undefined;
  ac: Table | undefined;
  /** The last DC coefficient. */
  predicted: number;
}

/** What a scan is about (B.2.3): the first and the last coefficient, and the bit positions. */
interface Scan {
  parts: Scanned[];
  from: number;
  to: number;
  high: number;
  low: number;
}

/** Whether the JPEG has one colour; null when that is not known. Never rejects; bounded by the bytes. */
export async function isOneColourJpeg(bytes: Uint8Array): Promise<boolean | null> {
  try {
    return await new JpegColours(bytes).read();
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

/** A value of `length` bits as a signed number (F.2.2.1, EXTEND). */
function extended(value: number, length: number): number {
  return length > 0 && value < 2 ** (length - 1) ? value - 2 ** length + 1 : value;
}

class JpegColours {
  readonly #bytes: Uint8Array;
  readonly #steps: (number[] | undefined)[] = [];
  readonly #dc: (Table | undefined)[] = [];
  readonly #ac: (Table | undefined)[] = [];
  #frame: Frame | null = null;
  #restartInterval = 0;
  #at = 2;
  /** The bits of the byte before `#at` that are not read yet. */
  #bits = 0;
  #bitsLeft = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  async read(): Promise<boolean | null> {
    for (let segments = 0; segments < MAX_SEGMENTS; segments++) {
      const marker = this.#nextMarker();
      if (marker === 0xd9) return this.#verdict();
      const length = this.#u16(this.#at);
      const end = this.#at + length;
      if (length < 2 || end > this.#bytes.length) throw new Unreadable();
      const at = this.#at + 2;
      this.#at = end;
      if (marker === 0xdb) this.#quantisation(at, end);
      else if (marker === 0xc4) this.#huffman(at, end);
      else if (marker === 0xdd) this.#restartInterval = this.#u16(at);
      else if (marker >= 0xc0 && marker <= 0xc2) this.#startFrame(at, end, marker === 0xc2);
      // Other frames: lossless, hierarchical, arithmetic codes. C8 and CC belong to these.
      else if (marker >= 0xc3 && marker <= 0xcf) return null;
      else if (marker === 0xda && !(await this.#scan(at, end))) return false;
    }
    return null;
  }

  #u8(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw new Unreadable();
    return byte;
  }

  #u16(at: number): number {
    return (this.#u8(at) << 8) | this.#u8(at + 1);
  }

  /** Go to what follows the next marker; restart markers and bytes of a scan that nothing asked for are passed. */
  #nextMarker(): number {
    for (;;) {
      const at = this.#bytes.indexOf(0xff, this.#at);
      if (at < 0) throw new Unreadable();
      this.#at = at + 1;
      const marker = this.#u8(this.#at);
      if (marker === 0 || marker === 0xff || (marker >= 0xd0 && marker <= 0xd7)) continue;
      this.#at++;
      return marker;
    }
  }

  #quantisation(from: number, end: number): void {
    for (let at = from; at < end;) {
      const [id, size] = [this.#u8(at) & 15, this.#u8(at) >> 4 === 0 ? 1 : 2];
      at++;
      if (id > 3 || at + 64 * size > end) throw new Unreadable();
      const table = Array.from({ length: 64 }, (_, i) => (size === 1 ? this.#u8(at + i) : this.#u16(at + 2 * i)));
      if (table.includes(0)) throw new Unreadable();
      this.#steps[id] = table;
      at += 64 * size;
    }
  }

  #huffman(from: number, end: number): void {
    for (let at = from; at < end;) {
      const [kind, id] = [this.#u8(at) >> 4, this.#u8(at) & 15];
      const count = [0, ...Array.from({ length: 16 }, (_, i) => this.#u8(at + 1 + i))];
      const values = count.reduce((sum, n) => sum + n, 0);
      at += 17;
      if (kind > 1 || id > 3 || values > 256 || at + values > end) throw new Unreadable();
      const table: Table = { first: [0], count, at: [0], values: this.#bytes.subarray(at, at + values) };
      for (let length = 1, code = 0, place = 0; length <= 16; length++) {
        table.first.push(code);
        table.at.push(place);
        place += count[length]!;
        code = (code + count[length]!) << 1;
      }
      (kind === 0 ? this.#dc : this.#ac)[id] = table;
      at += values;
    }
  }

  #startFrame(at: number, end: number, progressive: boolean): void {
    const [precision, height, width, count] = [this.#u8(at), this.#u16(at + 1), this.#u16(at + 3), this.#u8(at + 5)];
    const isSmall = width * height * count <= MAX_PIXEL_BYTES;
    const isRead = this.#frame === null && precision === 8 && width > 0 && height > 0 && count > 0 && count <= 4;
    if (!isRead || !isSmall || at + 6 + 3 * count > end) throw new Unreadable();
    const components = Array.from({ length: count }, (_, i): Component => {
      const [id, factors, tableId] = [this.#u8(at + 6 + 3 * i), this.#u8(at + 7 + 3 * i), this.#u8(at + 8 + 3 * i)];
      const [h, v] = [factors >> 4, factors & 15];
      if (h < 1 || h > 4 || v < 1 || v > 4 || tableId > 3) throw new Unreadable();
      const range = { lowest: Infinity, highest: -Infinity, hasAc: false };
      return { id, h, v, tableId, steps: undefined, blocksWide: 0, blocksHigh: 0, ...range };
    });
    const [h, v] = [Math.max(...components.map((one) => one.h)), Math.max(...components.map((one) => one.v))];
    for (const component of components) {
      component.blocksWide = Math.ceil(Math.ceil((width * component.h) / h) / 8);
      component.blocksHigh = Math.ceil(Math.ceil((height * component.v) / v) / 8);
    }
    this.#frame = { progressive, width, height, components };
  }

  /** Read a scan. Whether what it says still leaves one colour. */
  async #scan(at: number, end: number): Promise<boolean> {
    const frame = this.#frame;
    const count = this.#u8(at);
    if (!frame || count < 1 || count > 4 || at + 4 + 2 * count > end) throw new Unreadable();
    const parts = Array.from({ length: count }, (_, i): Scanned => {
      const component = frame.components.find(({ id }) => id === this.#u8(at + 1 + 2 * i));
      if (!component) throw new Unreadable();
      // A table may be defined anew later: it counts as it is at the first scan of the component.
      component.steps ??= this.#steps[component.tableId];
      const tables = this.#u8(at + 2 + 2 * i);
      return { component, dc: this.#dc[tables >> 4], ac: this.#ac[tables & 15], predicted: 0 };
    });
    const bits = this.#u8(end - 1);
    const { progressive } = frame;
    const scan: Scan = progressive
      ? { parts, from: this.#u8(end - 3), to: this.#u8(end - 2), high: bits >> 4, low: bits & 15 }
      : { parts, from: 0, to: 63, high: 0, low: 0 };
    const isBand = scan.from === 0 ? !progressive || scan.to === 0 : count === 1 && scan.from <= scan.to;
    if (!isBand || scan.to > 63 || scan.low > 13) throw new Unreadable();
    this.#bitsLeft = 0;
    return await this.#blocks(frame, scan);
  }

  async #blocks({ components, width, height }: Frame, scan: Scan): Promise<boolean> {
    const { parts } = scan;
    const [first] = parts;
    const { component } = first!;
    // The blocks of one component follow each other by rows; those of several are interleaved (A.2).
    const isAlone = parts.length === 1;
    const [h, v] = [Math.max(...components.map((one) => one.h)), Math.max(...components.map((one) => one.v))];
    const wide = isAlone ? component.blocksWide : Math.ceil(width / (8 * h));
    const all = wide * (isAlone ? component.blocksHigh : Math.ceil(height / (8 * v)));
    if (!isAlone && parts.reduce((sum, one) => sum + one.component.h * one.component.v, 0) > MAX_MCU_BLOCKS)
      throw new Unreadable();
    let pausedAt = this.#at;
    const interval = this.#restartInterval;
    // What one bit of a refinement of DC coefficients is in any block of a component.
    const refined = parts.map(() => ({ lowest: 1, highest: 0 }));
    for (let mcu = 0; mcu < all; mcu++) {
      if (this.#at - pausedAt >= PAUSE_BYTES) {
        pausedAt = this.#at;
        await new Promise(setImmediate);
      }
      if (interval > 0 && mcu > 0 && mcu % interval === 0) this.#restart(parts);
      if (scan.from > 0) {
        const run = this.#band(scan, first!);
        if (run === null) return false;
        // Blocks without a coefficient, as far as the next restart marker.
        const left = interval > 0 ? interval - (mcu % interval) : all - mcu;
        if (run > left) throw new Unreadable();
        mcu += run - 1;
        continue;
      }
      for (const [i, part] of parts.entries()) {
        const { component: its } = part;
        const [across, down] = isAlone ? [1, 1] : [its.h, its.v];
        for (let y = 0; y < down; y++) {
          for (let x = 0; x < across; x++) {
            const isInside =
              isAlone ||
              ((mcu % wide) * across + x < its.blocksWide && Math.floor(mcu / wide) * down + y < its.blocksHigh);
            if (scan.high > 0) {
              const bit = this.#bit();
              if (!isInside) continue;
              refined[i]!.lowest = Math.min(refined[i]!.lowest, bit);
              refined[i]!.highest = Math.max(refined[i]!.highest, bit);
            } else if (!this.#block(scan, part, isInside)) return false;
          }
        }
      }
    }
    if (scan.from === 0 && scan.high > 0)
      for (const [i, { component: its }] of parts.entries()) {
        its.lowest += refined[i]!.lowest << scan.low;
        its.highest += refined[i]!.highest << scan.low;
      }
    return true;
  }

  /** The DC coefficient of a block, and all of a block that is not progressive. Whether it leaves one colour. */
  #block({ to, low }: Scan, part: Scanned, isInside: boolean): boolean {
    const { component, dc, ac } = part;
    const { steps } = component;
    if (!dc || !steps) throw new Unreadable();
    const length = this.#symbol(dc);
    if (length > 15) throw new Unreadable();
    part.predicted += extended(this.#value(length), length);
    const value = part.predicted << low;
    if (isInside) {
      if (value < component.lowest) component.lowest = value;
      if (value > component.highest) component.highest = value;
      // Bits that come later may bring two values nearer to each other by this.
      const unknown = 2 ** low - 1;
      if (isMoreThanStep(component.highest - component.lowest - unknown, steps[0]!)) return false;
    }
    if (to === 0) return true;
    if (!ac) throw new Unreadable();
    for (let k = 1; k <= 63; k++) {
      const symbol = this.#symbol(ac);
      const size = symbol & 15;
      if (size === 0 && symbol !== 0xf0) break;
      k += symbol >> 4;
      if (k > 63) throw new Unreadable();
      const level = extended(this.#value(size), size);
      if (isInside && isAcSeen(level, steps[k]!)) return false;
    }
    return true;
  }

  /**
   * A block of a scan of AC coefficients of a progressive picture. How many blocks the scan has gone on by: this
   * one, and those after it that have no coefficient; null when a coefficient says that there are several colours.
   */
  #band({ from, to, high, low }: Scan, { component, ac }: Scanned): number | null {
    // Bits that refine coefficients which are there already can only be told from others by what was there.
    const { steps } = component;
    if (!ac || !steps || (high > 0 && component.hasAc)) throw new Unreadable();
    for (let k = from; k <= to; k++) {
      const symbol = this.#symbol(ac);
      const [run, size] = [symbol >> 4, symbol & 15];
      if (size === 0 && run < 15) return (1 << run) + this.#value(run);
      k += run;
      if (k > to || (high > 0 && size > 1)) throw new Unreadable();
      if (size === 0) continue;
      // A refinement sends 1 for a positive coefficient, which is what a value of one bit means.
      const level = extended(this.#value(size), size);
      if (isAcSeen(level * 2 ** low, steps[k]!)) return null;
      component.hasAc = true;
    }
    return 1;
  }

  #restart(parts: readonly Scanned[]): void {
    this.#bitsLeft = 0;
    while (this.#u8(this.#at) === 0xff && this.#u8(this.#at + 1) === 0xff) this.#at++;
    const marker = this.#u16(this.#at);
    if (marker < 0xffd0 || marker > 0xffd7) throw new Unreadable();
    this.#at += 2;
    for (const part of parts) part.predicted = 0;
  }

  #bit(): number {
    if (this.#bitsLeft === 0) {
      this.#bits = this.#u8(this.#at);
      // FF is followed by 00; otherwise it is a marker, and the data has ended.
      if (this.#bits === 0xff && this.#u8(this.#at + 1) !== 0) throw new Unreadable();
      this.#at += this.#bits === 0xff ? 2 : 1;
      this.#bitsLeft = 8;
    }
    return (this.#bits >> --this.#bitsLeft) & 1;
  }

  #value(length: number): number {
    let value = 0;
    for (let i = 0; i < length; i++) value = (value << 1) | this.#bit();
    return value;
  }

  #symbol({ first, count, at, values }: Table): number {
    let code = 0;
    for (let length = 1; length <= 16; length++) {
      code = (code << 1) | this.#bit();
      const place = code - first[length]!;
      if (place >= 0 && place < count[length]!) return values[at[length]! + place]!;
    }
    throw new Unreadable();
  }

  #verdict(): boolean | null {
    const components = this.#frame?.components ?? [];
    if (components.length === 0 || components.some(({ lowest, steps }) => lowest === Infinity || !steps)) return null;
    return components.every(({ lowest, highest, steps }) => !isMoreThanStep(highest - lowest, steps![0]!));
  }
}

/**
 * Whether DC coefficients that are `difference` quantisation steps apart differ by more than one step of 8 bits.
 * Each was rounded by up to half a quantisation step.
 */
function isMoreThanStep(difference: number, step: number): boolean {
  return (difference - 1) * step > DC_STEP;
}

/** Whether an AC coefficient of so many quantisation steps is more than one step of 8 bits makes. */
function isAcSeen(level: number, step: number): boolean {
  return (Math.abs(level) - 0.5) * step > AC_STEP;
}
