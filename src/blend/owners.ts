/**
 * Data-blocks and what belongs to them. Blender writes each data-block (an "ID": object, mesh, scene) as
 * one block, and behind it the blocks (`DATA`) of all that it owns: modifiers, nodes, strips.
 */
import { CODE, codeText } from "./blocks.ts";
import type { DnaField, DnaStruct } from "./dna.ts";
import type { OpenedFile } from "./open.ts";
import { StructView, textOf } from "./struct-view.ts";

/** A block of structs that are read is not longer; arrays of a mesh are not read at all. */
const MAX_STRUCT_BLOCK = 64 * 1024 * 1024;
/** An array of pointers that is read has no more entries. */
const MAX_POINTERS = 1_000_000;

/** One data-block, the blocks behind it, and how to read them. */
export class Owner {
  readonly file: OpenedFile;
  /** Index of its block, and of the first block that does not belong to it. */
  readonly block: number;
  readonly end: number;
  /** Two letters: `OB`; `ID` for the place of a data-block that is linked from a library. */
  readonly code: string;
  #addresses: Map<number, number> | undefined;

  constructor(file: OpenedFile, block: number, end: number) {
    this.file = file;
    this.block = block;
    this.end = end;
    this.code = codeText(file.index.codes[block]!);
  }

  /** The description of a block's structs; undefined for raw data. */
  structOf(block: number): DnaStruct | undefined {
    return this.file.dna.structs[this.file.index.structs[block]!];
  }

  /** The owner's block with this address, as a pointer of the same owner means it. */
  find(address: number | undefined): number | undefined {
    if (address === undefined) return undefined;
    if (!this.#addresses) {
      this.#addresses = new Map();
      for (let block = this.block; block < this.end; block++) {
        const known = this.file.index.addresses[block]!;
        if (!this.#addresses.has(known)) this.#addresses.set(known, block);
      }
    }
    return this.#addresses.get(address);
  }

  /** The bytes of a block. */
  read(block: number): Uint8Array | Promise<Uint8Array> {
    const { offsets, lengths } = this.file.index;
    return this.file.bytes.read(offsets[block]!, Math.min(lengths[block]!, MAX_STRUCT_BLOCK));
  }

  /** All structs of a block: one, or those of an array. */
  async structs(block: number): Promise<StructView[]> {
    const struct = this.structOf(block);
    if (!struct || struct.size === 0) return [];
    const bytes = await this.read(block);
    const offset = this.file.index.offsets[block]!;
    const count = Math.floor(bytes.length / struct.size);
    return Array.from({ length: count }, (_, at) =>
      this.view(struct, bytes.subarray(at * struct.size, (at + 1) * struct.size), offset + at * struct.size),
    );
  }

  view(struct: DnaStruct, bytes: Uint8Array, offset: number): StructView {
    const { dna, layout } = this.file;
    return new StructView(
      { dna, littleEndian: layout.littleEndian, pointerSize: layout.pointerSize },
      struct,
      bytes,
      offset,
    );
  }

  /** The first struct that a pointer of this owner points to. */
  async follow(address: number | undefined, name?: string): Promise<StructView | undefined> {
    const block = this.find(address);
    if (block === undefined) return undefined;
    const struct = name === undefined ? this.structOf(block) : this.file.dna.byName.get(name);
    if (!struct || struct.size === 0) return undefined;
    const bytes = await this.file.bytes.read(this.file.index.offsets[block]!, struct.size);
    return this.view(struct, bytes, this.file.index.offsets[block]!);
  }

  /** The text that a pointer of this owner points to, and where it is stored. */
  async text(address: number | undefined): Promise<{ text: string; offset: number; capacity: number } | undefined> {
    const block = this.find(address);
    if (block === undefined) return undefined;
    const offset = this.file.index.offsets[block]!;
    const capacity = this.file.index.lengths[block]!;
    return { text: textOf(await this.file.bytes.read(offset, Math.min(capacity, 65_536))), offset, capacity };
  }

  /** The structs of a ListBase, in its order. A circle ends it. */
  async list(first: number | undefined): Promise<StructView[]> {
    const found: StructView[] = [];
    const seen = new Set<number>();
    for (let next = first; next !== undefined && !seen.has(next);) {
      seen.add(next);
      const item = await this.follow(next);
      if (!item) break;
      found.push(item);
      next = item.pointer("next");
    }
    return found;
  }

  /** The addresses in an array of pointers. */
  async pointers(address: number | undefined): Promise<number[]> {
    const block = this.find(address);
    if (block === undefined) return [];
    const size = this.file.layout.pointerSize;
    const length = Math.min(this.file.index.lengths[block]!, MAX_POINTERS * size);
    const bytes = await this.file.bytes.read(this.file.index.offsets[block]!, length);
    const view = this.view({ index: 0, name: "", size: length, fields: [] }, bytes, 0);
    return Array.from({ length: Math.floor(bytes.length / size) }, (_, at) => view.addressAt(at * size));
  }
}

/** All data-blocks of the file, in its order. */
export function ownersOf(file: OpenedFile): Owner[] {
  const { codes, count } = file.index;
  const owners: Owner[] = [];
  let start = -1;
  const close = (end: number): void => {
    if (start >= 0) owners.push(new Owner(file, start, end));
    start = -1;
  };
  for (let block = 0; block < count; block++) {
    if (codes[block] === CODE.DATA) continue;
    close(block);
    // Codes of data-blocks have two letters.
    if (codes[block]! >>> 16 === 0) start = block;
    else if (codes[block] === CODE.GLOB) start = block;
  }
  close(count);
  return owners;
}

/** A pointer inside a struct that may point to a data-block. */
export interface PointerPlace {
  offset: number;
  /** 2 for a pointer to an array of pointers. */
  level: number;
  /** The innermost struct and field: `ID.next`. */
  field: string;
}

/** So deep are structs nested at most; Blender's are nested five deep. */
const MAX_DEPTH = 12;
const MAX_PLACES = 4096;

/**
 * For each struct, its pointers that may point to a data-block: to `ID`, to structs that begin with one,
 * and those without a type. Pointers to parts of a data-block need not be followed, because all parts of it
 * are read anyway.
 */
export class PointerPlaces {
  readonly #structs: DnaStruct[];
  readonly #ids: Set<number>;
  readonly #known = new Map<number, PointerPlace[]>();

