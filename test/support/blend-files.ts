/** Files of Blender for tests: as a source of bytes, and made by hand with any layout. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { zstdCompressSync } from "node:zlib";
import type { ByteSource } from "../../src/blend/types.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../src/blend/fixtures");

/** Versions of Blender that the fixtures were made with; `src/blend/fixtures/make.py` makes them. */
export const FIXTURE_VERSIONS = ["3.4", "4.5", "5.0"];

/** The scene that has one thing of each kind which names a file. */
export function fixture(version: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(path.join(FIXTURES, `scene-${version}.blend`)));
}

/** Bytes in memory as a source; `reads` notes what was read. */
export function sourceOf(bytes: Uint8Array, reads: { offset: number; length: number }[] = []): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => {
      reads.push({ offset, length });
      return bytes.slice(offset, offset + length);
    },
  };
}

/** The table behind zstd frames by which one of them is found (zstd's seekable format). */
export function seekTable(frames: Uint8Array[], sizes: number[]): Uint8Array {
  const table = new DataView(new ArrayBuffer(8 + frames.length * 8 + 9));
  table.setUint32(0, 0x184d2a5e, true);
  table.setUint32(4, frames.length * 8 + 9, true);
  for (const [at, frame] of frames.entries()) {
    table.setUint32(8 + at * 8, frame.length, true);
    table.setUint32(12 + at * 8, sizes[at]!, true);
  }
  table.setUint32(8 + frames.length * 8, frames.length, true);
  table.setUint32(table.byteLength - 4, 0x8f92eab1, true);
  return new Uint8Array(table.buffer);
}

/** The bytes as Blender stores them: a zstd frame for each so many of them, and the table of the frames. */
export function inFrames(bytes: Uint8Array, frameBytes: number): Uint8Array<ArrayBuffer> {
  const parts = Array.from({ length: Math.ceil(bytes.length / frameBytes) }, (_, at) =>
    bytes.subarray(at * frameBytes, (at + 1) * frameBytes),
  );
  const frames = parts.map((part) => zstdCompressSync(part, { pledgedSrcSize: part.length }));
  const sizes = parts.map(({ length }) => length);
  return new Uint8Array(Buffer.concat([...frames, seekTable(frames, sizes)]));
}

/** Numbers that do not repeat soon, in 4 bytes each: they compress as little as the vertices of a mesh do. */
export function meshBytes(length: number): Uint8Array<ArrayBuffer> {
  const numbers = Float32Array.from({ length: Math.min(length, 1024 * 1024) / 4 }, (_, at) => Math.sin(at * at));
  const once = new Uint8Array(numbers.buffer);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += once.length) bytes.set(once.subarray(0, length - at), at);
  return bytes;
}

/** The small scene, with blocks of meshes of these lengths between its settings and its pictures. */
export function meshScene(layout: Layout & { version: string }, lengths: readonly number[]): Uint8Array<ArrayBuffer> {
  const [first, ...rest] = smallSceneBlocks();
  const meshes = lengths.map((length, at) => ({
    code: "DATA",
    struct: "Link",
    address: 1000 + at,
    raw: meshBytes(length),
  }));
  return makeFile(layout, [first!, ...meshes, ...rest]);
}

/** How a file made by hand is stored. */
export interface Layout {
  pointerSize: 4 | 8;
  littleEndian: boolean;
  /** Headers of Blender 5. */
  large: boolean;
}

export const LAYOUTS: (Layout & { title: string; version: string })[] = [
  { title: "32 bits, big-endian (PowerPC)", pointerSize: 4, littleEndian: false, large: false, version: "2.49" },
  { title: "32 bits, little-endian", pointerSize: 4, littleEndian: true, large: false, version: "2.79" },
  { title: "64 bits, big-endian", pointerSize: 8, littleEndian: false, large: false, version: "2.79" },
  { title: "64 bits, little-endian", pointerSize: 8, littleEndian: true, large: false, version: "4.5" },
  { title: "64 bits with long headers (Blender 5)", pointerSize: 8, littleEndian: true, large: true, version: "5.0" },
];

