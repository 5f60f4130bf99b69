/**
 * Many small objects from one request body. Only a few pieces of the body are in memory at a time.
 */
import { mapConcurrent } from "../lib/concurrency.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import { storeOnce, type Upload } from "./store.ts";

/** A Worker may have six connections open; more puts would only wait. */
const PUTS_AT_ONCE = 6;
/**
 * Small objects are read together, up to this many bytes: one read for each would take a tenth of
 * the runtime's CPU time.
 */
const PIECE_BYTES = 512 * 1024;

/** The outcome for one object. */
export type Stored = Awaited<ReturnType<typeof storeOnce>>;

/**
 * Store objects whose bytes follow each other in `body`. Each is stored by the rules of
 * `storeOnce`, independently of the others; the outcomes are in the order of `uploads`. Refusal:
 * `invalid_request`, the body ended early. Then some of the objects that had arrived are stored,
 * each of them whole.
 */
export async function storeBatch(
  bucket: R2Bucket,
  body: ReadableStream<Uint8Array> | null,
  uploads: readonly Omit<Upload, "body">[],
): Promise<Result<Stored[], Refusal>> {
  const bodies = bodiesOf(body, uploads);
  const stored: Stored[] = [];
  try {
    await mapConcurrent([...uploads.entries()], PUTS_AT_ONCE, async ([index, upload]) => {
      // Uploads are begun in order, and the generator yields in order, so this is the body of this
      // upload.
      const { value: bytes } = await bodies.next();
      if (!bytes) throw new BrokeOff();
      stored[index] = await storeOnce(bucket, { ...upload, body: bytes });
    });
  } catch (error) {
    if (!(error instanceof BrokeOff)) throw error;
    const there = stored.filter((one) => one?.ok).length;
    const detail = `The body broke off when ${there} of its ${uploads.length} files ${there === 1 ? "was" : "were"} stored; send it again.`;
    return err({ code: "invalid_request", detail });
  }
  return ok(stored);
}

/** The body ended before the last object. */
class BrokeOff extends Error {}

/** The bytes of each upload, in order. Throws `BrokeOff` when the body is too short. */
async function* bodiesOf(
  body: ReadableStream<Uint8Array> | null,
  uploads: readonly { size: number }[],
): AsyncGenerator<Uint8Array, undefined> {
  const reader = body?.getReader({ mode: "byob" });
  for (const sizes of piecesOf(uploads)) {
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const piece = await read(reader, bytes);
    let at = 0;
    for (const size of sizes) yield piece.subarray(at, (at += size));
  }
  return undefined;
}

/** The sizes, grouped into those that are read together. */
function piecesOf(uploads: readonly { size: number }[]): number[][] {
  const pieces: number[][] = [];
  let room = 0;
  for (const { size } of uploads) {
    if (pieces.length === 0 || size > room) {
      pieces.push([]);
      room = PIECE_BYTES;
    }
    pieces.at(-1)!.push(size);
    room -= size;
  }
  return pieces;
}

async function read(reader: ReadableStreamBYOBReader | undefined, size: number): Promise<Uint8Array> {
  // A BYOB reader refuses to read zero bytes.
  if (size === 0) return new Uint8Array(0);
  const piece = await reader?.readAtLeast(size, new Uint8Array(size)).catch(() => undefined);
  if (piece?.value?.byteLength !== size) throw new BrokeOff();
  return piece.value;
}
