/** A range of a file as the body of a request. */
import { open, type FileHandle } from "node:fs/promises";
import { whenFree } from "./held-file.ts";

/** Bytes that are read, and in memory, at a time. */
const CHUNK_BYTES = 256 * 1024;

/**
 * The bytes of a file from `from` until before `to`, read when they are asked for. The stream fails
 * with the disk's error, or with that of `shortened` when the file ends before `to`. `onChunk` is told
 * the bytes of each chunk.
 *
 * `openAsBlob` is not used: Node counts a file's bytes in 32 bits there, so that a blob of more than
 * 4 GiB is too short, and slices across 2 GiB are empty (https://github.com/nodejs/node/issues/52585).
 */
export function fileRange(
  file: string,
  { from, to }: { from: number; to: number },
  { shortened, onChunk }: { shortened: () => Error; onChunk?: ((bytes: number) => void) | undefined },
): ReadableStream<Uint8Array> {
  let handle: FileHandle | undefined;
  let canceled = false;
  let at = from;
  const close = async (): Promise<void> => {
    const opened = handle;
    handle = undefined;
    await opened?.close();
  };
  const next = async (): Promise<Uint8Array | null> => {
    if (at === to) return null;
    handle ??= await whenFree(async () => await open(file));
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, to - at));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) throw shortened();
    at += bytesRead;
    return chunk.subarray(0, bytesRead);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const chunk = await next();
          // Canceled while the chunk was read: nobody wants it.
          if (canceled) return await close();
          if (chunk) {
            onChunk?.(chunk.length);
            controller.enqueue(chunk);
          }
          if (at < to) return;
          await close();
          controller.close();
        } catch (error) {
          await close();
          throw error;
        }
      },
      async cancel() {
        canceled = true;
        await close();
      },
    },
    // The file is opened when the first byte is wanted: a request may fail before.
    { highWaterMark: 0 },
  );
}
