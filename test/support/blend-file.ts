/**
 * Small .blend files that are put together of structs, without Blender: for tests of what reads them. The format:
 * a header, blocks of a code, a length, an old pointer, a struct and a count, and the block DNA1 with all structs.
 */

/** Fields of a struct in order: `["float", "fps"]`, `["char", "name[1024]"]`, `["Scene", "*curscene"]`. */
export type StructSpec = Record<string, [type: string, name: string][]>;

/** A block of one struct. `pointer` is its old address, by which other blocks name it. */
export interface BlockSpec {
  code: string;
  pointer: number;
  struct: string;
  /** Values by the name of the field without `*` and length; what is not named is zero. */
  values: Record<string, number | string>;
}

const SIZES: Record<string, number> = { char: 1, short: 2, int: 4, float: 4, double: 8, int64_t: 8, void: 0 };

class Writer {
  readonly #parts: Buffer[] = [];

  bytes(...parts: (Buffer | string)[]): this {
    for (const part of parts) this.#parts.push(typeof part === "string" ? Buffer.from(part, "latin1") : part);
    return this;
  }

  int(value: number): this {
    const part = Buffer.alloc(4);
    part.writeInt32LE(value);
    return this.bytes(part);
  }

  short(value: number): this {
    const part = Buffer.alloc(2);
    part.writeUInt16LE(value);
    return this.bytes(part);
  }

  pad(): this {
    const { length } = this.done();
    return this.bytes(Buffer.alloc((4 - (length % 4)) % 4));
  }

