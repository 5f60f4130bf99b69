/**
 * SQL of a task's definition. It is one row of `definition`. When it is too long for a row, because
 * of thousands of inputs, its `settings` are null there, and rows of `definition_parts` hold them.
 *
 * `definition_parts` is made when it is first needed, and not by a step of the schema: so a build
 * of an earlier release, after a rollback, still opens all other tasks. Of a task with parts it
 * finds no settings: it shows none, and compiles no lease. Nothing is lost by that.
 */
import { all, first, run } from "../../platform/sql.ts";
import type { TaskDefinition } from "../../rpc/task.ts";
import { MAX_ROW_CHARS, splitText } from "./long-values.ts";

/**
 * A definition as its row has it. Releases up to 9991c53 stored the inputs a second time, beside
 * the settings that hold them.
 */
type StoredDefinition = Omit<TaskDefinition, "settings"> & {
  settings: TaskDefinition["settings"] | null;
  inputs?: unknown;
};

/** The definition. Throws when there is none, or its rows are not those of one. */
export function readDefinition(sql: SqlStorage): TaskDefinition {
  const { json } = first<{ json: string }>(sql, "SELECT json FROM definition")!;
  const { inputs: _, ...stored } = JSON.parse(json) as StoredDefinition;
  return { ...stored, settings: stored.settings ?? readSettings(sql) };
}

function readSettings(sql: SqlStorage): TaskDefinition["settings"] {
  const parts = all<{ json: string }>(sql, "SELECT json FROM definition_parts ORDER BY part");
  return JSON.parse(parts.map(({ json }) => json).join("")) as TaskDefinition["settings"];
}

/** Write the definition. Call inside one `transactionSync`. */
export function saveDefinition(sql: SqlStorage, definition: TaskDefinition): void {
  const whole = JSON.stringify(definition);
  const isLong = whole.length > MAX_ROW_CHARS;
  deleteParts(sql);
  if (isLong) saveParts(sql, splitText(JSON.stringify(definition.settings)));
  run(
    sql,
    "INSERT INTO definition (id, json) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json",
    isLong ? JSON.stringify({ ...definition, settings: null } satisfies StoredDefinition) : whole,
  );
}

function saveParts(sql: SqlStorage, parts: readonly string[]): void {
  makePartsTable(sql);
  for (const [part, json] of parts.entries())
    run(sql, "INSERT INTO definition_parts (part, json) VALUES (?, ?)", part, json);
}

/** Delete the definition. */
export function deleteDefinition(sql: SqlStorage): void {
  run(sql, "DELETE FROM definition");
  deleteParts(sql);
}

function deleteParts(sql: SqlStorage): void {
  if (first(sql, "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'definition_parts'"))
    run(sql, "DELETE FROM definition_parts");
}

/** Make the table of parts, where a restore may bring rows of it. */
export function makePartsTable(sql: SqlStorage): void {
  run(sql, "CREATE TABLE IF NOT EXISTS definition_parts (part INTEGER PRIMARY KEY, json TEXT NOT NULL)");
}
