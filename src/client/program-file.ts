/**
 * Which file runs: the program `tablao.mjs`, one file that holds everything and that a manager serves, or a
 * checkout of the project.
 */
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Defined by the bundler (`src/launcher/build-program.ts`) and nowhere else. */
declare const TABLAO_BUNDLE: true;

/** The bundled program's own file; undefined in a checkout. */
export const PROGRAM_FILE: string | undefined =
  typeof TABLAO_BUNDLE === "undefined" ? undefined : fileURLToPath(import.meta.url);

/** The word by which the bundled program is asked to be the demo renderer. */
export const DEMO_RENDERER = "demo-renderer";

/** The command of the demo renderer: executable and leading arguments. */
export function demoRendererCommand(): [string, ...string[]] {
  return PROGRAM_FILE === undefined
    ? [process.execPath, path.join(import.meta.dirname, "../demo-renderer/main.ts")]
    : [process.execPath, PROGRAM_FILE, DEMO_RENDERER];
}
