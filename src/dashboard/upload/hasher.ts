/** Hashing in a web worker, as a function that answers a promise. */
import type { Piece } from "../../protocol/piece-list.ts";
import { isReplaced } from "../lib/page-version.ts";
import { text } from "../text.ts";

export interface HashRequest {
  id: number;
  file: Blob;
}

export type HashAnswer =
  | { id: number; type: "progress"; done: number }
  | ({ id: number; type: "done" } & Hashed)
  | { id: number; type: "failed"; reason: string };

export interface Hashed {
  /** Of the file; of a file above 32 MiB, of its piece list. */
  sha256: string;
  size: number;
  /** Of a file above 32 MiB. */
  pieces?: readonly Piece[];
}

interface Waiting {
  resolve: (hashed: Hashed) => void;
  reject: (error: Error) => void;
  onProgress: (done: number) => void;
}

/** One web worker: reading several files of a disk at once is rarely faster. */
export class Hasher {
  readonly #worker = new Worker(new URL("./hash-worker.ts", import.meta.url), { type: "module" });
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor() {
    this.#worker.addEventListener("message", (event: MessageEvent<HashAnswer>) => {
      const { id } = event.data;
      const waiting = this.#waiting.get(id);
      if (!waiting) return;
      if (event.data.type === "progress") return waiting.onProgress(event.data.done);
      this.#waiting.delete(id);
      if (event.data.type === "done") waiting.resolve(event.data);
      else waiting.reject(new Error(event.data.reason));
    });
    this.#worker.addEventListener("error", (event) => void this.#broken(event.message));
  }

  /** The web worker threw, or has no script: a deploy removes that of an open page. */
  async #broken(message: string): Promise<void> {
    const words = (await isReplaced()) ? text.newerPage : message || "hashing does not work in this browser";
    for (const { reject } of this.#waiting.values()) reject(new Error(words));
    this.#waiting.clear();
  }

  /**
   * Hash a file. Rejects when the file cannot be read, which happens when it was changed after it
   * was chosen.
   */
  async hash(file: Blob, onProgress: (done: number) => void): Promise<Hashed> {
    const id = ++this.#last;
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      // Only a window's postMessage takes a target; a web worker's does not.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      this.#worker.postMessage({ id, file } satisfies HashRequest);
    });
  }

  close(): void {
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new DOMException("stopped", "AbortError"));
    this.#waiting.clear();
  }
}
