/** A task's committed files as one archive: its format, its entity tag, and what it consists of. */
import { ok, type Result } from "../../lib/result.ts";
import { sha256Hex } from "../../platform/secrets.ts";
import { downloadPaths, type ArchiveFormat } from "../../protocol/archive.ts";
import type { FileList } from "../../protocol/file.ts";
import { contentTag } from "../../protocol/piece-list.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { etagOf } from "../content.ts";
import { outputKey } from "../keys.ts";
import type { StoredFile } from "../open-file.ts";
import type { Layout } from "./layout.ts";
import { tarLayout } from "./tar.ts";
import { zipLayout, type ZipEntry } from "./zip.ts";

/** A committed file, as `TaskRpc.files` lists it. */
export type CommittedFile = FileList["files"][number];

export interface Archive {
  format: ArchiveFormat;
  mediaType: string;
  layout: Layout;
  /** The stored files, by the index of their entry in the layout. */
  files: readonly StoredFile[];
  /** Strong: the same tag means the same bytes. */
  etag: string;
}

const MEDIA_TYPES: Record<ArchiveFormat, string> = { zip: "application/zip", tar: "application/x-tar" };
/** The media types of archives. */
export const ARCHIVE_TYPES: readonly string[] = Object.values(MEDIA_TYPES);

/**
 * Part of every entity tag. Raise it when the same files would get other bytes: otherwise a
 * download that resumes after a deploy would be made of two layouts.
 */
const LAYOUT_VERSION = 1;

/** The time of a file whose commit has none in the list: the first that a zip can state. */
const NO_TIME_MS = Date.UTC(1980, 0, 1);

/**
 * The archive of these files of a task. Without a `format` it is a zip when the CRC-32 of every file
 * is known, else a tar. Refusal: `invalid`, a zip is asked for and a CRC-32 is not known.
 */
export async function archiveOf(
  task: number,
  files: readonly CommittedFile[],
  format: ArchiveFormat | undefined,
): Promise<Result<Archive, Refusal>> {
  const lacking = files.find(({ crc32 }) => crc32 === undefined);
  if (format === "zip" && lacking) {
    const detail = `A zip needs the CRC-32 of each file, and the agent that made frame ${lacking.frame} sent none; ask for format=tar.`;
    return refuse("invalid", detail, "format");
  }
  const chosen = format ?? (lacking ? "tar" : "zip");
  const paths = downloadPaths(files);
  const entries = files.map(({ size, crc32 = "", committed_ms: modifiedMs = NO_TIME_MS }, index): ZipEntry => {
    return { path: paths[index]!, size, crc32, modifiedMs };
  });
  return ok({
    format: chosen,
    mediaType: MEDIA_TYPES[chosen],
    layout: chosen === "zip" ? zipLayout(entries) : tarLayout(entries),
    files: files.map(({ attempt, name, size, sha256, pieces }) => {
      return { key: outputKey(task, attempt, name), size, sha256, pieces };
    }),
    etag: await etagOfEntries(chosen, entries, files),
  });
}

/** The hash of all that the bytes depend on: the format, what the headers say, and the contents. */
async function etagOfEntries(
  format: ArchiveFormat,
  entries: readonly ZipEntry[],
  files: readonly CommittedFile[],
): Promise<string> {
  const all = entries.map(({ path, size, crc32, modifiedMs }, index) => {
    return [path, size, crc32, modifiedMs, contentTag(files[index]!)];
  });
  return etagOf(await sha256Hex(JSON.stringify([LAYOUT_VERSION, format, all])));
}