/** Structs by name; fields as in C, without semicolons: `char name[66]`, `ID *next`. */
type Structs = Record<string, string[]>;

export interface MadeBlock {
  code: string;
  struct: string;
  address: number;
  /** Fields that are not zero; numbers, texts and addresses by their name. */
  values?: Record<string, number | string>;
  /** Instead of values: the content. */
  raw?: Uint8Array;
}

/** The few structs that a scene with a picture takes. */
export const STRUCTS: Structs = {
  Link: ["Link *next", "Link *prev"],
  ListBase: ["void *first", "void *last"],
  ID: ["void *next", "void *prev", "Library *lib", "char name[66]", "short flag", "int tag"],
  Library: ["ID id", "char name[1024]"],
  Scene: ["ID id", "Object *camera", "RenderData r"],
  RenderData: [
    "int sfra",
    "int efra",
    "int frame_step",
    "short frs_sec",
    "short size",
    "int xsch",
    "int ysch",
    "char engine[32]",
    "char pic[1024]",
  ],
  Object: ["ID id", "void *data", "short type", "short restrictflag", "int pad"],
  Image: ["ID id", "char name[1024]", "short source", "short pad", "int pad2"],
  FileGlobal: ["Scene *curscene"],
};

const SIZES: Record<string, number> = { char: 1, short: 2, int: 4, float: 4, double: 8, void: 0 };

/** Writes a .blend file with these blocks. */
export function makeFile(
  layout: Layout & { version: string },
  blocks: MadeBlock[],
  structs: Structs = STRUCTS,
): Uint8Array<ArrayBuffer> {
  const out = new Writer(layout);
  const [major = "0", minor = "0"] = layout.version.split(".");
  if (layout.large) out.text(`BLENDER17-01v${major.padStart(2, "0")}${minor.padStart(2, "0")}`);
  else {
    out.text(`BLENDER${layout.pointerSize === 4 ? "_" : "-"}${layout.littleEndian ? "v" : "V"}`);
    out.text(`${major}${minor.padStart(2, "0")}`);
  }
  const names = Object.keys(structs);
  for (const { code, struct, address, values = {}, raw } of blocks) {
    out.block(code, names.indexOf(struct), address, raw ?? contentOf(layout, structs, struct, values));
  }
  out.block("DNA1", 0, 1, dnaOf(layout, structs));
  out.block("ENDB", 0, 0, new Uint8Array(0));
  return out.bytes();
}

/** The parts of `char name[66]` and `ID *next`. */
function partsOf(field: string): { type: string; pointer: boolean; name: string; count: number } {
  const match = /^(\w+) (\*?)(\w+)(?:\[(\d+)\])?$/.exec(field);
  if (!match) throw new Error(`"${field}" is no field`);
  return { type: match[1]!, pointer: match[2] === "*", name: match[3]!, count: Number(match[4] ?? 1) };
}

function sizeOf(layout: Layout, structs: Structs, field: string): number {
  const { type, pointer, count } = partsOf(field);
  return (pointer ? layout.pointerSize : (SIZES[type] ?? structSize(layout, structs, type))) * count;
}

function structSize(layout: Layout, structs: Structs, name: string): number {
  return structs[name]!.reduce((size, field) => size + sizeOf(layout, structs, field), 0);
}

function contentOf(
  layout: Layout,
  structs: Structs,
  struct: string,
  values: Record<string, number | string>,
): Uint8Array {
  const out = new Writer(layout);
  const write = (name: string, prefix: string): void => {
    for (const field of structs[name]!) {
      const { type, pointer, name: fieldName } = partsOf(field);
      const size = sizeOf(layout, structs, field);
      const value = values[prefix + fieldName];
      if (!pointer && type in structs) write(type, `${prefix}${fieldName}.`);
      else if (typeof value === "string") out.padded(value, size);
      else out.number(value ?? 0, size);
    }
  };
  write(struct, "");
  return out.bytes();
}

