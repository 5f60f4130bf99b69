/**
 * The layout of an archive: every byte of it has a known place before the first one is sent. So its
 * length can be announced, and any range of it can be sent by itself. Pure.
 */
import type { ByteRange } from "../content.ts";

/** A file of an archive, and all that its headers say about it. */
export interface ArchiveEntry {
  /** Its path, with forward slashes. */
  path: string;
  /** In bytes. */
  size: number;
  /** When it was made, in epoch milliseconds. */
  modifiedMs: number;
}

/**
 * A run of bytes: of the archive's own (`bytes` makes them), or those of the file with the index
 * `entry`.
 */
export type Segment = { size: number; bytes: () => Uint8Array } | { size: number; entry: number };

/** An archive as the sequence of its segments; `size` is their sum. */
export interface Layout {
  size: number;
  segments: readonly Segment[];
}

/** The layout with these segments. */
export function layoutOf(segments: readonly Segment[]): Layout {
  return { size: segments.reduce((sum, { size }) => sum + size, 0), segments };
}

/** A part of a range: bytes, or a range of a file (null: all of it). */
export type Piece = { bytes: () => Uint8Array } | { entry: number; range: ByteRange | null };

/** What a range of an archive consists of, in order. */
export function piecesOf({ segments }: Layout, { offset, length }: ByteRange): Piece[] {
  const pieces: Piece[] = [];
  const end = offset + length;
  let at = 0;
  for (const segment of segments) {
    if (at >= end) break;
    const from = Math.max(0, offset - at);
    const to = Math.min(segment.size, end - at);
    if (from < to) pieces.push(pieceOf(segment, from, to));
    at += segment.size;
  }
  return pieces;
}

function pieceOf(segment: Segment, from: number, to: number): Piece {
  const whole = to - from === segment.size;
  if ("entry" in segment) return { entry: segment.entry, range: whole ? null : { offset: from, length: to - from } };
  return whole ? segment : { bytes: () => segment.bytes().subarray(from, to) };
}
