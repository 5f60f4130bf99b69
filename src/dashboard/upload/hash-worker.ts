/**
 * A web worker that hashes files, in one pass over a stream: a small one as a whole, a large one
 * piece by piece.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { PART_BYTES } from "../../protocol/constants.ts";
import { isCut, piecesOfParts, pieceListText } from "../../protocol/piece-list.ts";
import type { HashAnswer, HashRequest } from "./hasher.ts";

/** Bytes between two reports of progress. More reports would slow the page down. */
const TELL_EVERY = 8 * 1024 * 1024;

/** `postMessage` of a web worker. The types are those of a window, which would require a target. */
const answer = (message: HashAnswer): void => (postMessage as (message: HashAnswer) => void)(message);

async function hash({ id, file }: HashRequest): Promise<void> {
  const inPieces = isCut(file.size);
  const hashes: string[] = [];
  let piece = sha256.create();
  let inPiece = 0;
  let done = 0;
  let told = 0;
  const end = (): void => {
    hashes.push(bytesToHex(piece.digest()));
    piece = sha256.create();
    inPiece = 0;
  };
  const reader = file.stream().getReader();
  for (;;) {
    const { done: ended, value } = await reader.read();
    if (ended) break;
    for (let at = 0; at < value.length;) {
      const take = Math.min(value.length - at, PART_BYTES - inPiece);
      piece.update(value.subarray(at, at + take));
      at += take;
      inPiece += take;
      if (inPieces && inPiece === PART_BYTES) end();
    }
    done += value.length;
    if (done - told >= TELL_EVERY) {
      told = done;
      answer({ id, type: "progress", done });
    }
  }
  if (inPiece > 0 || hashes.length === 0) end();
  if (!inPieces) return answer({ id, type: "done", sha256: hashes[0]!, size: done });
  const pieces = piecesOfParts(done, hashes);
  const list = bytesToHex(sha256(utf8ToBytes(pieceListText(pieces))));
  answer({ id, type: "done", sha256: list, size: done, pieces });
}

addEventListener("message", (event: MessageEvent<HashRequest>) => {
  hash(event.data).catch((thrown: unknown) => {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    answer({ id: event.data.id, type: "failed", reason });
  });
});
