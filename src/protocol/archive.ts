/**
 * The download of many files as one: how many fit into one archive, how a download of more is
 * divided, and what the files are called in it. Pure. Without zod, because the page imports this
 * file, and zod would make the page's first script several times as large.
 */
import { PART_BYTES } from "./constants.ts";
import { formatFrameList, listOfFrames } from "./frame-list.ts";

/**
 * The formats of a download: a zip needs the CRC-32 of each file before the first byte, a tar does
 * not. They are values of the query `format`; under another name the manager would refuse them.
 */
export const ARCHIVE_FORMATS = ["zip", "tar"] as const;
/** A format of a download. */
export type ArchiveFormat = (typeof ARCHIVE_FORMATS)[number];

/**
 * The most reads of the bucket for one archive. On the free plan, a request may call Cloudflare's
 * services 1,000 times (https://developers.cloudflare.com/workers/platform/limits/#subrequests),
 * and some of the calls look up the caller and the list of files. With more reads, an archive would
 * break off in the middle there.
 */
export const MAX_ARCHIVE_READS = 900;

/** How many reads of the bucket a file of this size takes: itself, or its manifest and its parts. */
export function readsOf(size: number): number {
  return size > PART_BYTES ? 1 + Math.ceil(size / PART_BYTES) : 1;
}

/** A file of a download; `size` is in bytes. */
export interface DownloadedFile {
  frame: number;
  name: string;
  size: number;
}

/** One archive of a download. */
export interface ArchivePart {
  /** The frame list of exactly its files. */
  frames: string;
  /** Its first frame. */
  first: number;
  last: number;
  files: number;
  /** Of the files together. */
  bytes: number;
  /** Whether one request may read all of it. False only for a single file of many parts. */
  fits: boolean;
}

/**
 * Divide a download, whose files are in frame order, into archives: each takes as many files as one
 * request may read. A part has at most MAX_ARCHIVE_READS frames, which is less than a frame list
 * may have ranges.
 */
export function archiveParts(files: readonly DownloadedFile[]): ArchivePart[] {
  const parts: ArchivePart[] = [];
  let frames: number[] = [];
  let reads = 0;
  let bytes = 0;
  const end = (): void => {
    if (frames.length === 0) return;
    parts.push({
      frames: formatFrameList(listOfFrames(frames)),
      first: frames[0]!,
      last: frames.at(-1)!,
      files: frames.length,
      bytes,
      fits: reads <= MAX_ARCHIVE_READS,
    });
    [frames, reads, bytes] = [[], 0, 0];
  };
  for (const { frame, size } of files) {
    if (reads + readsOf(size) > MAX_ARCHIVE_READS) end();
    frames.push(frame);
    reads += readsOf(size);
    bytes += size;
  }
  end();
  return parts;
}

/**
 * The paths of the files in a download. Where two frames have files of one name, the later one has
 * its frame before the name, as a folder.
 */
export function downloadPaths(files: readonly DownloadedFile[]): string[] {
  const taken = new Set<string>();
  return files.map(({ frame, name }) => {
    const path = taken.has(name) ? `${frame}/${name}` : name;
    taken.add(path);
    return path;
  });
}
