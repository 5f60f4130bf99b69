/** Migrations of D1, applied as `wrangler d1 migrations apply` applies them. */
import type { Migration } from "../protocol/local-control.ts";

/** As wrangler makes it, letter for letter but for spaces. */
const TABLE =
  "CREATE TABLE IF NOT EXISTS d1_migrations(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, " +
  "applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";

/**
 * Apply the migrations that the database has not; answers with their names. Each is one
 * transaction, in which the table `d1_migrations` notes it. Rejects at the first that fails; the
 * ones before it stay applied.
 */
export async function applyMigrations(database: D1Database, all: Migration[]): Promise<string[]> {
  await database.prepare(TABLE).run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map(({ name }) => name));
  const wanted = all.filter(({ name }) => !applied.has(name));
  for (const { name, statements } of wanted) {
    await database.batch([
      ...statements.map((sql) => database.prepare(sql)),
      database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name),
    ]);
  }
  return wanted.map(({ name }) => name);
}
