/** Many small objects out of one body. At no time are more of them in memory than are being stored. */
import { inLanes } from "../platform/lanes.ts";
import { err, ok, type Result } from "../platform/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import { storeOnce, type Upload } from "./store.ts";

/** As many connections as a Worker has at a time. */
const PUTS_AT_ONCE = 6;

/** What became of one object. */
export type Stored = Awaited<ReturnType<typeof storeOnce>>;

/**
 * Store objects whose bytes follow each other in `body`, each by the rules of `storeOnce`, whatever becomes of the others. Answers in
 * their order. Refusal: `invalid_request`, the body ended early; what had come by then is stored.
 */
export async function storeBatch(
  bucket: R2Bucket,
  body: ReadableStream<Uint8Array> | null,
  uploads: readonly Omit<Upload, "body">[],
): Promise<Result<Stored[], Refusal>> {
  const pieces = new Pieces(body);
  const stored: Stored[] = [];
  try {
    await inLanes([...uploads.entries()], PUTS_AT_ONCE, async ([index, upload]) => {
      const bytes = await pieces.take(upload.size);
      stored[index] = await storeOnce(bucket, { ...upload, body: bytes });
    });
  } catch (error) {
    if (!(error instanceof BrokeOff)) throw error;
    const there = stored.filter((one) => one?.ok).length;
    const detail = `The body broke off; of its ${uploads.length} files, ${there} had come and are stored.`;
    return err({ code: "invalid_request", detail });
  }
  return ok(stored);
}

class BrokeOff extends Error {}

/** Bytes from a stream, so many at a time, in the order in which they are asked for. */
class Pieces {
  readonly #reader: ReadableStreamBYOBReader | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(body: ReadableStream<Uint8Array> | null) {
    this.#reader = body?.getReader({ mode: "byob" });
  }

  /** The next `size` bytes; throws `BrokeOff` when there are fewer. */
  take(size: number): Promise<Uint8Array> {
    const piece = this.#turn.then(() => this.#read(size));
    this.#turn = piece.catch(() => undefined);
    return piece;
  }

  async #read(size: number): Promise<Uint8Array> {
    // A reader refuses to read nothing.
    if (size === 0) return new Uint8Array(0);
    const read = await this.#reader?.readAtLeast(size, new Uint8Array(size)).catch(() => undefined);
    if (read?.value?.byteLength !== size) throw new BrokeOff();
    return read.value;
  }
}
