/**
 * Node's own decompressors, where the code runs in Node: they take a fraction of the time of what browsers have. They
 * are asked for at run time, because an import of `node:zlib` would not load in a browser.
 */

/** A stream of Node that decompresses. Only what is used here is described. */
interface NodeStream extends AsyncIterable<Uint8Array> {
  destroy(error?: Error): unknown;
}

interface ZstdOptions {
  maxOutputLength: number;
  chunkSize: number;
  finishFlush?: number;
}

interface NodeZlib {
  /** Node 22.15 and later. */
  zstdDecompressSync?(this: void, bytes: Uint8Array, options: ZstdOptions): Uint8Array;
  zstdDecompress?(
    this: void,
    bytes: Uint8Array,
    options: ZstdOptions,
    done: (error: Error | null, content: Uint8Array) => void,
  ): void;
  createGunzip(this: void, options: { chunkSize: number }): NodeStream;
}

interface NodeStreams {
  pipeline(
    this: void,
    from: AsyncIterable<Uint8Array>,
    to: NodeStream,
    ended: (error: Error | null | undefined) => void,
  ): unknown;
}

const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };

/** `node:zlib`; undefined in browsers, and in Node before 20.16. */
export const nodeZlib = process?.getBuiltinModule?.("node:zlib") as NodeZlib | undefined;

/** `node:stream`, where there is `node:zlib`. */
export const nodeStreams = process?.getBuiltinModule?.("node:stream") as NodeStreams | undefined;
