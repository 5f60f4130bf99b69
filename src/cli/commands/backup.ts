/**
 * `tablao backup DIR`: save everything that the manager stores into a folder, while the farm goes
 * on working.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { downloadTo, DOWNLOADS_IN_FLIGHT, keepHalfFiles } from "../../client/download.ts";
import type { ExpectedContent } from "../../client/file-hash.ts";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { batchRows } from "../../protocol/history-rows.ts";
import {
  BACKUP_FORMAT,
  backupAssetSchema,
  backupRowsSchema,
  type BackupAsset,
  type BackupRow,
} from "../../protocol/backup.ts";
import { buildsSchema } from "../../protocol/blender-build.ts";
import { mapConcurrent } from "../../lib/concurrency.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import { readPieceList } from "../../protocol/piece-list.ts";
import { taskListSchema } from "../../protocol/task.ts";
import { VERSION } from "../../protocol/version.ts";
import { inRestoreOrder, snapshotOf, type BackedUpFile } from "../../protocol/task-snapshot.ts";
import { BackupFolder, contentName } from "../backup-folder.ts";
import { queryString, contextOf, type Output } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { lockFolder } from "../folder-lock.ts";
import { showProgress } from "../progress.ts";
import { mustGiveBackups } from "../older-manager.ts";
import { bytes, count } from "../text.ts";
import { COMMAND } from "../own-command.ts";

/** How long a call is tried: a backup of hours must survive a restart of the manager. */
const RETRY_FOR_MS = 2 * 60_000;
/**
 * A task whose rows fill several pages is read again when it changed between two of them; a task
 * that changes on each of so many readings is given up.
 */
const READ_TRIES = 20;
/**
 * A file that is gone when it is fetched belongs to a frame that was rendered anew: the task is
 * read again, at most so often.
 */
const FILE_TRIES = 3;

/** Add the command to the program. */
export function addBackup(program: Command): void {
  program
    .command("backup")
    .summary("save everything the manager stores")
    .description(
      "Save everything the manager stores into a folder: tasks, files, workers, tokens (as hashes), settings, history. The farm may " +
        "go on working. A backup that broke off is taken up again. Only admins can; keep the folder private.",
    )
    .argument("<dir>", "a new or empty folder")
    .action(async (dir: string, _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      await new Backup(client, new BackupFolder(dir), out).run();
    });
}

function unusableRows(of: string, why: string): CliError {
  return new CliError(EXIT.unreachable, `the manager's rows of ${of} cannot be backed up: ${why}`);
}

class Backup {
  readonly #client: ManagerClient;
  readonly #folder: BackupFolder;
  readonly #out: Output;
  /** Sizes of the contents that are here and verified, by name. */
  readonly #have = new Map<string, number>();
  /** By task: the last event that the history has. Later events are in the rows of the task. */
  readonly #historyThrough = new Map<number, number>();
  /** By the SHA-256 of an input: a task of the backup that names it. */
  readonly #named = new Map<string, number>();
  /** Inputs that tasks of the backup name, and that the manager did not list. */
  readonly #lacking: string[] = [];
  #received = 0;

  constructor(client: ManagerClient, folder: BackupFolder, out: Output) {
    this.#client = client;
    this.#folder = folder;
    this.#out = out;
  }

