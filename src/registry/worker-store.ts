/**
 * Rows of workers. The part that dispatch needs (`WorkerRecord`) is kept in memory; what people
 * read (`Info`) stays in SQL.
 */
import { all, first, run } from "../platform/sql.ts";
import type { BuildPlatform } from "../protocol/blender-build.ts";
import { isProgramName } from "../protocol/programs.ts";
import { MAX_PROGRAMS, type WorkerInfo } from "../protocol/worker.ts";
import { NEXT_VALUE } from "./schema.ts";

/**
 * What a worker reported that it can do. `programs` is null when it reported none (a client of the
 * 2015 protocol).
 */
export interface Offered {
  programs: Record<string, string> | null;
  /** All versions of the programs that it has several of. Absent: of none. */
  versions?: Record<string, string[]>;
  tags: string[];
  slots: number;
  allow_exec: boolean;
  allow_autoexec: boolean;
  /** What somebody at the machine has asked of its agent. Absent: nothing. */
  local_state?: "paused" | "draining";
  /** It fetches builds of Blender from the farm, for this platform. Absent: it fetches none. */
  fetches?: BuildPlatform;
}

/** What an admin has set of a worker. It stays, whatever the worker reports. Absent: nothing. */
export interface Chosen {
  name?: string;
  /** All its tags. */
  tags?: string[];
}

/** What people read about a worker, from its latest reports. */
export type Info = Pick<
  WorkerInfo,
  | "system"
  | "ip_address"
  | "port"
  | "name"
  | "version"
  | "mac_address"
  | "activity"
  | "log"
  | "time_cost"
  | "update_frequent"
  | "update_less_frequent"
> & { platform: string | null };

/** What dispatch and presence need of a worker. */
export interface WorkerRecord {
  id: number;
  hostname: string;
  offered: Offered;
  /** The version of its agent, as its info says; empty when it reported none. */
  version: string;
  /** The tags of its join token; they stay whatever the worker reports. */
  grantedTags: string[];
  chosen: Chosen;
  enabled: boolean;
  draining: boolean;
  /** It has sent the status `rendering`, and not `available` since. */
  saidRendering: boolean;
  /** The task it was assigned last; null when there was none when it last asked. */
  assignedTask: number | null;
  registeredMs: number;
  /** Its newest HTTP request; the row is written less often than that. */
  contactMs: number;
  /** When it said that it leaves; null when it has called since, or never left. */
  leftMs: number | null;
}

type WorkerRow = {
  id: number;
  hostname: string;
  offer: string;
  version: string | null;
  granted_tags: string;
  chosen: string;
  enabled: number;
  draining: number;
  said_rendering: number;
  assigned_task: number | null;
  registered_ms: number;
  contact_ms: number;
  left_ms: number | null;
};

function recordOf(row: WorkerRow): WorkerRecord {
  return {
    id: row.id,
    hostname: row.hostname,
    offered: bounded(JSON.parse(row.offer) as Offered),
    version: row.version ?? "",
    grantedTags: JSON.parse(row.granted_tags) as string[],
    chosen: JSON.parse(row.chosen) as Chosen,
    enabled: row.enabled === 1,
    draining: row.draining === 1,
    saidRendering: row.said_rendering === 1,
    assignedTask: row.assigned_task,
    registeredMs: row.registered_ms,
    contactMs: row.contact_ms,
    leftMs: row.left_ms,
  };
}

/**
 * Releases up to 0.1 took any number of programs from a worker. What is beyond the present bound is
 * left out, those that tasks can need last.
 */
function bounded(offered: Offered): Offered {
  const programs = Object.entries(offered.programs ?? {});
  if (programs.length <= MAX_PROGRAMS) return offered;
  const isKnown = ([name]: [string, string]): boolean => isProgramName(name);
  const kept = [...programs.filter(isKnown), ...programs.filter((program) => !isKnown(program))];
  return { ...offered, programs: Object.fromEntries(kept.slice(0, MAX_PROGRAMS)) };
}

export class WorkerStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  loadAll(): WorkerRecord[] {
    const columns =
      "id, hostname, offer, info ->> '$.version' AS version, granted_tags, chosen, enabled, draining, said_rendering, assigned_task, registered_ms, contact_ms, left_ms";
    return all<WorkerRow>(this.#sql, `SELECT ${columns} FROM workers ORDER BY id`).map(recordOf);
  }

  idOfSecret(secretSha256: string): number | undefined {
    return first<{ id: number }>(this.#sql, "SELECT id FROM workers WHERE secret_sha256 = ?", secretSha256)?.id;
  }

  info(id: number): Info {
    return JSON.parse(first<{ info: string }>(this.#sql, "SELECT info FROM workers WHERE id = ?", id)!.info) as Info;
  }

  infos(): Map<number, Info> {
    const rows = all<{ id: number; info: string }>(this.#sql, "SELECT id, info FROM workers");
    return new Map(rows.map((row) => [row.id, JSON.parse(row.info) as Info]));
  }

  /** A new row. Ids count up and are never used again. */
  insert(worker: Omit<WorkerRecord, "id">, info: Info, secretSha256: string): WorkerRecord {
    const id = first<{ value: number }>(this.#sql, NEXT_VALUE, "worker")!.value;
    run(
      this.#sql,
      `INSERT INTO workers (id, secret_sha256, hostname, offer, info, granted_tags, registered_ms, contact_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      secretSha256,
      worker.hostname,
      JSON.stringify(worker.offered),
      JSON.stringify(info),
      JSON.stringify(worker.grantedTags),
      worker.registeredMs,
      worker.contactMs,
    );
    return { ...worker, id };
  }

  /** Writes one row; `info` null leaves the stored info as it is. */
  save(worker: WorkerRecord, info: Info | null): void {
    run(
      this.#sql,
      `UPDATE workers SET hostname = ?, offer = ?, info = coalesce(?, info), chosen = ?, enabled = ?, draining = ?, said_rendering = ?,
         assigned_task = ?, contact_ms = ?, left_ms = ? WHERE id = ?`,
      worker.hostname,
      JSON.stringify(worker.offered),
      info && JSON.stringify(info),
      JSON.stringify(worker.chosen),
      Number(worker.enabled),
      Number(worker.draining),
      Number(worker.saidRendering),
      worker.assignedTask,
      worker.contactMs,
      worker.leftMs,
      worker.id,
    );
  }

  /** Remove the row; the name stays for the history. Call inside a transaction. */
  remove(id: number, name: string, nowMs: number): void {
    run(this.#sql, "DELETE FROM workers WHERE id = ?", id);
    run(this.#sql, "INSERT OR REPLACE INTO past_workers (id, name, removed_ms) VALUES (?, ?, ?)", id, name, nowMs);
  }

  /** The names of those of these workers that were removed. */
  pastNames(ids: readonly number[]): Map<number, string> {
    const rows = all<{ id: number; name: string }>(
      this.#sql,
      "SELECT past.id, past.name FROM json_each(?) AS asked JOIN past_workers AS past ON past.id = asked.value",
      JSON.stringify(ids),
    );
    return new Map(rows.map(({ id, name }) => [id, name]));
  }
}