function dnaOf(layout: Layout, structs: Structs): Uint8Array {
  const fields = Object.values(structs).flat().map(partsOf);
  const declared = fields.map(
    ({ pointer, name, count }) => `${pointer ? "*" : ""}${name}${count > 1 ? `[${count}]` : ""}`,
  );
  const names = [...new Set(declared)];
  const types = [...new Set([...Object.keys(SIZES), ...Object.keys(structs), ...fields.map(({ type }) => type)])];
  const out = new Writer(layout);
  out.text("SDNANAME");
  out.strings(names);
  out.text("TYPE");
  out.strings(types);
  out.text("TLEN");
  for (const type of types) out.number(SIZES[type] ?? (structs[type] ? structSize(layout, structs, type) : 0), 2);
  out.align();
  out.text("STRC");
  out.number(Object.keys(structs).length, 4);
  for (const [name, list] of Object.entries(structs)) {
    out.number(types.indexOf(name), 2);
    out.number(list.length, 2);
    for (const field of list.map(partsOf)) {
      out.number(types.indexOf(field.type), 2);
      out.number(
        names.indexOf(`${field.pointer ? "*" : ""}${field.name}${field.count > 1 ? `[${field.count}]` : ""}`),
        2,
      );
    }
  }
  return out.bytes();
}

class Writer {
  readonly #layout: Layout;
  /** Parts that are finished, and bytes of the one that is not. */
  readonly #parts: Uint8Array[] = [];
  #bytes: number[] = [];

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    this.#finish();
    return new Uint8Array(Buffer.concat(this.#parts));
  }

  #finish(): void {
    this.#parts.push(Uint8Array.from(this.#bytes));
    this.#bytes = [];
  }

  text(text: string): void {
    for (const char of text) this.#bytes.push(char.charCodeAt(0));
  }

  /** A text in a field of this length. */
  padded(text: string, size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(new TextEncoder().encode(text));
    this.#bytes.push(...bytes);
  }

  number(value: number, size: number): void {
    const bytes = Array.from({ length: size }, (_, at) => Math.floor(value / 2 ** (8 * at)) & 255);
    this.#bytes.push(...(this.#layout.littleEndian ? bytes : bytes.reverse()));
  }

  strings(list: string[]): void {
    this.number(list.length, 4);
    for (const text of list) this.text(`${text}\0`);
    this.align();
  }

  align(): void {
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
  }

  block(code: string, struct: number, address: number, content: Uint8Array): void {
    const { large, pointerSize } = this.#layout;
    this.text(code.padEnd(4, "\0"));
    if (large) {
      this.number(struct, 4);
      this.number(address, 8);
      this.number(content.length, 8);
      this.number(1, 8);
    } else {
      this.number(content.length, 4);
      this.number(address, pointerSize);
      this.number(struct, 4);
      this.number(1, 4);
    }
    this.#finish();
    this.#parts.push(content);
  }
}

/** A scene with a picture on an object, and one that nothing uses. */
export function smallScene(layout: Layout & { version: string }): Uint8Array<ArrayBuffer> {
  return makeFile(layout, smallSceneBlocks());
}

export function smallSceneBlocks(): MadeBlock[] {
  return [
    { code: "GLOB", struct: "FileGlobal", address: 8, values: { curscene: 16 } },
    {
      code: "SC",
      struct: "Scene",
      address: 16,
      values: {
        "id.name": "SCShot",
        camera: 24,
        "r.sfra": 5,
        "r.efra": 8,
        "r.frame_step": 1,
        "r.frs_sec": 25,
        "r.size": 100,
        "r.xsch": 320,
        "r.ysch": 240,
        "r.engine": "CYCLES",
        "r.pic": "//out/",
      },
    },
    { code: "OB", struct: "Object", address: 24, values: { "id.name": "OBCam", type: 11, data: 32 } },
    { code: "IM", struct: "Image", address: 32, values: { "id.name": "IMused", name: "//used.png", source: 1 } },
    { code: "IM", struct: "Image", address: 40, values: { "id.name": "IMspare", name: "//spare.png", source: 1 } },
  ];
}
