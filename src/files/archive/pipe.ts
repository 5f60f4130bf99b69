/** Sends a range of an archive. The runtime moves the bytes of files; none of them passes through here. */
import type { ByteRange } from "../content.ts";
import { openFile, type OpenedFile } from "../open-file.ts";
import type { Archive } from "./archive.ts";
import { piecesOf, type Piece } from "./layout.ts";

/**
 * Files that are open at a time, of which one is being sent. With fewer, small files would each cost
 * the time of a call to the bucket; a Worker may wait for six calls at a time.
 */
const OPEN_FILES = 4;
/**
 * More than the next file is open only while the files before it have fewer bytes together. With a
 * higher value, files would be open for minutes before they are sent over a slow line.
 */
const AHEAD_BYTES = 4 * 1024 * 1024;

/**
 * Write a range of an archive to `to` and close it. On failure, also when a file is not the
 * committed one any more, `to` is aborted and the error thrown.
 */
export async function pipeArchive(
  bucket: R2Bucket,
  archive: Archive,
  range: ByteRange,
  to: WritableStream<Uint8Array>,
): Promise<void> {
  const pieces = piecesOf(archive.layout, range);
  const opener = new Opener(bucket, archive, pieces);
  try {
    for (const piece of pieces) {
      if ("bytes" in piece) await write(to, piece.bytes());
      else await (await opener.next()).pipeTo(to, { preventClose: true });
    }
    await to.close();
  } catch (error) {
    await to.abort(error).catch(() => undefined);
    throw error;
  } finally {
    await opener.close();
  }
}

async function write(to: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = to.getWriter();
  try {
    await writer.write(bytes);
  } finally {
    writer.releaseLock();
  }
}

/** A piece that is a file, or a range of one. */
type FilePiece = Extract<Piece, { entry: number }>;

/** Opens the files of a range in order, some of them ahead. */
class Opener {
  readonly #bucket: R2Bucket;
  readonly #archive: Archive;
  /** The last comes first. */
  readonly #todo: FilePiece[];
  readonly #opened: { file: Promise<OpenedFile>; bytes: number }[] = [];

  constructor(bucket: R2Bucket, archive: Archive, pieces: readonly Piece[]) {
    this.#bucket = bucket;
    this.#archive = archive;
    this.#todo = pieces.filter((piece) => "entry" in piece).toReversed();
  }

  /** The next file. Call it once for each piece that is one of a file. */
  async next(): Promise<OpenedFile> {
    while (this.#todo.length > 0 && this.#mayOpen()) {
      const { entry, range } = this.#todo.pop()!;
      const file = this.#open(entry, range);
      // A failure is thrown when its turn comes, and must not count as unhandled until then.
      file.catch(() => undefined);
      this.#opened.push({ file, bytes: range?.length ?? this.#archive.files[entry]!.size });
    }
    return await this.#opened.shift()!.file;
  }

  /** Let go of the files that were opened and not sent. */
  async close(): Promise<void> {
    for (const { file } of this.#opened.splice(0)) await (await file.catch(() => undefined))?.cancel();
  }

  /** Whether one more file may be open: the next one always, and more of them while they are small. */
  #mayOpen(): boolean {
    if (this.#opened.length < 2) return true;
    const bytes = this.#opened.reduce((sum, one) => sum + one.bytes, 0);
    return this.#opened.length < OPEN_FILES && bytes < AHEAD_BYTES;
  }

  async #open(entry: number, range: ByteRange | null): Promise<OpenedFile> {
    const file = this.#archive.files[entry]!;
    const opened = await openFile(this.#bucket, file, range);
    if (!opened) throw new Error(`${file.key} was replaced while the archive was sent`);
    return opened;
  }
}
