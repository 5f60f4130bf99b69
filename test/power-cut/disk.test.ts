/** What a power cut may leave: nothing that was synced is lost, and what was not may be. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Rng } from "../chaos/rng.ts";
import { Disk, endsOf, operations, OPERATIONS, type Operation } from "./disk.ts";

const at = (name: string): string => `/root/${name}`;
const none = { inode: 0n, offset: 0, path: "", to: "", bytes: Buffer.alloc(0) };
const made = (name: string, inode: bigint): Operation => ({ ...none, what: "name", path: at(name), inode });
const write = (inode: bigint, text: string, offset = 0): Operation => ({
  ...none,
  what: "write",
  inode,
  offset,
  bytes: Buffer.from(text),
});
const sync = (inode: bigint): Operation => ({ ...none, what: "sync", inode });
const rename = (from: string, to: string): Operation => ({ ...none, what: "rename", path: at(from), to: at(to) });

function diskOf(...all: Operation[]): Disk {
  const disk = new Disk();
  for (const operation of all) disk.apply(operation);
  return disk;
}

/** Contents by name, of many cuts. */
function cuts(disk: Disk): Record<string, string>[] {
  return Array.from({ length: 50 }, (_, i) => {
    const { files } = disk.afterCut(new Rng(`cut ${i}`), "some");
    return Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.toString()]));
  });
}

describe("the disk after a power cut", () => {
  test("a file that was written, synced and renamed without a sync may have either name, and is whole", () => {
    const left = cuts(diskOf(made("t", 1n), write(1n, "bytes"), sync(1n), rename("t", "f")));
    expect(left).toContainEqual({ [at("t")]: "bytes" });
    expect(left).toContainEqual({ [at("f")]: "bytes" });
    expect(left.every((files) => Object.values(files).join() === "bytes")).toBe(true);
  });

  test("a file that was renamed without a sync may be empty under its new name, when another file is synced", () => {
    const left = cuts(diskOf(made("t", 1n), write(1n, "bytes"), rename("t", "f"), made("row", 2n), sync(2n)));
    expect(left.every((files) => at("f") in files)).toBe(true);
    expect(left.map((files) => files[at("f")])).toContain("");
    expect(left.map((files) => files[at("f")])).toContain("bytes");
  });

  test("of two pages that were not synced, either may be there alone", () => {
    const page = "x".repeat(4096);
    const left = cuts(diskOf(made("f", 1n), sync(1n), write(1n, page), write(1n, page, 4096)));
    const zeros = "\0".repeat(4096);
    for (const content of ["", page, page + page, zeros + page, page + zeros])
      expect(
        left.some((files) => files[at("f")] === content),
        `${content.length}`,
      ).toBe(true);
  });

  test("what is cut off and written again does not come back", () => {
    const disk = diskOf(made("f", 1n), write(1n, "abcdef"), { ...none, what: "size", inode: 1n, offset: 2 });
    disk.apply(write(1n, "z", 4));
    disk.apply(sync(1n));
    expect(cuts(disk).every((files) => files[at("f")] === "ab\0\0z")).toBe(true);
  });

  test("a number that is given again is another file", () => {
    const gone: Operation = { ...none, what: "unlink", path: at("a") };
    const disk = diskOf(made("a", 1n), write(1n, "old"), sync(1n), gone, made("b", 1n), write(1n, "new"), sync(1n));
    expect(cuts(disk).every((files) => files[at("b")] === "new" && !(at("a") in files))).toBe(true);
  });

  test("whatever is done: luck of every kind leaves what was synced last, when nothing came after it", () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant("write"), offset: fc.nat(9_000), text: fc.string({ maxLength: 5_000 }) }),
      fc.record({ what: fc.constant("size"), offset: fc.nat(9_000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), fc.constantFrom("none", "some", "all"), (steps, luck) => {
        const disk = diskOf(made("f", 1n));
        let content = Buffer.alloc(0);
        for (const one of steps) {
          const text = "text" in one ? Buffer.from(one.text, "latin1") : undefined;
          if (text?.length === 0) continue;
          const end = one.offset + (text?.length ?? 0);
          const next = Buffer.alloc(text ? Math.max(content.length, end) : end);
          content.copy(next);
          text?.copy(next, one.offset);
          content = next;
          disk.apply(
            text
              ? { ...none, what: "write", inode: 1n, offset: one.offset, bytes: text }
              : { ...none, what: "size", inode: 1n, offset: one.offset },
          );
        }
        disk.apply(sync(1n));
        const { files } = disk.afterCut(new Rng("x"), luck as "none");
        expect(files.get(at("f"))?.equals(content)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

test("a record is read back, and a last operation that is not whole is left out", () => {
  const bytes = Buffer.from("bytes");
  const header = Buffer.alloc(32);
  header.writeUInt32LE(32 + bytes.length, 0);
  header.writeUInt32LE(OPERATIONS.indexOf("write"), 4);
  header.writeBigUInt64LE(7n, 8);
  header.writeBigInt64LE(9n, 16);
  const record = Buffer.concat([header, bytes, header]);
  const ends = endsOf(record);
  expect(ends).toEqual([32 + bytes.length]);
  expect([...operations(record, 0, ends[0]!)]).toEqual([{ ...none, what: "write", inode: 7n, offset: 9, bytes }]);
});
