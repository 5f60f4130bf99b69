/**
 * A web worker that hashes files: the whole file and each part of it, in one pass over a stream.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { HashAnswer, HashRequest } from "./hasher.ts";

/** Bytes between two reports of progress. More reports would slow the page down. */
const TELL_EVERY = 8 * 1024 * 1024;

/** `postMessage` of a web worker. The types are those of a window, which would require a target. */
const answer = (message: HashAnswer): void => (postMessage as (message: HashAnswer) => void)(message);

async function hash({ id, file, partBytes }: HashRequest): Promise<void> {
  const whole = sha256.create();
  const parts: string[] = [];
  let part = sha256.create();
  let inPart = 0;
  let done = 0;
  let told = 0;
  const reader = file.stream().getReader();
  for (;;) {
    const { done: ended, value } = await reader.read();
    if (ended) break;
    whole.update(value);
    // A file that is sent in one piece needs no hashes of parts.
    if (file.size > partBytes) {
      for (let at = 0; at < value.length;) {
        const take = Math.min(value.length - at, partBytes - inPart);
        part.update(value.subarray(at, at + take));
        at += take;
        inPart += take;
        if (inPart === partBytes) {
          parts.push(bytesToHex(part.digest()));
          part = sha256.create();
          inPart = 0;
        }
      }
    }
    done += value.length;
    if (done - told >= TELL_EVERY) {
      told = done;
      answer({ id, type: "progress", done });
    }
  }
  if (inPart > 0) parts.push(bytesToHex(part.digest()));
  answer({ id, type: "done", sha256: bytesToHex(whole.digest()), size: done, parts });
}

addEventListener("message", (event: MessageEvent<HashRequest>) => {
  hash(event.data).catch((thrown: unknown) => {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    answer({ id: event.data.id, type: "failed", reason });
  });
});