  /**
   * Save in an order in which nothing refers to what is older than itself: dependent tasks before
   * the tasks they wait for, tasks before their inputs and their history, and all of them before
   * the registry, whose counters are highest then.
   */
  async run(): Promise<void> {
    await mustGiveBackups(this.#client, RETRY_FOR_MS);
    this.#folder.prepare();
    const lock = await lockFolder(this.#folder.path);
    try {
      await keepHalfFiles(this.#folder.filesFolder);
      await this.#save();
    } finally {
      lock.release();
    }
  }

  async #save(): Promise<void> {
    const backup = randomUUID();
    const ids = await this.#taskIds();
    const progress = showProgress("backing up", { quiet: this.#out.json });
    const kept: number[] = [];
    try {
      for (const [index, id] of ids.entries()) {
        if (await this.#task(id)) kept.push(id);
        progress.update(index + 1, ids.length, `${count(index + 1, "task")}, ${bytes(this.#received)} fetched`);
      }
      await this.#assets();
      await this.#folder.write("history", this.#history());
      // After the events: of a day that is deleted between the two, the totals are here.
      await this.#folder.write("totals", this.#pages("totals"));
      await this.#folder.write("registry", this.#pages("registry"));
    } finally {
      progress.end();
    }
    const builds = await this.#builds();
    const manifest = {
      format: BACKUP_FORMAT,
      backup,
      version: VERSION,
      url: this.#client.url,
      made_ms: this.#client.nowMs(),
      tasks: kept.toSorted((a, b) => a - b),
      files: this.#have.size,
      bytes: [...this.#have.values()].reduce((sum, size) => sum + size, 0),
    } as const;
    await this.#folder.finish(manifest);
    if (this.#out.json) return this.#out.value({ dir: this.#folder.path, ...manifest, lacking_inputs: this.#lacking });
    this.#out.line(
      `${this.#folder.path}: ${count(kept.length, "task")} and ${count(manifest.files, "file")} (${bytes(manifest.bytes)}) saved; ${bytes(this.#received)} fetched`,
    );
    if (builds > 0)
      this.#out.note(
        `not in the backup: ${count(builds, "build")} of Blender; after a restore, add them again (${COMMAND} blender add)`,
      );
  }

  /** How many builds of Blender the farm keeps, which no backup has. A manager of before keeps none. */
  async #builds(): Promise<number> {
    const listed = this.#client.call(buildsSchema, "GET", "/blender-builds", { retryForMs: RETRY_FOR_MS });
    return await listed.then(
      ({ builds }) => builds.length,
      (error: unknown) => {
        if (error instanceof ManagerError && error.status === 404) return 0;
        throw error;
      },
    );
  }

  /** Newest first. */
  async #taskIds(): Promise<number[]> {
    const ids: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.#client.call(taskListSchema, "GET", `/tasks${queryString({ limit: 500, cursor })}`, {
        retryForMs: RETRY_FOR_MS,
      });
      ids.push(...page.tasks.map((task) => task.id));
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
    return ids;
  }

  /** Save one task with its files, as of one instant; false when the task was deleted meanwhile. */
  async #task(id: number): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      const rows = await this.#taskRows(id);
      if (rows === null) {
        this.#folder.forget(id);
        return false;
      }
      const snapshot = snapshotOf(rows);
      if (!snapshot.ok) throw unusableRows(`task ${id}`, snapshot.error);
      const { files, inputs, historyThrough } = snapshot.value;
      try {
        await mapConcurrent(files, DOWNLOADS_IN_FLIGHT, (file) => this.#output(id, file));
      } catch (thrown) {
        if (thrown instanceof ManagerError && thrown.status === 404 && tries < FILE_TRIES) continue;
        throw thrown;
      }
      await this.#folder.write(id, [inRestoreOrder(rows)]);
      this.#historyThrough.set(id, historyThrough);
      for (const sha256 of inputs) this.#named.set(sha256, id);
      return true;
    }
  }

