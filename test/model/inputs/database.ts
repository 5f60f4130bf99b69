/**
 * D1 in the model of the sweep: the product's own statements run on SQLite. The state is a text, so that
 * a world can be copied and compared; what a batch does to a state is remembered.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";

export interface Statement {
  sql: string;
  values: SQLInputValue[];
}

export interface BatchResult {
  results: Record<string, unknown>[];
  meta: { changes: number };
}

type Row = Record<string, SQLInputValue>;
interface Tables {
  inputs: Row[];
  input_sweep: Row[];
}

const db = new DatabaseSync(":memory:");
const folder = path.resolve(import.meta.dirname, "../../../schema");
for (const name of readdirSync(folder).toSorted())
  if (name.endsWith(".sql")) db.exec(readFileSync(path.join(folder, name), "utf8"));
db.exec("UPDATE inputs_fill SET complete = 1");

const prepared = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
const statement = (sql: string): ReturnType<DatabaseSync["prepare"]> => {
  let known = prepared.get(sql);
  if (!known) prepared.set(sql, (known = db.prepare(sql)));
  return known;
};

const TABLES = ["inputs", "input_sweep"] as const;

function write(state: string): void {
  const tables = JSON.parse(state) as Tables;
  for (const table of TABLES) {
    statement(`DELETE FROM ${table}`).run();
    for (const row of tables[table]) {
      const names = Object.keys(row);
      const marks = names.map(() => "?").join(", ");
      statement(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${marks})`).run(...Object.values(row));
    }
  }
}

function read(): string {
  return JSON.stringify({
    inputs: statement("SELECT * FROM inputs ORDER BY sha256").all(),
    input_sweep: statement("SELECT * FROM input_sweep").all(),
  });
}

/** The row of a farm on which no run has begun, and that may delete from the beginning. */
const NO_RUN = { ...(db.prepare("SELECT * FROM input_sweep").get() as Row), deletes_after_ms: 0 };

/** A state of the database. */
export interface State {
  id: number;
  text: string;
  inputs: InputRow[];
}

export interface InputRow {
  sha256: string;
  deleting_until_ms: number | null;
  whole_size: number | null;
  pieces: string | null;
}

const states = new Map<string, State>();
const remembered = new Map<string, { state: State; results: BatchResult[] }>();

function stateOf(text: string): State {
  let state = states.get(text);
  if (!state) {
    state = { id: states.size, text, inputs: (JSON.parse(text) as { inputs: InputRow[] }).inputs };
    states.set(text, state);
  }
  return state;
}

/** The state of a farm with these inputs, and with this run. */
export function stateWith(inputs: readonly Row[], run: Row): State {
  return stateOf(JSON.stringify({ inputs, input_sweep: [{ ...NO_RUN, ...run }] }));
}

/** What a batch does: all of it, or it throws. `batchId`: the same for batches that are the same. */
export function batch(
  state: State,
  statements: readonly Statement[],
  batchId: number,
): { state: State; results: BatchResult[] } {
  const key = `${state.id} ${batchId}`;
  const known = remembered.get(key);
  if (known) return known;
  write(state.text);
  const results = statements.map(({ sql, values }): BatchResult => {
    const run = statement(sql);
    if (run.columns().length === 0) return { results: [], meta: { changes: Number(run.run(...values).changes) } };
    return { results: run.all(...values), meta: { changes: 0 } };
  });
  const done = { state: stateOf(read()), results };
  remembered.set(key, done);
  return done;
}
