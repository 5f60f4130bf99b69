/** Small blocks of a compressed file, so that they need not be decompressed again. */

/** Names, nodes and settings of a large scene have some ten megabytes. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_READS = 500_000;
const CHUNK_BYTES = 1024 * 1024;

/** What was read, by where it was read; 40 MiB at most. Blocks are added in the order of the file. */
export class KeptReads {
  #offsets = new Float64Array(1024);
  /** Where each of them lies in the chunks, and how long it is. */
  #starts = new Uint32Array(1024);
  #lengths = new Uint32Array(1024);
  #count = 0;
  #end = 0;
  readonly #chunks: Uint8Array[] = [];

  /** The first `length` bytes of what was kept from `offset` on, if it has so many. */
  find(offset: number, length: number): Uint8Array | undefined {
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offsets[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    if (this.#count === 0 || this.#offsets[low] !== offset) return undefined;
    if (this.#lengths[low]! < length) return undefined;
    const start = this.#starts[low]!;
    return this.#chunks[Math.floor(start / CHUNK_BYTES)]?.subarray(start % CHUNK_BYTES, (start % CHUNK_BYTES) + length);
  }

  /** Keeps a copy, as long as there is room. */
  keep(offset: number, bytes: Uint8Array): void {
    if (this.#count > 0 && offset <= this.#offsets[this.#count - 1]!) return;
    let start = this.#end;
    if (bytes.length > CHUNK_BYTES || start + bytes.length > MAX_BYTES || this.#count === MAX_READS) return;
    // What does not fit into the last chunk begins in a new one.
    if ((start % CHUNK_BYTES) + bytes.length > CHUNK_BYTES || start % CHUNK_BYTES === 0) {
      start = this.#chunks.length * CHUNK_BYTES;
      this.#chunks.push(new Uint8Array(CHUNK_BYTES));
    }
    if (this.#count === this.#offsets.length) this.#grow();
    this.#chunks.at(-1)!.set(bytes, start % CHUNK_BYTES);
    this.#offsets[this.#count] = offset;
    this.#starts[this.#count] = start;
    this.#lengths[this.#count++] = bytes.length;
    this.#end = start + bytes.length;
  }

  #grow(): void {
    const size = this.#offsets.length * 2;
    const offsets = new Float64Array(size);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    const starts = new Uint32Array(size);
    starts.set(this.#starts);
    this.#starts = starts;
    const lengths = new Uint32Array(size);
    lengths.set(this.#lengths);
    this.#lengths = lengths;
  }
}
