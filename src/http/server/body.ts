/** Bodies of text: read within a size and a time, and decoded strictly. */
import { err, ok, type Result } from "../../lib/result.ts";
import type { Refusal } from "../../protocol/problem.ts";

/**
 * How long a body may take: enough for 2 MiB at 300 kbit/s. Without a limit, a sender of one byte a
 * minute would hold its request open for ever.
 */
export const MAX_BODY_MS = 60_000;

/**
 * Bodies up to this length are read in one piece: the lease calls of a hundred frames fit. A larger
 * body is read piece by piece; with a lower value, common lease calls would pay for that.
 */
const SMALL_BODY_BYTES = 64 * 1024;

/**
 * The whole body as text. Refusals: `invalid_request` (too slow, broken off, not UTF-8),
 * `too_large`.
 */
export async function readTextWithin(request: Request, maxBytes: number): Promise<Result<string, Refusal>> {
  const claimed = Number(request.headers.get("Content-Length") ?? NaN);
  if (claimed > maxBytes) return tooLarge(maxBytes);
  try {
    // HTTP ends a body at its Content-Length, unless the body comes in chunks.
    const isSmall = claimed <= SMALL_BODY_BYTES && !request.headers.has("Transfer-Encoding");
    return isSmall ? await readWhole(request, maxBytes) : await readPieces(request, maxBytes);
  } catch (error) {
    const detail = error instanceof TypeError ? "The body is not UTF-8, or broke off." : "The body broke off.";
    return err({ code: "invalid_request", detail });
  }
}

/**
 * Read the body in one piece. A stream reader needs two reads and objects of its own, which is a
 * tenth of the processor time of a whole lease call. A body that does not come in time is left
 * unread; it ends with the request.
 */
async function readWhole(request: Request, maxBytes: number): Promise<Result<string, Refusal>> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), MAX_BODY_MS);
  try {
    const bytes = await Promise.race([request.arrayBuffer(), late.promise]);
    if (bytes === null) return TOO_SLOW;
    return bytes.byteLength > maxBytes ? tooLarge(maxBytes) : ok(strict.decode(bytes));
  } finally {
    clearTimeout(timer);
  }
}

async function readPieces(request: Request, maxBytes: number): Promise<Result<string, Refusal>> {
  if (request.body === null) return ok("");
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const decoder = newDecoder();
  let text = "";
  let size = 0;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void reader.cancel("too slow").catch(() => undefined);
  }, MAX_BODY_MS);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (late) return TOO_SLOW;
      if (done) return ok(text + decoder.decode());
      size += value.byteLength;
      if (size > maxBytes) {
        await reader.cancel("too large");
        return tooLarge(maxBytes);
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    // Runtimes differ in whether a canceled read throws.
    if (late) return TOO_SLOW;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

const TOO_SLOW = err<Refusal>({
  code: "invalid_request",
  detail: `The body took longer than ${MAX_BODY_MS / 1_000} s.`,
});

function tooLarge(maxBytes: number): Result<never, Refusal> {
  return err({ code: "too_large", detail: `The body may have at most ${maxBytes} bytes.` });
}

/** Refuses what is not UTF-8, and drops the byte order mark that some editors put first. */
function newDecoder() {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
}

/**
 * Shared, for whole texts only: without `stream`, each call starts anew, also after a text that was
 * refused.
 */
const strict = newDecoder();
