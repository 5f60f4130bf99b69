/**
 * A stream from R2 breaks in the middle. Cloudflare updates the runtime a few times a week and ends
 * requests that are still under way 30 seconds later
 * (https://developers.cloudflare.com/workers/platform/limits/#duration), and connections break.
 */
import type { Limit, LimitContext } from "./limit.ts";

/** The platform's message. */
export const CONNECTION_LOST = "Network connection lost.";
/**
 * The first of so many reads is cut. With fewer, a file of 300 MB, whose ten parts are read in one
 * request, would never be read to its end.
 */
export const CUT_EVERY = 40;

/** An object of R2 with its bytes, as far as a limit sees it. */
interface Opened {
  size: number;
  body: ReadableStream<Uint8Array>;
}

/** Every fortieth read of an object, beginning with the first, breaks off after half of the bytes. */
export function cutStreams({ bite }: LimitContext): Limit {
  let reads = 0;
  return {
    async call({ service, method, args }, carry) {
      const answer = await carry();
      if (service !== "r2" || method !== "get" || !isOpened(answer)) return answer;
      const bytes = lengthOf(answer, args[1]);
      if (bytes < 2 || reads++ % CUT_EVERY !== 0) return answer;
      bite();
      return withBody(answer, cutAfter(answer.body, Math.floor(bytes / 2)));
    },
  };
}

function isOpened(answer: unknown): answer is Opened {
  return typeof answer === "object" && answer !== null && "body" in answer;
}

/** Bytes of the answer: those of the range that was asked for, or all. */
function lengthOf({ size }: Opened, options: unknown): number {
  const { range } = (options ?? {}) as { range?: { length?: number } };
  return Math.min(range?.length ?? size, size);
}

/** The same object with another body; its other ways to read the bytes fail. */
function withBody(object: Opened, body: ReadableStream<Uint8Array>): Opened {
  const broken = (): Promise<never> => Promise.reject(new Error(CONNECTION_LOST));
  const readers = ["text", "json", "arrayBuffer", "bytes", "blob"];
  return new Proxy(object, {
    get(target, name) {
      if (name === "body") return body;
      if (readers.includes(String(name))) return broken;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
}

/** The first `bytes` of a stream; then it fails. */
function cutAfter(stream: ReadableStream<Uint8Array>, bytes: number): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  let left = bytes;
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      if (left === 0) {
        await reader.cancel();
        // Only now: an error discards what the reader has not taken yet.
        controller.error(new Error(CONNECTION_LOST));
        return;
      }
      const { done, value } = await reader.read();
      if (done) return controller.close();
      const piece = value.subarray(0, left);
      left -= piece.byteLength;
      controller.enqueue(piece);
    },
    async cancel(reason) {
      await reader.cancel(reason);
    },
  });
}
