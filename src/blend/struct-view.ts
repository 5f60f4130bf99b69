/** Reads fields of a struct by name. A field that the file's version does not have is undefined. */
import { readAddress } from "./blocks.ts";
import type { Dna, DnaField, DnaStruct } from "./dna.ts";
import type { PathField } from "./types.ts";

/** What all views of a file share. */
export interface StructRules {
  dna: Dna;
  littleEndian: boolean;
  pointerSize: 4 | 8;
}

/** Paths of fields that were looked up, for each struct: `id.name`. Shared by all views of a file. */
const lookups = new WeakMap<DnaStruct, Map<string, DnaField | undefined>>();

/**
 * The field at a path like `id.name` or `r.xsch`; its offset is from the beginning of the outer struct.
 * Steps go through structs that lie inside, not through pointers.
 */
function fieldAt(dna: Dna, struct: DnaStruct, path: string): DnaField | undefined {
  let known = lookups.get(struct);
  if (!known) lookups.set(struct, (known = new Map()));
  if (known.has(path)) return known.get(path);
  let found: DnaField | undefined;
  let offset = 0;
  let inside: DnaStruct | undefined = struct;
  for (const step of path.split(".")) {
    const field: DnaField | undefined = inside?.fields.find(({ name }) => name === step);
    if (!field) {
      found = undefined;
      break;
    }
    found = { ...field, offset: offset + field.offset };
    offset += field.offset;
    inside = field.pointer === 0 && field.struct >= 0 ? dna.structs[field.struct] : undefined;
  }
  known.set(path, found);
  return found;
}

const decoder = new TextDecoder();

/** The text up to the first zero byte. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** One struct of a block. */
export class StructView {
  readonly struct: DnaStruct;
  /** Where the struct begins in the decompressed file. */
  readonly offset: number;
  readonly #rules: StructRules;
  readonly #bytes: Uint8Array;
  #view: DataView | undefined;

  constructor(rules: StructRules, struct: DnaStruct, bytes: Uint8Array, offset: number) {
    this.#rules = rules;
    this.struct = struct;
    this.#bytes = bytes;
    this.offset = offset;
  }

  #field(path: string): DnaField | undefined {
    const field = fieldAt(this.#rules.dna, this.struct, path);
    return field && field.offset + field.size <= this.#bytes.length ? field : undefined;
  }

  has(path: string): boolean {
    return this.#field(path) !== undefined;
  }

  /** A number of any type; the first one of an array. */
  number(path: string): number | undefined {
    const field = this.#field(path);
    if (!field || field.pointer > 0 || field.size === 0) return undefined;
    const view = this.#dataView();
    const little = this.#rules.littleEndian;
    switch (field.type) {
      case "char":
      case "uchar":
        return view.getUint8(field.offset);
      case "int8_t":
        return view.getInt8(field.offset);
      case "short":
        return view.getInt16(field.offset, little);
      case "ushort":
        return view.getUint16(field.offset, little);
      case "int":
        return view.getInt32(field.offset, little);
      case "uint":
      case "uint32_t":
        return view.getUint32(field.offset, little);
      case "float":
        return view.getFloat32(field.offset, little);
      case "double":
        return view.getFloat64(field.offset, little);
      case "int64_t":
        return Number(view.getBigInt64(field.offset, little));
      case "uint64_t":
        return Number(view.getBigUint64(field.offset, little));
      default:
        // Numbers of other types are enums, which have the size of one of these.
        return undefined;
    }
  }

  #characters(path: string): DnaField | undefined {
    const field = this.#field(path);
    return field && field.pointer === 0 && field.type === "char" ? field : undefined;
  }

  /** The text of a field of characters. */
  text(path: string): string | undefined {
    const field = this.#characters(path);
    return field && textOf(this.#bytes.subarray(field.offset, field.offset + field.size));
  }

  /** Where the text of a field of characters is stored. */
  place(path: string): PathField | undefined {
    const field = this.#characters(path);
    return field && { offset: this.offset + field.offset, capacity: field.size };
  }

  /** The address that a pointer has; undefined for a null pointer. The first one of an array. */
  pointer(path: string): number | undefined {
    const field = this.#field(path);
    if (!field || field.pointer === 0 || field.size === 0) return undefined;
    return this.addressAt(field.offset) || undefined;
  }

  /** The address at this offset from the beginning of the struct; 0 for a null pointer. */
  addressAt(offset: number): number {
    return readAddress(this.#dataView(), offset, this.#rules.pointerSize, this.#rules.littleEndian);
  }

  /** The structs inside a field: one, or those of an array. */
  inside(path: string): StructView[] {
    const field = this.#field(path);
    const struct = field && field.pointer === 0 ? this.#rules.dna.structs[field.struct] : undefined;
    if (!field || !struct || struct.size === 0) return [];
    return Array.from({ length: Math.floor(field.size / struct.size) }, (_, index) => {
      const start = field.offset + index * struct.size;
      return new StructView(this.#rules, struct, this.#bytes.subarray(start, start + struct.size), this.offset + start);
    });
  }

  #dataView(): DataView {
    return (this.#view ??= new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength));
  }
}

/** `first` of a ListBase. */
export function listFirst(view: StructView, name: string): number | undefined {
  return view.pointer(`${name}.first`);
}
