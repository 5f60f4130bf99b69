/** `tablao restore DIR`: put a backup into an empty manager. */
import { hash } from "node:crypto";
import type { Command } from "commander";
import { z } from "zod";
import { readFile } from "node:fs/promises";
import type { ExpectedContent } from "../../client/file-hash.ts";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { FileChanged, putPieceList, uploadTo } from "../../client/upload.ts";
import { chunksOf } from "../../lib/chunks.ts";
import { mapConcurrent } from "../../lib/concurrency.ts";
import { batchesOf } from "../../protocol/asset-batch.ts";
import {
  BACKUP_HEADER,
  backupAssetSchema,
  restoreAbandonedSchema,
  type BackupAsset,
  type BackupRow,
} from "../../protocol/backup.ts";
import { ASKED_AT_ONCE } from "../../protocol/constants.ts";
import { fieldErrors } from "../../protocol/field-errors.ts";
import { missingResultSchema } from "../../protocol/file.ts";
import { readPieceList } from "../../protocol/piece-list.ts";
import type { FieldError } from "../../protocol/problem.ts";
import { snapshotOf, type BackedUpFile } from "../../protocol/task-snapshot.ts";
import { BackupFolder, DAMAGED, type BackupManifest } from "../backup-folder.ts";
import { queryString, contextOf, flagsOf, type Output } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { showProgress } from "../progress.ts";
import { sendBatch, type SmallFile } from "../send-batch.ts";
import { bytes, count, harmless, instant } from "../text.ts";
import { COMMAND } from "../own-command.ts";

const RETRY_FOR_MS = 2 * 60_000;
/** Since this format, backups have the part `totals`. */
const TOTALS_FORMAT = 2;
const CONCURRENCY = 4;
/**
 * Characters of rows in one request: far below what a manager takes, even at four bytes a
 * character.
 */
const ROWS_CHARS = 2_000_000;

/** Add the command to the program. */
export function addRestore(program: Command): void {
  program
    .command("restore")
    .summary("put a backup into an empty manager")
    .description(
      "Put a backup into an empty manager: tasks go on where they stood, workers and tokens are known again by their secrets. " +
        "What was being rendered is rendered anew. A restore that broke off is taken up again by the same command.",
    )
    .argument("[dir]", "the folder that tablao backup made")
    .option("--revoke-tokens", "let no token and no share link of the backup work again")
    .option("--abandon", "end a restore that is not to be completed; what has arrived stays")
    .action(async (dir: string | undefined, _: unknown, command: Command) => {
      const { revokeTokens, abandon } = flagsOf<{ revokeTokens?: true; abandon?: true }>(command);
      if ((dir === undefined) === (abandon === undefined) || (abandon && revokeTokens))
        throw new CliError(
          EXIT.usage,
          "restore takes the folder of a backup, or --abandon alone",
          `For example: ${COMMAND} restore DIR`,
        );
      const { client, out } = contextOf(command);
      if (dir === undefined) return await abandonRestore(client, out);
      await new Restore(client, new BackupFolder(dir), out, revokeTokens === true).run();
    });
}

async function abandonRestore(client: ManagerClient, out: Output): Promise<void> {
  const ended = await client.call(restoreAbandonedSchema, "DELETE", "/restore");
  if (out.json) return out.value(ended);
  out.line(
    ended.tasks === 0
      ? "the restore is abandoned; no task of it has arrived"
      : `the restore is abandoned; ${count(ended.tasks, "task")} of it have arrived and stay until you delete them`,
  );
}

function damaged(file: string): CliError {
  return new CliError(EXIT.failed, `${file} is not what was backed up`, DAMAGED);
}

/**
 * Generations of a task's share links go on this much higher when links are revoked: the old manager
 * may have voided links, and given out newer ones, after the backup was made.
 */
const SHARES_GAP = 1_000_000;

/** A row as it is restored when no token and no share link may work again. */
function revoked([table, row]: BackupRow): BackupRow {
  if (table === "tokens") return [table, { ...row, revoked: 1 }];
  if (table !== "record") return [table, row];
  const record = recordSchema.parse(JSON.parse(String(row["json"])));
  return [table, { ...row, json: JSON.stringify({ ...record, shares: (record.shares ?? 0) + SHARES_GAP }) }];
}

