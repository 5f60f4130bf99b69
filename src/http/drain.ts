/** The rest of a body that nobody wants. */
import { MAX_PUT_BYTES } from "../protocol/file.ts";

/** An honest client has sent what it had to within this, or is far from the end; a trickle is not waited for. */
export const MAX_DRAIN_MS = 10_000;

/**
 * Read a refused body to its end, so that the client sees the answer: a connection that closes in the middle of a body looks
 * like a broken network. What is too large or too slow to be worth it is left.
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
    // The client has gone; nobody is left to read the answer.
  } finally {
    clearTimeout(timer);
  }
}
