/** A small scene for tests of what reads .blend files: made without Blender, and no Blender opens it. */
import { LAYOUTS, makeFile, STRUCTS, type MadeBlock } from "./blend-files.ts";

const TEST_STRUCTS = {
  ...STRUCTS,
  ImageFormatData: ["char imtype", "char pad[7]"],
  RenderData: [...STRUCTS["RenderData"]!, "ImageFormatData im_format"],
  World: ["ID id", "Image *first", "Image *second", "Image *third"],
  Scene: ["ID id", "Object *camera", "World *world", "RenderData r"],
};

export interface TestScene {
  start?: number;
  end?: number;
  /** Paths of images that the render uses, at most three. */
  images?: string[];
  version?: string;
}

/** A scene with a camera: 64×36 pixels, PNG, Cycles, 24 frames a second. */
export function testScene({ start = 1, end = 10, images = [], version = "4.5" }: TestScene = {}): Buffer {
  const addressOf = (index: number): number => 500 + index * 10;
  const [first = 0, second = 0, third = 0] = images.map((_, index) => addressOf(index));
  const render = {
    sfra: start,
    efra: end,
    frame_step: 1,
    xsch: 64,
    ysch: 36,
    size: 100,
    frs_sec: 24,
    engine: "CYCLES",
  };
  const values = Object.fromEntries(Object.entries(render).map(([name, value]) => [`r.${name}`, value]));
  const blocks: MadeBlock[] = [
    { code: "GLOB", address: 100, struct: "FileGlobal", values: { curscene: 200 } },
    {
      code: "SC",
      address: 200,
      struct: "Scene",
      // 17 is PNG (R_IMF_IMTYPE_PNG).
      values: { ...values, "r.im_format.imtype": 17, "id.name": "SCScene", camera: 300, world: 400 },
    },
    { code: "OB", address: 300, struct: "Object", values: { "id.name": "OBCamera", type: 11 } },
    { code: "WO", address: 400, struct: "World", values: { "id.name": "WOWorld", first, second, third } },
    ...images.map((path, index): MadeBlock => {
      const name = `IM${path.split("/").at(-1)!.slice(0, 60)}`;
      // 1 is IMA_SRC_FILE.
      return {
        code: "IM",
        address: addressOf(index),
        struct: "Image",
        values: { "id.name": name, name: path, source: 1 },
      };
    }),
  ];
  // Blender 5 has longer headers.
  const isLarge = Number(version.split(".")[0]) >= 5;
  const layout = LAYOUTS.find(
    ({ pointerSize, littleEndian, large }) => pointerSize === 8 && littleEndian && large === isLarge,
  )!;
  return Buffer.from(makeFile({ ...layout, version }, blocks, TEST_STRUCTS));
}