  async #taskRows(id: number): Promise<BackupRow[] | null> {
    for (let tries = 0; tries < READ_TRIES; tries++) {
      const rows: BackupRow[] = [];
      let version: number | undefined;
      let cursor: string | undefined;
      let changed = false;
      do {
        const page = await this.#page({ of: "task", id, cursor }).catch((thrown: unknown) => {
          if (thrown instanceof ManagerError && thrown.status === 404) return null;
          throw thrown;
        });
        if (page === null) return null;
        changed = version !== undefined && version !== page.version;
        version = page.version;
        rows.push(...page.rows);
        cursor = page.cursor ?? undefined;
      } while (cursor !== undefined && !changed);
      if (!changed) return rows;
    }
    throw new CliError(
      EXIT.failed,
      `task ${id} kept changing while it was read: it is too large to be read at once`,
      `Pause it for the time of the backup: ${COMMAND} pause ${id}`,
    );
  }

  async #page(values: { of: string; id?: number | undefined; cursor: string | undefined }) {
    return await this.#client.call(backupRowsSchema, "GET", `/backup/rows${queryString(values)}`, {
      retryForMs: RETRY_FOR_MS,
    });
  }

  async *#pages(of: "registry" | "history" | "totals" | "assets"): AsyncGenerator<BackupRow[]> {
    let cursor: string | undefined;
    do {
      const page = await this.#page({ of, cursor });
      yield page.rows;
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
  }

  async #output(id: number, { attempt, name, sha256, pieces, size }: BackedUpFile): Promise<void> {
    await this.#fetch(`/backup/outputs/${id}/${attempt}/${encodeURIComponent(name)}`, { sha256, pieces }, size);
  }

  async #fetch(from: string, content: ExpectedContent, size: number): Promise<void> {
    const name = contentName(content);
    if (this.#have.has(name)) return;
    const options = { size, retryForMs: RETRY_FOR_MS, flush: true };
    const { received } = await downloadTo(this.#client, this.#folder.file(content), from, content, options);
    this.#received += received;
    this.#have.set(name, size);
  }

  async #assets(): Promise<void> {
    const assets: BackupAsset[] = [];
    for await (const rows of this.#pages("assets")) {
      for (const [, row] of rows) {
        const asset = backupAssetSchema.safeParse(row);
        if (!asset.success) throw unusableRows("the inputs", "a row without a hash and a size");
        assets.push(asset.data);
      }
    }
    const gone = new Set<string>();
    await mapConcurrent(assets, DOWNLOADS_IN_FLIGHT, async ({ sha256, size }) => {
      try {
        await this.#fetch(`/assets/${sha256}`, { sha256 }, size);
      } catch (thrown) {
        if (!(thrown instanceof ManagerError && thrown.status === 404)) throw thrown;
        gone.add(sha256);
      }
    });
    const kept = assets.filter(({ sha256 }) => !gone.has(sha256));
    const named = await this.#namedWithPieces(kept);
    if (gone.size > 0) this.#checkUnused(gone, named);
    const listed = new Set(assets.map(({ sha256 }) => sha256));
    for (const [sha256, task] of named)
      if (!listed.has(sha256)) {
        this.#lacking.push(sha256);
        this.#out.note(`task ${task} names the input ${sha256}, which the manager does not have: nor has the backup`);
      }
    await this.#folder.write("assets", [kept.map((asset): BackupRow => ["assets", asset])]);
  }

  /** By the SHA-256 of an input that a task of the backup needs, by its name or as a piece of a file: the task. */
  async #namedWithPieces(kept: readonly BackupAsset[]): Promise<Map<string, number>> {
    const named = new Map(this.#named);
    for (const { sha256, whole } of kept) {
      const task = named.get(sha256);
      if (task === undefined || whole === undefined) continue;
      const pieces = readPieceList(await readFile(this.#folder.file({ sha256 }), "latin1"));
      if (pieces.ok) for (const piece of pieces.value) named.set(piece.sha256, task);
    }
    return named;
  }

  /**
   * The farm deletes inputs that no task names, also after they were listed: the backup goes on without
   * them. Throws when a task in the backup needs one.
   */
  #checkUnused(gone: ReadonlySet<string>, named: ReadonlyMap<string, number>): void {
    for (const sha256 of gone) {
      const task = named.get(sha256);
      if (task === undefined) continue;
      throw new CliError(
        EXIT.failed,
        `task ${task} is in the backup, and its input ${sha256} is gone from the manager`,
        "If the task was removed meanwhile, run the backup again: what is here is kept",
      );
    }
    this.#out.note(`${count(gone.size, "input")} that no task uses, deleted meanwhile, not in the backup`);
  }

  /** Without what the tasks' own rows hold and will tell again. */
  async *#history(): AsyncGenerator<BackupRow[]> {
    for await (const rows of this.#pages("history")) {
      yield rows.flatMap(([table, row]): BackupRow[] => {
        const through = this.#historyThrough.get(Number(row["task_id"])) ?? Infinity;
        if (Number(row["through_seq"]) <= through) return [[table, row]];
        const events = (JSON.parse(String(row["events"])) as HistoryEvent[]).filter((event) => event.seq <= through);
        return batchRows(events).map((kept) => [table, { ...kept, events: JSON.stringify(kept.events) }]);
      });
    }
  }
}
