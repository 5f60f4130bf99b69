/** The decoder that compares pictures. */
import { deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { encodePng } from "../../src/demo-renderer/png.ts";
import { decodePng, largestDifference, type Picture } from "./png.ts";

const RGB = Uint8Array.from([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);

/** A PNG of these filtered rows. The decoder reads no checksums. */
function png(width: number, height: number, depth: number, colourType: number, rows: Uint8Array): Buffer {
  const chunk = (type: string, body: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return Buffer.concat([length, Buffer.from(type, "latin1"), body, Buffer.alloc(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = depth;
  header[9] = colourType;
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  const body = chunk("IDAT", deflateSync(rows));
  return Buffer.concat([signature, chunk("IHDR", header), body, chunk("IEND", Buffer.alloc(0))]);
}

test("what the encoder wrote is decoded", () => {
  const picture = decodePng(encodePng(2, 2, RGB));
  expect(picture).toMatchObject({ width: 2, height: 2, channels: 3, max: 255 });
  expect([...picture.samples]).toEqual([...RGB]);
});

test("all five filters are undone", () => {
  // One grey sample a column; the filters of the rows are 0 to 4 (PNG specification, 9.2).
  // oxfmt-ignore
  const rows = Uint8Array.from([
    0, 10, 20, 40,
    1, 5, 5, 5,
    2, 1, 1, 1,
    3, 1, 1, 1,
    4, 1, 1, 1,
  ]);
  // oxfmt-ignore
  expect([...decodePng(png(3, 5, 8, 0, rows)).samples]).toEqual([
    10, 20, 40,
    5, 10, 15,
    6, 11, 16,
    4, 8, 13,
    5, 9, 14,
  ]);
});

test("samples of 16 bits are read, the high byte first", () => {
  const rows = Uint8Array.from([0, 0x12, 0x34, 0xff, 0xff]);
  expect([...decodePng(png(2, 1, 16, 0, rows)).samples]).toEqual([0x1234, 0xffff]);
});

test("a PNG that is cut off, or has another size than it says, is refused", () => {
  const whole = encodePng(2, 2, RGB);
  expect(() => decodePng(whole.subarray(0, -12))).toThrow("cut off");
  expect(() => decodePng(png(2, 2, 8, 0, Uint8Array.from([0, 1, 2])))).toThrow("another number of pixels");
  expect(() => decodePng(Buffer.from("no picture"))).toThrow("not a PNG");
});

test("the largest difference is a part of the full range; other sizes are no difference of pixels", () => {
  const one: Picture = { width: 2, height: 1, channels: 1, max: 255, samples: Uint8Array.from([0, 255]) };
  expect(largestDifference(one, one)).toBe(0);
  expect(largestDifference(one, { ...one, samples: Uint8Array.from([51, 255]) })).toBeCloseTo(0.2, 9);
  expect(largestDifference(one, { ...one, width: 1, height: 2 })).toContain("instead of");
});
