/**
 * A task's committed files as one zip, streamed, with an exact length. Not compressed: rendered
 * images do not shrink.
 */
import { makeZip, predictLength } from "client-zip";
import { outputKey } from "./keys.ts";
import { openFile, readsOf, type StoredFile } from "./open-file.ts";

/** A committed file, as `TaskRpc.files` lists it. */
export interface ZippedFile {
  frame: number;
  name: string;
  size: number;
  sha256: string;
  attempt: number;
}

/**
 * The platform allows 10,000 subrequests in a request, and a quarter is left for the rest of it.
 * This is also far below the 65,535 entries above which a zip's directory must be Zip64 whatever
 * its size.
 */
const MAX_ZIP_READS = 7_500;
/**
 * The most files in one zip. A file of up to one part is one read; larger files take more, so fewer
 * of them fit.
 */
export const MAX_ZIP_FILES = MAX_ZIP_READS;

/** Whether one request may read all of these files. */
export function fitsZip(files: readonly Pick<ZippedFile, "size">[]): boolean {
  return files.reduce((reads, { size }) => reads + readsOf(size), 0) <= MAX_ZIP_READS;
}

/**
 * The zip of these files, and its exact length in bytes. Each object is opened when its turn comes;
 * a missing one fails the stream.
 */
export function zipFiles(
  bucket: R2Bucket,
  task: number,
  files: readonly ZippedFile[],
): { length: bigint; stream: ReadableStream<Uint8Array> } {
  const entries = withNames(task, files);
  return {
    length: predictLength(entries.map(({ name, size }) => ({ name, size }))),
    stream: makeZip(bodies(bucket, entries)),
  };
}

interface Entry {
  name: string;
  size: number;
  file: StoredFile;
}

/**
 * Files of the same name in two frames are both included: the later one with its frame before the
 * name.
 */
function withNames(task: number, files: readonly ZippedFile[]): Entry[] {
  const taken = new Set<string>();
  return files.map(({ frame, name, size, sha256, attempt }) => {
    const unique = taken.has(name) ? `${frame}/${name}` : name;
    taken.add(unique);
    return { name: unique, size, file: { key: outputKey(task, attempt, name), size, sha256 } };
  });
}

async function* bodies(bucket: R2Bucket, entries: readonly Entry[]) {
  for (const { name, size, file } of entries) {
    const opened = await openFile(bucket, file, null);
    if (!opened) throw new Error(`${name} was replaced while the zip was being made`);
    yield { name, size, input: opened.readable(), lastModified: opened.uploaded };
  }
}
