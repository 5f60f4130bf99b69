/** Opens .blend files of all versions and compressions. */
import { type BlockIndex, walkBlocks } from "./blocks.ts";
import { type Bytes, PlainBytes, readStored } from "./bytes.ts";
import { type Dna, parseDna } from "./dna.ts";
import { type BlendLayout, HEADER_BYTES, parseHeader } from "./header.ts";
import { gunzip, StreamBytes, unzstd } from "./stream-bytes.ts";
import { BlendError, type BlendCompression, type BlendFile, type ByteSource, type StoredFrame } from "./types.ts";
import { FramedBytes, frameTable, ZSTD_MAGIC } from "./zstd-frames.ts";

/** What the other parts of this folder see of an opened file. */
export interface OpenedFile extends BlendFile {
  readonly layout: BlendLayout;
  readonly index: BlockIndex;
  readonly dna: Dna;
  readonly bytes: Bytes;
}

/**
 * Opens a file and walks its blocks.
 * @throws BlendError with one sentence that says what is wrong with the file.
 */
export async function openBlend(source: ByteSource): Promise<BlendFile> {
  const { bytes, compression, frames } = await decompressed(source);
  const start = await bytes.read(0, HEADER_BYTES);
  const layout = parseHeader(start);
  const { index, dna, end } = await walkBlocks(bytes, layout);
  if (bytes instanceof StreamBytes) await bytes.close();
  const opened: OpenedFile = {
    compression,
    version: layout.version,
    versionText: `${layout.version.major}.${layout.version.minor}`,
    size: bytes.size ?? end,
    ...(frames && { frames }),
    read: async (offset, length) => bytes.read(offset, length),
    layout,
    index,
    dna: parseDna(dna, layout),
    bytes,
  };
  return opened;
}

/** The inside of a file that `openBlend` opened. */
export function opened(file: BlendFile): OpenedFile {
  if (!("index" in file)) throw new BlendError("The file was not opened by openBlend.");
  return file as OpenedFile;
}

async function decompressed(
  source: ByteSource,
): Promise<{ bytes: Bytes; compression: BlendCompression; frames?: readonly StoredFrame[] }> {
  const start = await readStored(source, 0, Math.min(4, source.size));
  if (start[0] === 0x1f && start[1] === 0x8b) {
    return { bytes: new StreamBytes(() => gunzip(source)), compression: "gzip" };
  }
  if (start.length === 4 && new DataView(start.buffer, start.byteOffset).getUint32(0, true) === ZSTD_MAGIC) {
    const table = await frameTable(source);
    if (!table) return { bytes: new StreamBytes(() => unzstd(source)), compression: "zstd" };
    const bytes = new FramedBytes(source, table);
    return { bytes, compression: "zstd", frames: bytes.frames };
  }
  return { bytes: new PlainBytes(source), compression: "none" };
}
