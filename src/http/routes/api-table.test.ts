import { expect, it } from "vitest";
import { loadRoutes, readDocument, withTables } from "../../../scripts/api-table.ts";

it("docs/http-api.md lists the routes as they are declared; `npm run docs:api` writes them", async () => {
  const document = readDocument();
  expect(document).toBe(withTables(document, await loadRoutes()));
});
