import { expect, test } from "vitest";
import { archiveParts, downloadPaths, MAX_ARCHIVE_READS, readsOf } from "./archive.ts";
import { PART_BYTES } from "./constants.ts";
import { countFrames, framesOf, parseFrameList } from "./frame-list.ts";

/** Files of one size in these frames. */
function filesOf(frames: readonly number[], size = 1): { frame: number; name: string; size: number }[] {
  return frames.map((frame) => ({ frame, name: `f_${frame}.png`, size }));
}

const upTo = (last: number, step = 1): number[] => Array.from({ length: last / step }, (_, i) => (i + 1) * step);

test("a download that one request can read is one archive", () => {
  expect(archiveParts([])).toEqual([]);
  expect(archiveParts(filesOf(upTo(MAX_ARCHIVE_READS), 10))).toEqual([
    { frames: "1-900", first: 1, last: 900, files: 900, bytes: 9_000, fits: true },
  ]);
});

test("a larger download is divided by frames: none is left out, none comes twice", () => {
  expect(archiveParts(filesOf(upTo(2_000))).map(({ frames, files }) => [frames, files])).toEqual([
    ["1-900", 900],
    ["901-1800", 900],
    ["1801-2000", 200],
  ]);
  // Frames with gaps are named one by one, and the manager takes each list.
  const frames = [-5, -3, ...upTo(4_000, 2)];
  const parts = archiveParts(filesOf(frames));
  const lists = parts.map((part) => parseFrameList(part.frames));
  expect(lists.flatMap((list) => (list.ok ? [...framesOf(list.value)] : []))).toEqual(frames);
  expect(lists.map((list) => (list.ok ? countFrames(list.value) : 0))).toEqual(parts.map(({ files }) => files));
});

test("a file of more than 32 MiB counts as its manifest and its parts", () => {
  expect([0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES].map(readsOf)).toEqual([1, 1, 1, 3, 4]);
  expect(archiveParts(filesOf(upTo(301), PART_BYTES + 1)).map(({ frames }) => frames)).toEqual(["1-300", "301"]);
  // One file that no request can read in an archive stands alone, and says so.
  const huge = filesOf([7], MAX_ARCHIVE_READS * PART_BYTES);
  const parts = archiveParts([...filesOf([1, 2]), ...huge, ...filesOf([8])]);
  expect(parts.map(({ frames, fits }) => [frames, fits])).toEqual([
    ["1-2", true],
    ["7", false],
    ["8", true],
  ]);
});

test("files of one name are kept apart by their frames", () => {
  const name = "out.png";
  const files = [1, 2, 3].map((frame) => ({ frame, name, size: 1 }));
  expect(downloadPaths([...files, { frame: 4, name: "other.png", size: 1 }])).toEqual([
    "out.png",
    "2/out.png",
    "3/out.png",
    "other.png",
  ]);
});