  done(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

const lengthOf = (name: string): number =>
  [...name.matchAll(/\[(\d+)\]/g)].reduce((product, [, count]) => product * Number(count), 1);
const plainName = (name: string): string => name.replace(/^\*+/, "").replace(/\[.*$/, "");

/** The bytes of a .blend of Blender `version` (`405` for 4.5), with pointers of 8 bytes, little-endian. */
export function blendFile(structs: StructSpec, blocks: readonly BlockSpec[], version = "405"): Buffer {
  const sizeOfStruct = (name: string): number =>
    structs[name]!.reduce((sum, [type, field]) => sum + sizeOfField(type, field), 0);
  const sizeOfField = (type: string, name: string): number =>
    (name.startsWith("*") ? 8 : (SIZES[type] ?? sizeOfStruct(type))) * lengthOf(name);
  const structNames = Object.keys(structs);

  function content({ struct, values }: BlockSpec): Buffer {
    const bytes = Buffer.alloc(sizeOfStruct(struct));
    const fill = (name: string, at: number, prefix: string): void => {
      for (const [type, field] of structs[name]!) {
        const value = values[prefix + plainName(field)];
        if (structs[type] && !field.startsWith("*")) fill(type, at, `${prefix}${plainName(field)}.`);
        else if (typeof value === "string") bytes.write(value, at, "utf8");
        else if (value !== undefined) {
          if (field.startsWith("*") || type === "int64_t") bytes.writeBigInt64LE(BigInt(value), at);
          else if (type === "int") bytes.writeInt32LE(value, at);
          else if (type === "short") bytes.writeInt16LE(value, at);
          else if (type === "char") bytes.writeInt8(value, at);
          else bytes.writeFloatLE(value, at);
        }
        at += sizeOfField(type, field);
      }
    };
    fill(struct, 0, "");
    return bytes;
  }

  function block(code: string, data: Buffer, pointer: number, struct: number): Buffer {
    const header = Buffer.alloc(24);
    header.write(code, 0, "latin1");
    header.writeInt32LE(data.length, 4);
    header.writeBigUInt64LE(BigInt(pointer), 8);
    header.writeInt32LE(struct, 16);
    header.writeInt32LE(1, 20);
    return Buffer.concat([header, data]);
  }

  const names = [...new Set(structNames.flatMap((one) => structs[one]!.map(([, field]) => field)))];
  const types = [...new Set([...Object.keys(SIZES), ...structNames])];
  const dna = new Writer().bytes("SDNANAME").int(names.length);
  for (const name of names) dna.bytes(name, "\0");
  dna.pad().bytes("TYPE").int(types.length);
  for (const type of types) dna.bytes(type, "\0");
  dna.pad().bytes("TLEN");
  for (const type of types) dna.short(SIZES[type] ?? sizeOfStruct(type));
  dna.pad().bytes("STRC").int(structNames.length);
  for (const name of structNames) {
    dna.short(types.indexOf(name)).short(structs[name]!.length);
    for (const [type, field] of structs[name]!) dna.short(types.indexOf(type)).short(names.indexOf(field));
  }
  return Buffer.concat([
    Buffer.from(`BLENDER-v${version}`, "latin1"),
    ...blocks.map((one) => block(one.code, content(one), one.pointer, structNames.indexOf(one.struct))),
    block("DNA1", dna.done(), 1, 0),
    block("ENDB", Buffer.alloc(0), 0, 0),
  ]);
}

const SCENE_STRUCTS: StructSpec = {
  ID: [
    ["void", "*next"],
    ["void", "*prev"],
    ["Library", "*lib"],
    ["char", "name[66]"],
    ["char", "_pad[6]"],
  ],
  Library: [
    ["ID", "id"],
    ["char", "filepath[1024]"],
  ],
  ImageFormatData: [
    ["char", "imtype"],
    ["char", "_pad[7]"],
  ],
  RenderData: [
    ["ImageFormatData", "im_format"],
    ["int", "sfra"],
    ["int", "efra"],
    ["int", "frame_step"],
    ["int", "xsch"],
    ["int", "ysch"],
    ["float", "frs_sec_base"],
    ["short", "frs_sec"],
    ["short", "size"],
    ["char", "engine[32]"],
    ["char", "_pad[4]"],
  ],
  Object: [
    ["ID", "id"],
    ["short", "type"],
    ["char", "_pad[6]"],
  ],
  Image: [
    ["ID", "id"],
    ["char", "name[1024]"],
    ["short", "source"],
    ["short", "type"],
    ["char", "_pad[4]"],
  ],
  World: [
    ["ID", "id"],
    ["Image", "*first"],
    ["Image", "*second"],
    ["Image", "*third"],
  ],
  Scene: [
    ["ID", "id"],
    ["Object", "*camera"],
    ["World", "*world"],
    ["RenderData", "r"],
  ],
  FileGlobal: [["Scene", "*curscene"]],
};

export interface TestScene {
  start?: number;
  end?: number;
  /** Paths of images that the render uses, at most three. */
  images?: string[];
  version?: string;
}

/** A scene with a camera: 64×36 pixels, PNG, Cycles, 24 frames a second. Blender opens no such file; readers do. */
export function testScene({ start = 1, end = 10, images = [], version = "405" }: TestScene = {}): Buffer {
  const imageAddress = (index: number): number => 500 + index * 10;
  const [first = 0, second = 0, third = 0] = images.map((_, index) => imageAddress(index));
  const render = { sfra: start, efra: end, frame_step: 1, xsch: 64, ysch: 36, size: 100, frs_sec: 24, frs_sec_base: 1 };
  const values = Object.entries({ ...render, engine: "CYCLES" }).map(([name, value]) => [`r.${name}`, value]);
  const blocks: BlockSpec[] = [
    { code: "GLOB", pointer: 100, struct: "FileGlobal", values: { curscene: 200 } },
    {
      code: "SC\0\0",
      pointer: 200,
      struct: "Scene",
      // 17 is PNG (R_IMF_IMTYPE_PNG).
      values: {
        ...Object.fromEntries(values),
        "r.im_format.imtype": 17,
        "id.name": "SCScene",
        camera: 300,
        world: 400,
      },
    },
    { code: "OB\0\0", pointer: 300, struct: "Object", values: { "id.name": "OBCamera", type: 11 } },
    { code: "WO\0\0", pointer: 400, struct: "World", values: { "id.name": "WOWorld", first, second, third } },
    ...images.map((path, index): BlockSpec => {
      const name = `IM${path.split("/").at(-1)!.slice(0, 60)}`;
      // IMA_SRC_FILE is 1.
      const values = { "id.name": name, name: path, source: 1 };
      return { code: "IM\0\0", pointer: imageAddress(index), struct: "Image", values };
    }),
  ];
  return blendFile(SCENE_STRUCTS, blocks, version);
}
