/**
 * How a person runs this command line again, for the advice in its messages. Never `npx tablao`: the name
 * of the package is not published, so outside a checkout npx would run the package of whoever takes the
 * name, and people would type their token into it.
 */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { PROGRAM_FILE } from "../client/program-file.ts";

/** The command that runs `script` from the folder `cwd`; undefined when there is no such folder any more. */
export function ownCommand(script: string, cwd: string | undefined): string {
  const within = cwd === undefined ? ".." : path.relative(cwd, script);
  const shown = within.startsWith("..") || path.isAbsolute(within) ? script : within;
  return `node ${/[^\w.,:@%+=/\\-]/.test(shown) ? `"${shown}"` : shown}`;
}

function currentFolder(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

/**
 * The command of this process: `node src/cli/tablao.js` in the folder of the checkout. What the join line
 * installed is started by a script that says what a person types.
 */
export const COMMAND: string =
  process.env["TABLAO_COMMAND"] ||
  ownCommand(PROGRAM_FILE ?? fileURLToPath(new URL("tablao.js", import.meta.url)), currentFolder());