  constructor(file: OpenedFile) {
    this.#structs = file.dna.structs;
    const id = file.dna.byName.get("ID")?.index ?? -1;
    this.#ids = new Set(
      this.#structs
        .filter(({ index, fields }) => index === id || (fields[0]?.struct === id && fields[0].pointer === 0))
        .map(({ index }) => index),
    );
  }

  of(struct: DnaStruct): PointerPlace[] {
    let places = this.#known.get(struct.index);
    if (!places) {
      places = [];
      this.#collect(struct, 0, 0, places);
      this.#known.set(struct.index, places);
    }
    return places;
  }

  #collect(struct: DnaStruct, offset: number, depth: number, places: PointerPlace[]): void {
    for (const field of struct.fields) {
      if (places.length >= MAX_PLACES || depth > MAX_DEPTH) return;
      if (field.pointer > 0 ? !this.#mayBeId(field) : field.struct < 0) continue;
      const size = field.size / Math.max(1, field.length);
      for (let at = 0; at < field.length && places.length < MAX_PLACES; at++) {
        const place = offset + field.offset + at * size;
        if (field.pointer > 0)
          places.push({ offset: place, level: field.pointer, field: `${struct.name}.${field.name}` });
        else this.#collect(this.#structs[field.struct]!, place, depth + 1, places);
      }
    }
  }

  #mayBeId(field: DnaField): boolean {
    if (field.name.startsWith("_pad")) return false;
    return this.#ids.has(field.struct) || field.type === "void";
  }
}
