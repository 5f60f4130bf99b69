/**
 * Builds the page, and with it the program for machines without a checkout (`build-program.ts`). `public/` is not in the repository, so every command that serves it builds it
 * first (`npm run build:page`). Nothing is done while the build is as new as its sources, which
 * takes some milliseconds to see.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { CliError, EXIT } from "../cli/failure.ts";
import { messageOf } from "../lib/errors.ts";
import { CHECKOUT } from "../cli/manager-record.ts";
import { reportAndExit } from "../cli/stop-signals.ts";
import { PROGRAM_SOURCES } from "./program-sources.ts";
import { hashOfSources } from "./sources.ts";

const PUBLIC = path.join(CHECKOUT, "public");
/**
 * The hash of the sources, kept inside the build so that both are replaced together.
 * `.assetsignore` keeps it from being served.
 */
const STAMP = ".sources";
/** What the build depends on. */
const SOURCES = ["src/dashboard", "src/protocol", "src/lib", "package-lock.json", ...PROGRAM_SOURCES];

function isBuiltFrom(sources: string): boolean {
  try {
    return readFileSync(path.join(PUBLIC, STAMP), "utf8") === sources && existsSync(path.join(PUBLIC, "index.html"));
  } catch {
    return false;
  }
}

/** Whether there is a build of the sources as they are now. */
export function isPageBuilt(): boolean {
  return isBuiltFrom(hashOfSources(SOURCES));
}

/**
 * Build the page when it is missing or older than its sources; answers whether it built. The build
 * is made aside and moved in place: another manager of this checkout may be serving the page, or
 * building it at this moment. Throws `CliError`.
 */
async function buildPage(): Promise<boolean> {
  const sources = hashOfSources(SOURCES);
  if (isBuiltFrom(sources)) return false;
  const aside = path.join(CHECKOUT, ".tablao", `page-${process.pid}`);
  const old = `${aside}-old`;
  try {
    mkdirSync(aside, { recursive: true });
    // Loaded here: it is large, and most starts do not need it.
    const { build } = await import("vite");
    await build({
      configFile: path.join(CHECKOUT, "src/dashboard/vite.config.ts"),
      build: { outDir: aside, emptyOutDir: true },
    });
    const { buildProgram } = await import("./build-program.ts");
    await buildProgram(aside);
    writeFileSync(path.join(aside, STAMP), sources);
    if (isBuiltFrom(sources)) return true;
    if (existsSync(PUBLIC)) renameSync(PUBLIC, old);
    renameSync(aside, PUBLIC);
    return true;
  } catch (thrown) {
    // Another process may have moved its build in place first.
    if (isBuiltFrom(sources)) return true;
    throw new CliError(
      EXIT.failed,
      `the page cannot be built: ${messageOf(thrown)}`,
      "Try: npm ci, then npm run build:page",
    );
  } finally {
    for (const folder of [aside, old]) rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const began = performance.now();
  try {
    const built = await buildPage();
    process.stdout.write(
      built ? `page built in ${((performance.now() - began) / 1000).toFixed(1)} s\n` : "page is up to date\n",
    );
  } catch (thrown) {
    reportAndExit("npm run build:page", thrown);
  }
}
