/**
 * Reading and writing all rows of a Durable Object's database, page by page. Tables and their keys
 * are read from the database itself, so a table that is added later is in the next dump without a
 * change here.
 */
import { err, ok, type Result } from "../lib/result.ts";
import { usedUpQuota } from "./quota.ts";
import { all, first, run } from "./sql.ts";

/**
 * A row of a dump: its table, and its values by column. No blobs: bytes are in the bucket, never in
 * rows.
 */
export type DumpRow = [table: string, row: Record<string, DumpValue>];

type DumpValue = string | number | null;

export interface DumpPage {
  rows: DumpRow[];
  /** Where the next page starts; null at the end. */
  cursor: string | null;
}

/**
 * Characters of JSON on a page; the last row may go beyond it. A row has 2 MB at most, and an
 * answer over RPC 32 MB, so a larger page gains nothing and a few times more would not pass.
 */
const PAGE_CHARS = 4_000_000;

interface Position {
  /** The table in which the next page starts. */
  table: string;
  /** The key of the last row that was read there; empty when none was. */
  after: DumpValue[];
}

/**
 * The tables of the object, except those of the platform, the migrations, and those in `without`.
 */
function tablesOf(sql: SqlStorage, without: readonly string[]): string[] {
  const rows = all<{ name: string }>(sql, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
  return rows
    .map(({ name }) => name)
    .filter((name) => !/^(_|sqlite_|migrations$)/.test(name) && !without.includes(name));
}

function columnsOf(sql: SqlStorage, table: string): { name: string; pk: number }[] {
  return all<{ name: string; pk: number }>(sql, "SELECT name, pk FROM pragma_table_info(?)", table);
}

/**
 * The page at `cursor`, null for the first. The error is a phrase about the cursor ("the cursor is
 * not …").
 */
export function dumpPage(sql: SqlStorage, without: readonly string[], cursor: string | null): Result<DumpPage, string> {
  const tables = tablesOf(sql, without);
  const start = cursor === null ? { table: tables[0] ?? "", after: [] } : positionOf(cursor);
  if (!start || (cursor !== null && !tables.includes(start.table))) return err("is not a cursor of this list");
  const rows: DumpRow[] = [];
  let chars = 0;
  let { after } = start;
  for (const table of tables.slice(tables.indexOf(start.table))) {
    const keys = columnsOf(sql, table)
      .filter(({ pk }) => pk > 0)
      .toSorted((a, b) => a.pk - b.pk)
      .map(({ name }) => name);
    if (after.length > 0 && after.length !== keys.length) return err("is not a cursor of this list");
    const list = keys.join(", ");
    const where = after.length > 0 ? `WHERE (${list}) > (${keys.map(() => "?").join(", ")})` : "";
    for (const row of sql.exec<Record<string, DumpValue>>(
      `SELECT * FROM ${table} ${where} ORDER BY ${list}`,
      ...after,
    )) {
      if (chars > PAGE_CHARS) return ok({ rows, cursor: JSON.stringify({ table, after } satisfies Position) });
      rows.push([table, row]);
      chars += JSON.stringify(row).length;
      after = keys.map((key) => row[key]!);
    }
    after = [];
  }
  return ok({ rows, cursor: null });
}

function positionOf(cursor: string): Position | null {
  try {
    const { table, after } = JSON.parse(cursor) as Partial<Position>;
    const isKey = (value: unknown): boolean => typeof value === "string" || typeof value === "number";
    return typeof table === "string" && Array.isArray(after) && after.every(isKey) ? { table, after } : null;
  } catch {
    return null;
  }
}

/**
 * Insert rows, or replace those with the same keys. Call inside a transaction. The error says which
 * row does not fit.
 */
export function insertRows(
  sql: SqlStorage,
  without: readonly string[],
  rows: readonly DumpRow[],
): Result<null, string> {
  const tables = new Map(
    tablesOf(sql, without).map((table) => [table, new Set(columnsOf(sql, table).map(({ name }) => name))]),
  );
  for (const [index, [table, row]] of rows.entries()) {
    const columns = tables.get(table);
    const names = Object.keys(row);
    if (!columns || names.length === 0 || names.some((name) => !columns.has(name)))
      return err(`row ${index} does not fit any table here`);
    const marks = names.map(() => "?").join(", ");
    try {
      run(sql, `INSERT OR REPLACE INTO ${table} (${names.join(", ")}) VALUES (${marks})`, ...Object.values(row));
    } catch (error) {
      // The row is good, and the platform takes none today.
      if (usedUpQuota(error)) throw error;
      return err(`row ${index} breaks a rule of '${table}': ${error instanceof Error ? error.message : "unknown"}`);
    }
  }
  return ok(null);
}

/** The number of rows of each table that is not empty. */
export function countRows(sql: SqlStorage, without: readonly string[]): Record<string, number> {
  const counts = tablesOf(sql, without).map(
    (table) => [table, first<{ n: number }>(sql, `SELECT count(*) AS n FROM ${table}`)!.n] as const,
  );
  return Object.fromEntries(counts.filter(([, n]) => n > 0));
}
