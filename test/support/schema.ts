/** The schema of the history as single statements, for a D1 that is filled without wrangler. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const FOLDER = path.resolve(import.meta.dirname, "../../schema");
/** A trigger holds statements of its own, so it does not end at the first semicolon. */
const STATEMENT = /\s*CREATE TRIGGER[\s\S]*?\nEND;|[^;]+;/g;

/** The statements of all steps, in their order. */
export function schemaStatements(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".sql"))
    .toSorted()
    .flatMap((name) => readFileSync(path.join(FOLDER, name), "utf8").replaceAll(/--.*$/gm, "").match(STATEMENT) ?? []);
}
