/**
 * The folder of a backup:
 *   backup.json      what it is; written last, so a folder without it is not a backup yet
 *   registry.ndjson  workers, tokens (as hashes), settings, ids
 *   tasks/N.ndjson   one task's rows
 *   history.ndjson   what happened, without what tasks still hold themselves
 *   totals.ndjson    totals of days whose events were deleted; absent in backups of format 1
 *   assets.ndjson    hashes and sizes of the inputs
 *   files/<sha256>   inputs and committed outputs, by content
 *   files/<sha256>-whole   outputs above 32 MiB, by the list of their parts (format 3)
 */
import { createReadStream, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { arrayOf } from "../protocol/bounded.ts";
import { BACKUP_FORMAT, backupRowSchema, type BackupRow } from "../protocol/backup.ts";
import { idSchema } from "../protocol/fields.ts";
import { CliError, EXIT } from "./failure.ts";
import { FOLDER_LOCK_NAME } from "../client/lock.ts";
import { messageOf } from "../lib/errors.ts";
import { syncFolder } from "../client/disk-sync.ts";
import type { ExpectedContent } from "../client/file-hash.ts";
import { writePrivateFile } from "../client/private-file.ts";
import { COMMAND } from "./own-command.ts";

/** Advice for a backup that is not what was saved. */
export const DAMAGED = "The backup is damaged; restore another one.";

const MANIFEST = "backup.json";
const NAMES = [MANIFEST, "registry.ndjson", "history.ndjson", "totals.ndjson", "assets.ndjson", "tasks", "files"];
/** The lock is there while a backup is made, and its drafts for a moment. */
const isOurs = (name: string): boolean => NAMES.includes(name) || name.startsWith(FOLDER_LOCK_NAME);

/** The most tasks of a backup: their ids fit into memory. */
const MAX_TASKS = 10_000_000;

/** `backup.json`. */
export const manifestSchema = z.object({
  format: z.int().min(1).max(BACKUP_FORMAT),
  /** The id of this backup. */
  backup: z.uuid(),
  /** The version of the manager. */
  version: z.string().max(200),
  url: z.string().max(2_000),
  made_ms: z.int(),
  /** Ascending. */
  tasks: arrayOf(idSchema, MAX_TASKS),
  files: z.int(),
  bytes: z.int(),
});
export type BackupManifest = z.infer<typeof manifestSchema>;

/** A file of rows: by its part, or by the id of its task. */
type BackupFile = "registry" | "history" | "totals" | "assets" | number;

/**
 * The name of a content. A file that is known by the list of its parts is not called by its SHA-256:
 * that is the word of a worker, and may be that of another file.
 */
export function contentName({ sha256, pieces }: ExpectedContent): string {
  return pieces === undefined ? sha256 : `${pieces}-whole`;
}

export class BackupFolder {
  readonly path: string;

  constructor(folder: string) {
    this.path = folder;
  }

  /**
   * Prepare the folder to be filled: it is new, empty, or left by a backup that broke off. Throws
   * `CliError` otherwise.
   */
  prepare(): void {
    try {
      if (existsSync(this.#at(MANIFEST)))
        throw new CliError(
          EXIT.usage,
          `${this.path} holds a backup already`,
          `Name another folder: ${COMMAND} backup DIR`,
        );
      const foreign = existsSync(this.path) ? readdirSync(this.path).find((name) => !isOurs(name)) : undefined;
      if (foreign !== undefined)
        throw new CliError(
          EXIT.usage,
          `${this.path} is not empty: it has ${foreign}`,
          `Name another folder: ${COMMAND} backup DIR`,
        );
      for (const folder of ["tasks", "files"]) mkdirSync(this.#at(folder), { recursive: true, mode: 0o700 });
    } catch (thrown) {
      if (thrown instanceof CliError) throw thrown;
      throw new CliError(EXIT.failed, `cannot make the folder ${this.path}: ${messageOf(thrown)}`);
    }
  }

  /** The folder of the contents. */
  get filesFolder(): string {
    return this.#at("files");
  }

  #at(...names: string[]): string {
    return path.join(this.path, ...names);
  }

  /** The path of the file with this content, whether it is there yet or not. */
  file(content: ExpectedContent): string {
    return this.#at("files", contentName(content));
  }

  /**
   * The path of a content that is there. Throws `CliError` when it is none of the backup's own files: a
   * link would lead out of the folder, and a pipe would be waited for.
   */
  contentFile(content: ExpectedContent): string {
    return regularFile(this.file(content));
  }

  manifest(): BackupManifest {
    let text: string;
    try {
      text = readFileSync(regularFile(this.#at(MANIFEST)), "utf8");
    } catch {
      throw new CliError(
        EXIT.usage,
        `${this.path} is no backup: it has no ${MANIFEST}`,
        "A backup that broke off: run it again",
      );
    }
    try {
      return manifestSchema.parse(JSON.parse(text));
    } catch {
      throw new CliError(EXIT.failed, `${this.#at(MANIFEST)} cannot be read by this version`);
    }
  }

  /** The backup is whole, and on the disk: it survives a power cut from now on. */
  async finish(manifest: BackupManifest): Promise<void> {
    for (const folder of [this.filesFolder, this.#at("tasks")]) await syncFolder(folder);
    writePrivateFile(this.#at(MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    await syncFolder(this.path);
  }

  /** The path of the file with rows of one kind. */
  rowsFile(of: BackupFile): string {
    return typeof of === "number" ? this.#at("tasks", `${of}.ndjson`) : this.#at(`${of}.ndjson`);
  }

  forget(task: number): void {
    rmSync(this.rowsFile(task), { force: true });
  }

  /** Write rows page by page. A file that breaks off is written anew by the next run. */
  async write(
    of: BackupFile,
    pages: AsyncIterable<readonly BackupRow[]> | Iterable<readonly BackupRow[]>,
  ): Promise<void> {
    const file = await open(this.rowsFile(of), "w", 0o600);
    try {
      for await (const rows of pages) await file.appendFile(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Read the rows, one by one. Throws `CliError` when the file is damaged. */
  async *read(of: BackupFile): AsyncGenerator<BackupRow> {
    const file = this.rowsFile(of);
    let number = 0;
    try {
      // JSON escapes line ends, so a row is one line. This reader does not split at U+2028.
      for await (const line of createInterface({ input: createReadStream(regularFile(file)), crlfDelay: Infinity })) {
        number++;
        yield backupRowSchema.parse(JSON.parse(line));
      }
    } catch (thrown) {
      if (thrown instanceof CliError) throw thrown;
      const where = number > 0 ? `, line ${number}` : "";
      throw new CliError(EXIT.failed, `${file}${where} cannot be read: ${messageOf(thrown).split("\n")[0]}`);
    }
  }
}

function regularFile(file: string): string {
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found?.isFile()) return file;
  throw new CliError(EXIT.failed, `${file} ${found ? "is no regular file" : "is missing"}`, DAMAGED);
}
