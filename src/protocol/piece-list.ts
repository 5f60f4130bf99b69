/**
 * Piece lists: what stands for a file above 32 MiB (decision 020). A piece list is a text that names
 * the pieces of a file in order: a head line, and a line `<size> <sha256>` for each piece. Its name
 * is the SHA-256 of its bytes. Nobody can find another list with that name, nor other bytes for the
 * hash of a piece, so the name stands for exactly one content, and no one has to hash the whole file
 * to know that.
 *
 * There is exactly one text for a list of pieces: with a second one, equal files would have several
 * names. The format itself allows any cut between pieces. Files are cut every PART_BYTES for now; a
 * later version may cut by content, and older readers will read its lists.
 *
 * Pure. Without zod, because the page imports this file, and zod would make the page's first script
 * several times as large.
 */
import { err, ok, type Result } from "../lib/result.ts";
import { MAX_FILE_BYTES, PART_BYTES } from "./constants.ts";

/** A piece of a file: its bytes and their SHA-256. */
export interface Piece {
  size: number;
  sha256: string;
}

/**
 * The first line of each list, with the version of the format. It is part of every name, so with
 * another one no stored file would be found.
 */
const HEAD = "tablao-pieces 1\n";
/** The fewest pieces of a list. A list of one would only be a second name of its piece. */
const MIN_PIECES = 2;
/**
 * The most pieces of a list. The limit is our own: the list is read whole in a Worker, which has 10
 * ms of CPU on the free plan (https://developers.cloudflare.com/workers/platform/limits/#cpu-time).
 */
export const MAX_PIECES = 1_000;
/** The most bytes of a list: its head, and for each piece a size of 8 digits and a hash. */
export const MAX_PIECE_LIST_BYTES = HEAD.length + MAX_PIECES * (8 + 1 + 64 + 1);

/**
 * Header of the `assemble` of an output: the name of the piece list of its parts. The manager then
 * compares it with what R2 has checked of each part, and does not read the file. Under another name
 * the manager would not find it, and would hash every large file as it does for agents of 0.1.
 */
export const PIECES_HEADER = "Tablao-Pieces";

/**
 * Header of a worker's `GET /assets/{sha256}` of a piece: the name of the piece list that the input
 * of its task is. Without it the manager would have to read all piece lists of the task to know
 * whether the worker may read the piece.
 */
export const PIECE_LIST_HEADER = "Tablao-Piece-List";

/**
 * The first version of manager and agent that know piece lists. A command line cuts files only for
 * such a manager, and a task with such an input names the version in its needs: with a lower one,
 * dispatch would offer the task to agents that refuse its plan.
 */
export const PIECES_SINCE = "0.2.0";

/** The text of a list. The pieces are right: else `readPieceList` refuses the text. */
export function pieceListText(pieces: readonly Piece[]): string {
  return HEAD + pieces.map(({ size, sha256 }) => `${size} ${sha256}\n`).join("");
}

/** Read a list. The error is a sentence with the rule that the text breaks. */
export function readPieceList(text: string): Result<Piece[], string> {
  if (text.length > MAX_PIECE_LIST_BYTES) return err(`A piece list has at most ${MAX_PIECE_LIST_BYTES} bytes.`);
  if (!text.startsWith(HEAD)) return err(`A piece list begins with the line '${HEAD.trimEnd()}'.`);
  if (!text.endsWith("\n")) return err("A piece list ends with the end of a line.");
  const lines = text.slice(HEAD.length).split("\n").slice(0, -1);
  if (lines.length < MIN_PIECES || lines.length > MAX_PIECES)
    return err(`A piece list has ${MIN_PIECES} to ${MAX_PIECES} pieces, and this one has ${lines.length}.`);
  const pieces: Piece[] = [];
  for (const [index, line] of lines.entries()) {
    const [, digits, sha256] = /^([1-9]\d{0,7}) ([0-9a-f]{64})$/.exec(line) ?? [];
    if (digits === undefined || sha256 === undefined)
      return err(`Line ${index + 2} of the piece list is not a number of bytes, a space and a SHA-256.`);
    const size = Number(digits);
    if (size > PART_BYTES)
      return err(`Line ${index + 2} of the piece list has more than the ${PART_BYTES} bytes of a piece.`);
    pieces.push({ size, sha256 });
  }
  return bytesOfPieces(pieces) > MAX_FILE_BYTES ? err(`A file has at most ${MAX_FILE_BYTES} bytes.`) : ok(pieces);
}

/** Bytes of the whole file. */
export function bytesOfPieces(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { size }) => sum + size, 0);
}

/**
 * The pieces of a file of `size` bytes that is cut every PART_BYTES, from the SHA-256 of each part.
 */
export function piecesOfParts(size: number, hashes: readonly string[]): Piece[] {
  return hashes.map((sha256, index) => ({ sha256, size: Math.min(PART_BYTES, size - index * PART_BYTES) }));
}

/**
 * What an entity tag says of a file: the hash that the manager has checked. `pieces` is that of the
 * list of its parts, `sha256` then only the word of a worker; with it in the tag, two files of one
 * wrong hash would have one tag.
 */
export function contentTag({ sha256, pieces }: { sha256: string; pieces?: string | undefined }): string {
  return pieces === undefined ? sha256 : `pieces-${pieces}`;
}

/** Whether a file of this size is stored as pieces. */
export function isCut(size: number): boolean {
  return size > PART_BYTES;
}

/** Why a file of this size cannot be stored at all; null when it can. */
export function whyTooLarge(size: number): string | null {
  return size > MAX_FILE_BYTES ? `has ${size} bytes, and a file may have at most ${MAX_FILE_BYTES}` : null;
}
