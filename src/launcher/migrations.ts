/** The migrations of D1 (`schema/*.sql`). */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { CHECKOUT } from "../cli/manager-record.ts";
import type { Migration } from "../protocol/local-control.ts";

const FOLDER = path.join(CHECKOUT, "schema");
/** A trigger holds statements of its own, so it does not end at the first semicolon. */
const STATEMENT = /\s*CREATE TRIGGER[\s\S]*?\nEND;|[^;]+;/g;
/** All migrations in their order; by default those of this checkout. */
export function migrations(folder = FOLDER): Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .toSorted()
    .map((name) => {
      const sql = readFileSync(path.join(folder, name), "utf8").replaceAll(/--.*$/gm, "");
      return { name, statements: sql.match(STATEMENT) ?? [] };
    });
}

/** A text that changes with any of the migrations. */
export function hashOfMigrations(all: Migration[]): string {
  const hash = createHash("sha256");
  for (const { name, statements } of all) hash.update(JSON.stringify([name, statements]));
  return hash.digest("hex");
}
