/**
 * The description of structs that each .blend file carries (SDNA, block `DNA1`). It says where each field
 * of each struct lies, so that files of all versions can be read by the names of the fields.
 */
import { BlendError } from "./types.ts";

export interface DnaField {
  /** Without stars and brackets: `mtex` of `*mtex[18]`. */
  name: string;
  type: string;
  /** Index of the struct that the field is of or points to; -1 for numbers, characters, `void`. */
  struct: number;
  /** 0 for a value, 1 for a pointer, 2 for a pointer to pointers. Functions count as 1. */
  pointer: number;
  /** Number of elements, 1 without brackets. */
  length: number;
  offset: number;
  /** Bytes of all elements. */
  size: number;
}

export interface DnaStruct {
  index: number;
  name: string;
  size: number;
  fields: DnaField[];
}

export interface Dna {
  structs: DnaStruct[];
  byName: Map<string, DnaStruct>;
}

/** Blender 5.0 has about 1,100 structs, 9,000 names, and 160 kB of SDNA. */
const MAX_STRUCTS = 16_384;
export const MAX_DNA_BYTES = 4 * 1024 * 1024;

const damaged = (): BlendError =>
  new BlendError("The file is damaged: its description of structs (DNA1) cannot be read.");

/** @throws BlendError for anything that is no complete description. */
export function parseDna(bytes: Uint8Array, layout: { littleEndian: boolean; pointerSize: number }): Dna {
  const cursor = new Cursor(bytes, layout.littleEndian);
  cursor.tag("SDNA");
  cursor.tag("NAME");
  const names = cursor.strings();
  cursor.tag("TYPE");
  const types = cursor.strings();
  cursor.tag("TLEN");
  const sizes = types.map(() => cursor.u16());
  cursor.tag("STRC");
  const count = cursor.u32();
  if (count === 0 || count > MAX_STRUCTS) throw damaged();
  const structs: DnaStruct[] = [];
  const stored: { type: number; name: number }[][] = [];
  for (let index = 0; index < count; index++) {
    const type = cursor.u16();
    const fieldCount = cursor.u16();
    if (type >= types.length) throw damaged();
    structs.push({ index, name: types[type]!, size: sizes[type]!, fields: [] });
    const fields: { type: number; name: number }[] = [];
    for (let field = 0; field < fieldCount; field++) {
      const entry = { type: cursor.u16(), name: cursor.u16() };
      if (entry.type >= types.length || entry.name >= names.length) throw damaged();
      fields.push(entry);
    }
    stored.push(fields);
  }
  const byName = new Map<string, DnaStruct>();
  // A struct that is described twice is the first one, so that both ways of asking agree.
  for (const struct of structs) if (!byName.has(struct.name)) byName.set(struct.name, struct);
  const declared = names.map((name) => declarator(name));
  for (const [index, struct] of structs.entries()) {
    let offset = 0;
    for (const entry of stored[index]!) {
      const { name, pointer, length } = declared[entry.name]!;
      const type = types[entry.type]!;
      const size = (pointer > 0 ? layout.pointerSize : sizes[entry.type]!) * length;
      // Fields that reach beyond the struct cannot be read.
      if (offset + size <= struct.size) {
        struct.fields.push({ name, type, struct: byName.get(type)?.index ?? -1, pointer, length, offset, size });
      }
      offset += size;
    }
  }
  return { structs, byName };
}

/** `*mtex[18]`, `**mat`, `mat[4][4]`, `(*draw)()`. */
function declarator(text: string): { name: string; pointer: number; length: number } {
  const match = /^(\(?)(\**)(\w*)\)?(?:\(.*\))?((?:\[\d{1,9}\])*)/.exec(text);
  if (!match) return { name: text, pointer: 0, length: 1 };
  let length = 1;
  for (const part of match[4]!.matchAll(/\d+/g)) length *= Number(part[0]);
  return { name: match[3]!, pointer: Math.min(2, match[2]!.length), length };
}

class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  #at = 0;

  constructor(bytes: Uint8Array, little: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = little;
  }

  /** The next part begins at a multiple of four with its name. */
  tag(name: string): void {
    this.#at = (this.#at + 3) & ~3;
    this.#need(4);
    const found = String.fromCharCode(...this.#bytes.subarray(this.#at, this.#at + 4));
    if (found !== name) throw damaged();
    this.#at += 4;
  }

  u16(): number {
    this.#need(2);
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2, this.#little);
  }

  u32(): number {
    this.#need(4);
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, this.#little);
  }

  strings(): string[] {
    const count = this.u32();
    if (count > 65_536) throw damaged();
    const found: string[] = [];
    for (let index = 0; index < count; index++) {
      const end = this.#bytes.indexOf(0, this.#at);
      // Blender's longest name has fewer than 100 characters.
      if (end < 0 || end - this.#at > 512) throw damaged();
      found.push(String.fromCharCode(...this.#bytes.subarray(this.#at, end)));
      this.#at = end + 1;
    }
    return found;
  }

  #need(length: number): void {
    if (this.#at + length > this.#bytes.length) throw damaged();
  }
}
