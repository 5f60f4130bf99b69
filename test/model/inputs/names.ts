/**
 * The inputs of the model. Their hashes are their names, written as 64 hexadecimal digits, so that the
 * product's code takes them and a trace can be read; nothing here hashes bytes. They sort as the names do.
 */
import { pieceListText, type Piece } from "../../../src/protocol/piece-list.ts";

/** The piece lists, and the pieces of each. `twice` has one piece two times, which makes for fewer worlds. */
const LISTS: Record<string, string[]> = { twice: ["zero", "zero"], pair: ["one", "two"] };

export function hashOf(name: string): string {
  return Buffer.from(name).toString("hex").padEnd(64, "0");
}

/** The text with names in place of hashes. */
export function readable(text: string): string {
  return text.replaceAll(/[0-9a-f]{64}/g, (hash) => Buffer.from(hash.replace(/(00)+$/, ""), "hex").toString());
}

/** The pieces of a list; null when the input is none. */
export function piecesOf(name: string): Piece[] | null {
  return LISTS[name]?.map((piece) => ({ size: 1, sha256: hashOf(piece) })) ?? null;
}

/** The names of the pieces of a list, each once. */
export function pieceNamesOf(name: string): string[] {
  return [...new Set(LISTS[name])];
}

/** The bytes of an input. */
export function bodyOf(name: string): string {
  const pieces = piecesOf(name);
  return pieces ? pieceListText(pieces) : "1";
}
