/** What the bundled program is made of, beside what the page is (`build-page.ts`). */
export const PROGRAM_SOURCES = [
  "src/agent",
  "src/blend",
  "src/cli",
  "src/client",
  "src/compilers",
  "src/demo-renderer",
  "src/parsers",
  "src/pictures",
  "src/launcher/build-program.ts",
  "src/launcher/program-entry.ts",
];