const recordSchema = z.looseObject({ shares: z.int().min(0).optional() });

/** Whether a row is a token that works again. */
function isLiveToken([table, row]: BackupRow, nowMs: number): boolean {
  return table === "tokens" && row["revoked"] !== 1 && (row["expires_ms"] == null || Number(row["expires_ms"]) > nowMs);
}

class Restore {
  readonly #client: ManagerClient;
  readonly #folder: BackupFolder;
  readonly #out: Output;
  readonly #revoke: boolean;
  #headers: Record<string, string> = {};
  #sent = 0;
  /** Tokens of the backup that work again. */
  #liveTokens = 0;

  /** `revoke`: no token and no share link of the backup works again. */
  constructor(client: ManagerClient, folder: BackupFolder, out: Output, revoke: boolean) {
    this.#client = client;
    this.#folder = folder;
    this.#out = out;
    this.#revoke = revoke;
  }

  /**
   * Restore files, totals, history, tasks from the oldest on, and the registry last: before that no
   * token works, so no one can change anything meanwhile. The totals say which rows of the history
   * are in them already.
   */
  async run(): Promise<void> {
    const manifest = this.#folder.manifest();
    const { backup, format, tasks } = manifest;
    this.#headers = { [BACKUP_HEADER]: backup };
    await this.#check(manifest);
    await this.#client.call(z.null(), "POST", "/restore", { json: { backup, format } });
    const progress = showProgress("restoring", { quiet: this.#out.json });
    try {
      await this.#assets();
      for (const [index, id] of tasks.entries()) {
        await this.#outputs(id);
        progress.update(index + 1, tasks.length * 2, `${bytes(this.#sent)} sent`);
      }
      if (format >= TOTALS_FORMAT) await this.#rows("totals", undefined);
      await this.#rows("history", undefined);
      for (const [index, id] of tasks.entries()) {
        await this.#rows("task", id);
        progress.update(tasks.length + index + 1, tasks.length * 2, count(index + 1, "task"));
      }
      await this.#rows("registry", undefined);
    } finally {
      progress.end();
    }
    this.#say(manifest);
  }

  /**
   * Read all rows that name files, before the manager is asked for anything: a name in them becomes a
   * path on this machine. Throws `CliError`, which names the file and the field.
   */
  async #check({ tasks }: BackupManifest): Promise<void> {
    for await (const asset of this.#assetRows()) this.#folder.contentFile(asset);
    for (const id of tasks) for (const file of await this.#filesOf(id)) this.#folder.contentFile(file);
  }

  async *#assetRows(): AsyncGenerator<BackupAsset> {
    for await (const [, row] of this.#folder.read("assets")) {
      const asset = backupAssetSchema.safeParse(row);
      if (!asset.success) throw this.#unusable("assets", fieldErrors(asset.error.issues));
      yield asset.data;
    }
  }

  async #filesOf(id: number): Promise<BackedUpFile[]> {
    const rows: BackupRow[] = [];
    for await (const row of this.#folder.read(id)) rows.push(row);
    const snapshot = snapshotOf(rows);
    if (snapshot.ok) return snapshot.value.files;
    throw new CliError(EXIT.failed, `${this.#folder.rowsFile(id)}: ${snapshot.error}`, DAMAGED);
  }

  #unusable(of: "assets", [first]: FieldError[]): CliError {
    return new CliError(EXIT.failed, `${this.#folder.rowsFile(of)}: ${first?.field}: ${first?.message}`, DAMAGED);
  }

  #say(manifest: BackupManifest): void {
    const { backup, tasks, files, made_ms: madeMs } = manifest;
    const live = this.#liveTokens;
    if (this.#out.json)
      return this.#out.value({ backup, tasks, files, sent_bytes: this.#sent, live_tokens: live, made_ms: madeMs });
    this.#out.line(`${count(tasks.length, "task")} and ${count(files, "file")} restored (${bytes(this.#sent)} sent)`);
    this.#out.note(
      this.#revoke
        ? `no token and no share link of the backup works; its workers do (${COMMAND} workers)`
        : `${count(live, "token")}, workers and share links work as when the backup was made (${instant(madeMs)} UTC), also those ` +
            `that were revoked or removed since: see \`${COMMAND} token list\`, \`${COMMAND} token revoke ID\`, \`${COMMAND} workers\``,
    );
  }

