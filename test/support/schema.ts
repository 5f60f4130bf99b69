/** The schema of the history as single statements, for a D1 that is filled without wrangler. */
import { migrations } from "../../src/launcher/migrations.ts";

/** The statements of all steps, in their order. */
export function schemaStatements(): string[] {
  return migrations().flatMap(({ statements }) => statements);
}
