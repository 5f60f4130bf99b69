import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_FILE_BYTES, PART_BYTES } from "./constants.ts";
import {
  bytesOfPieces,
  isCut,
  MAX_PIECE_LIST_BYTES,
  MAX_PIECES,
  piecesOfParts,
  pieceListText,
  readPieceList,
  whyTooLarge,
  type Piece,
} from "./piece-list.ts";

const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
const piece = fc.record({ size: fc.integer({ min: 1, max: PART_BYTES }), sha256: hash });
const pieces = fc.array(piece, { minLength: 2, maxLength: 30 });

const A = "a".repeat(64);
const two = [
  { size: 3, sha256: A },
  { size: 4, sha256: "0".repeat(64) },
];
const many = (count: number, size = PART_BYTES): Piece[] => Array.from({ length: count }, () => ({ size, sha256: A }));

test("a piece list is a head line and a line for each piece", () => {
  expect(pieceListText(two)).toBe(`tablao-pieces 1\n3 ${A}\n4 ${"0".repeat(64)}\n`);
  expect(bytesOfPieces(two)).toBe(7);
});

test("a piece list that was made is read again, whatever its cuts are", () => {
  fc.assert(
    fc.property(pieces, (list) => {
      expect(readPieceList(pieceListText(list))).toEqual({ ok: true, value: list });
    }),
  );
});

test("P11: there is one text for a list: a text that is read is the one that would be made", () => {
  const mutated = fc.tuple(
    pieces,
    fc.nat(),
    fc.constantFrom("", "0", " ", "\n", "\r", "+", "A", "1e1", "\0", "é"),
    fc.nat(2),
  );
  fc.assert(
    fc.property(mutated, ([list, at, text, cut]) => {
      const whole = pieceListText(list);
      const where = at % (whole.length + 1);
      const other = whole.slice(0, where) + text + whole.slice(where + cut);
      const read = readPieceList(other);
      if (read.ok) expect(pieceListText(read.value)).toBe(other);
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ["nothing", ""],
  ["a head alone", "tablao-pieces 1\n"],
  ["one piece", pieceListText(two.slice(1))],
  ["another version", pieceListText(two).replace("1\n", "2\n")],
  ["no end of the last line", pieceListText(two).slice(0, -1)],
  ["an empty line", `${pieceListText(two)}\n`],
  ["ends of lines of Windows", pieceListText(two).replaceAll("\n", "\r\n")],
  ["a piece of no bytes", pieceListText([...two, { size: 0, sha256: A }])],
  ["a leading zero", pieceListText(two).replace("3 a", "03 a")],
  ["a sign", pieceListText(two).replace("3 a", "+3 a")],
  ["an exponent", pieceListText(two).replace("3 a", "3e2 a")],
  ["two spaces", pieceListText(two).replace("3 a", "3  a")],
  ["a hash in capitals", pieceListText(two).replace("3 a", "3 A")],
  ["a short hash", pieceListText(two).replace("3 a", "3 ")],
  ["something after a hash", pieceListText(two).replace("\n4", " x\n4")],
  ["a piece that is too large", pieceListText([...two, { size: PART_BYTES + 1, sha256: A }])],
  ["too many pieces", pieceListText(many(MAX_PIECES + 1, 1))],
  ["more text than a list has", `${pieceListText(two)}${" ".repeat(MAX_PIECE_LIST_BYTES)}`],
])("P10: a text with %s is no piece list, and the error says why", (_, text) => {
  const read = readPieceList(text);
  expect(read).toEqual({ ok: false, error: expect.stringMatching(/\.$/) });
});

test("the longest list has the most bytes of a file, and just fits", () => {
  const text = pieceListText(many(MAX_PIECES));
  expect(text).toHaveLength(MAX_PIECE_LIST_BYTES);
  const read = readPieceList(text);
  expect(read.ok && bytesOfPieces(read.value)).toBe(MAX_FILE_BYTES);
});

test("the pieces of a file that is cut in parts add up to it", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: MAX_FILE_BYTES }), (size) => {
      const hashes = Array.from({ length: Math.ceil(size / PART_BYTES) }, () => A);
      const list = piecesOfParts(size, hashes);
      expect(bytesOfPieces(list)).toBe(size);
      expect(list.slice(0, -1).every((one) => one.size === PART_BYTES)).toBe(true);
      expect(readPieceList(pieceListText(list)).ok).toBe(isCut(size));
    }),
  );
});

test("P10: a file that is too large is known by its size", () => {
  expect([whyTooLarge(MAX_FILE_BYTES), whyTooLarge(0)]).toEqual([null, null]);
  expect(whyTooLarge(MAX_FILE_BYTES + 1)).toContain(`at most ${MAX_FILE_BYTES}`);
});
