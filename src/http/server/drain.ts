/** Reads the rest of the body of a refused request. */
import { MAX_PUT_BYTES } from "../../protocol/file.ts";

/**
 * How long a refused body is read. Without a limit, a body of one byte a minute would hold its
 * request open; with much less, an upload over a slow line breaks off before its client sees the
 * answer.
 */
export const MAX_DRAIN_MS = 10_000;

/**
 * Read a refused body to its end, so that the client sees the answer: to the client, a connection
 * that closes in the middle of the body looks like a broken network. A body that is too large or
 * too slow is left unread.
 */
export async function drain(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed || Number(request.headers.get("Content-Length") ?? 0) > MAX_PUT_BYTES)
    return;
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const timer = setTimeout(() => void reader.cancel("refused").catch(() => undefined), MAX_DRAIN_MS);
  let left = MAX_PUT_BYTES;
  try {
    while (left > 0) {
      const { done, value } = await reader.read();
      if (done) return;
      left -= value.byteLength;
    }
    await reader.cancel("refused");
  } catch {
    // The client closed the connection, so there is no answer to save.
  } finally {
    clearTimeout(timer);
  }
}
