import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  batchesOf,
  batchList,
  MAX_BATCH_BYTES,
  MAX_BATCH_FILES,
  MAX_BATCHED_FILE_BYTES,
  readBatchList,
  type BatchFile,
} from "./asset-batch.ts";

const digits = fc.string({
  unit: fc.nat({ max: 15 }).map((digit) => digit.toString(16)),
  minLength: 64,
  maxLength: 64,
});
const files = (size: fc.Arbitrary<number>, maxLength: number): fc.Arbitrary<BatchFile[]> =>
  fc.uniqueArray(fc.record({ sha256: digits, size }), { maxLength, selector: ({ sha256 }) => sha256 });
const [one, two] = ["1".repeat(64), "2".repeat(64)];

function fieldsOf(text: string | null): string[] {
  const read = readBatchList(text);
  return read.ok ? [] : read.error.map(({ field }) => field);
}

describe("the list of a batch", () => {
  it("is parsed as it was written, also with blanks after its commas", () => {
    fc.assert(
      fc.property(files(fc.nat({ max: MAX_BATCH_BYTES }), MAX_BATCH_FILES), (list) => {
        fc.pre(list.length > 0);
        expect(readBatchList(batchList(list))).toEqual({ ok: true, value: list });
        expect(readBatchList(batchList(list).replaceAll(",", ", "))).toEqual({ ok: true, value: list });
      }),
    );
  });

  it("P10: names invalid hashes, invalid sizes and duplicates, by position, all at once", () => {
    const texts = [`${one}:1`, "x", two, `${two}:-1`, `${one.slice(1)}:1`, `${one}:2`, "", `${two}:1e3`, `${two}:3`];
    expect(fieldsOf(texts.join(","))).toEqual([1, 2, 3, 4, 5, 6, 7].map((index) => `Tablao-Assets.${index}`));
    expect(fieldsOf(`${"A".repeat(64)}:1`)).toEqual(["Tablao-Assets.0"]);
  });

  it("P10: is neither empty nor longer than a batch may be", () => {
    const list = (n: number): string =>
      batchList(Array.from({ length: n }, (_, i) => ({ sha256: i.toString(16).padStart(64, "0"), size: 1 })));
    for (const text of [null, "", "  ", list(MAX_BATCH_FILES + 1)]) expect(fieldsOf(text)).toEqual(["Tablao-Assets"]);
    expect(fieldsOf(list(MAX_BATCH_FILES))).toEqual([]);
  });

  it("P10: any text is parsed to files that make a list again, or is refused with a field", () => {
    const parts = fc.oneof(digits, fc.constantFrom(",", ":", " ", "1", "0x1", "\u0000"), fc.string({ maxLength: 5 }));
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (pieces) => {
        const read = readBatchList(pieces.join(""));
        if (read.ok) expect(readBatchList(batchList(read.value))).toEqual(read);
        else for (const { field, message } of read.error) expect(`${field} ${message}`).toMatch(/^Tablao-Assets\S* \w/);
      }),
    );
  });
});

describe("batches", () => {
  it("hold every small file once, in order, within the bounds of the list's parser, and never one file alone", () => {
    const size = fc.oneof(fc.nat({ max: 20_000 }), fc.nat({ max: 2 * MAX_BATCHED_FILE_BYTES }), fc.constant(0));
    fc.assert(
      fc.property(files(size, 200), (all) => {
        const { batches, single } = batchesOf(all);
        const together = batches.flat();
        const small = all.filter((file) => file.size <= MAX_BATCHED_FILE_BYTES);
        const alone = single.filter((file) => file.size <= MAX_BATCHED_FILE_BYTES);
        expect([...together, ...alone]).toEqual(small);
        expect(alone.length).toBeLessThanOrEqual(1);
        expect(new Set([...together, ...single])).toEqual(new Set(all));
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(1);
          expect(readBatchList(batchList(batch)).ok).toBe(true);
          expect(batch.reduce((sum, file) => sum + file.size, 0)).toBeLessThanOrEqual(MAX_BATCH_BYTES);
        }
      }),
    );
  });

  it("of a thousand files of 10 kB are 42", () => {
    const all = Array.from({ length: 1_000 }, (_, i) => ({ sha256: String(i), size: 10_000 }));
    expect(batchesOf(all)).toMatchObject({ batches: { length: 42 }, single: [] });
  });
});
