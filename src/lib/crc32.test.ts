import zlib from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32, crc32Text } from "./crc32.ts";

test("is the CRC-32 of the standard's check value, and of nothing", () => {
  expect(crc32Text(crc32(new TextEncoder().encode("123456789")))).toBe("cbf43926");
  expect(crc32Text(crc32(new Uint8Array(0)))).toBe("00000000");
});

test("is what Node computes, in one piece or in two", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
      const expected = zlib.crc32(bytes);
      expect(crc32(bytes)).toBe(expected);
      expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(expected);
    }),
  );
});