  async #assets(): Promise<void> {
    const assets = new Map<string, SmallFile>();
    const lists: SmallFile[] = [];
    for await (const { sha256, size, whole } of this.#assetRows()) {
      const asset = { sha256, size, file: this.#folder.contentFile({ sha256 }) };
      if (whole === undefined) assets.set(sha256, asset);
      else lists.push(asset);
    }
    for (const sha256 of chunksOf([...assets.keys()], ASKED_AT_ONCE)) {
      const { missing } = await this.#client.call(missingResultSchema, "POST", "/assets/missing", {
        json: { sha256 },
        retryForMs: RETRY_FOR_MS,
      });
      const { batches, single } = batchesOf(missing.flatMap((one) => assets.get(one) ?? []));
      await mapConcurrent([...single.map((file) => [file]), ...batches], CONCURRENCY, (files) => this.#files(files));
    }
    await mapConcurrent(lists, CONCURRENCY, (list) => this.#pieceList(list));
  }

  /** A list whose pieces are not all in the backup is of use to nobody, but may be a file, too. */
  async #pieceList(list: SmallFile): Promise<void> {
    const text = await readFile(list.file, "latin1");
    const pieces = readPieceList(text);
    if (!pieces.ok || hash("sha256", text, "hex") !== list.sha256) throw damaged(list.file);
    try {
      const options = { retryForMs: RETRY_FOR_MS };
      await putPieceList(this.#client, { sha256: list.sha256, pieces: pieces.value }, options);
      this.#sent += list.size;
    } catch (thrown) {
      if (!(thrown instanceof ManagerError && thrown.status === 409)) throw thrown;
      this.#out.note(`piece list ${list.sha256} is restored as a plain file: ${harmless(thrown.message)}`);
      await this.#files([list]);
    }
  }

  async #files(files: SmallFile[]): Promise<void> {
    const left = new Set(files.length > 1 ? await sendBatch(this.#client, files, { retryForMs: RETRY_FOR_MS }) : files);
    for (const file of files) {
      if (left.has(file)) await this.#upload(file, { path: `/assets/${file.sha256}` });
      else this.#sent += file.size;
    }
  }

  async #outputs(id: number): Promise<void> {
    await mapConcurrent(await this.#filesOf(id), CONCURRENCY, ({ attempt, name, ...content }) => {
      const path = `/restore/outputs/${id}/${attempt}/${encodeURIComponent(name)}`;
      return this.#upload(content, { path, pieces: true });
    });
  }

  async #upload({ sha256, pieces }: ExpectedContent, to: { path: string; pieces?: boolean }): Promise<void> {
    const file = this.#folder.contentFile({ sha256, pieces });
    try {
      const stored = { file, sha256, pieces };
      const options = { retryForMs: RETRY_FOR_MS };
      const { sent } = await uploadTo(this.#client, stored, { ...to, headers: this.#headers }, options);
      this.#sent += sent;
    } catch (thrown) {
      throw thrown instanceof FileChanged ? damaged(file) : thrown;
    }
  }

  /**
   * Send all rows of one part in as many requests as it takes; the last one says that it is the
   * last.
   */
  async #rows(of: "registry" | "history" | "totals" | "task", id: number | undefined): Promise<void> {
    let lines: string[] = [];
    let chars = 0;
    const send = async (last: boolean): Promise<void> => {
      const text = lines.join("");
      const body = () => new Blob([text]);
      const path = `/restore/rows${queryString({ of, id, last: String(last) })}`;
      await this.#client.call(z.null(), "POST", path, {
        headers: { ...this.#headers, "content-type": "application/x-ndjson" },
        body,
        retryForMs: RETRY_FOR_MS,
      });
      lines = [];
      chars = 0;
    };
    for await (const stored of this.#folder.read(of === "task" ? id! : of)) {
      const row = this.#revoke ? revoked(stored) : stored;
      if (isLiveToken(row, this.#client.nowMs())) this.#liveTokens++;
      const line = `${JSON.stringify(row)}\n`;
      if (chars > 0 && chars + line.length > ROWS_CHARS) await send(false);
      lines.push(line);
      chars += line.length;
    }
    await send(true);
  }
}
