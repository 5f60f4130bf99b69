/** A task's committed files as one zip, stored as they are: rendered images do not shrink. Streamed, with an exact length. */
import { makeZip, predictLength } from "client-zip";
import { outputKey } from "./keys.ts";

/** A committed file, as `TaskRpc.files` lists it. */
export interface ZippedFile {
  frame: number;
  name: string;
  size: number;
  attempt: number;
}

/**
 * Each file is one R2 read, and the platform allows 10,000 calls in a request; a quarter of that is left to everything else.
 * It is also far below the 65,535 entries from which client-zip's directory would need to be Zip64 whatever its size.
 */
export const MAX_ZIP_FILES = 7_500;

/** The zip of these files and its exact length in bytes. An object is opened only when its turn comes; one that is gone breaks the stream. */
export function zipFiles(
  bucket: R2Bucket,
  task: number,
  files: readonly ZippedFile[],
): { length: bigint; stream: ReadableStream<Uint8Array> } {
  const entries = withNames(files);
  return {
    length: predictLength(entries.map(({ name, size }) => ({ name, size }))),
    stream: makeZip(bodies(bucket, task, entries)),
  };
}

interface Entry {
  name: string;
  size: number;
  key: { attempt: number; name: string };
}

/** Two frames with files of one name both get in: the later one with its frame before the name. */
function withNames(files: readonly ZippedFile[]): Entry[] {
  const taken = new Set<string>();
  return files.map(({ frame, name, size, attempt }) => {
    const unique = taken.has(name) ? `${frame}/${name}` : name;
    taken.add(unique);
    return { name: unique, size, key: { attempt, name } };
  });
}

async function* bodies(bucket: R2Bucket, task: number, entries: readonly Entry[]) {
  for (const { name, size, key } of entries) {
    const object = await bucket.get(outputKey(task, key.attempt, key.name));
    if (!object || object.size !== size) throw new Error(`${name} was replaced while the zip was being made`);
    yield { name, size, input: object.body as ReadableStream<Uint8Array>, lastModified: object.uploaded };
  }
}
