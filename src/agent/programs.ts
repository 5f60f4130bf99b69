/** The programs that plans may name: where they are on this machine, and in which version. */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  BUILT_IN_PROGRAM,
  PROGRAMS,
  type ProgramFlag,
  type ProgramName,
  type ProgramRow,
} from "../protocol/programs.ts";
import { platformOf } from "./machine.ts";
import { childEnvironment } from "./renderer-environment.ts";

/** A program that was found. */
export interface Program {
  /** Executable and leading arguments. */
  command: readonly [string, ...string[]];
  version: string;
}

export type Programs = Partial<Record<ProgramName, Program>>;

/**
 * Blender takes seconds from a cold network disk; a program that hangs here must not keep the agent
 * from starting.
 */
const VERSION_TIMEOUT_MS = 30_000;

/**
 * Look for the programs. `paths` are those that the user gave, by the program's flag: it is an
 * error when one does not work. What is merely not found is left out.
 */
export async function findPrograms(
  paths: Partial<Record<ProgramFlag, string | undefined>>,
  agentVersion: string,
): Promise<Programs> {
  const found: Programs = {};
  const searches = PROGRAMS.map(async (program) => ({
    name: program.name,
    result: await find(program, paths[program.flag]),
  }));
  for (const { name, result } of await Promise.all(searches)) if (result) found[name] = result;
  found[BUILT_IN_PROGRAM] = {
    command: [process.execPath, fileURLToPath(new URL("../demo-renderer/main.ts", import.meta.url))],
    version: agentVersion,
  };
  return found;
}

async function find(program: ProgramRow, given: string | undefined): Promise<Program | undefined> {
  const { name, versionArgs, places } = program;
  if (given !== undefined) {
    const version = await versionOf(program, given);
    if (version === undefined)
      throw new Error(`${given} does not run as ${name}: '${name} ${versionArgs.join(" ")}' must print its version`);
    return { command: [given], version };
  }
  for (const path of [...(await onPath(name)), ...(places[platformOf()] ?? [])]) {
    const version = await versionOf(program, path);
    if (version !== undefined) return { command: [path], version };
  }
  return undefined;
}

async function onPath(name: string): Promise<string[]> {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  const found: string[] = [];
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    // An empty entry means the current folder, whose content is not ours to trust.
    if (folder === "") continue;
    const path = join(folder, file);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      found.push(path);
  }
  return found;
}

/** The version in what a program printed; undefined when it is none. */
export function parseVersion(
  { versionPattern }: Pick<ProgramRow, "versionPattern">,
  output: string,
): string | undefined {
  return versionPattern.exec(output)?.[1];
}

async function versionOf(program: ProgramRow, path: string): Promise<string | undefined> {
  return await new Promise((resolve) => {
    execFile(
      path,
      program.versionArgs,
      { timeout: VERSION_TIMEOUT_MS, killSignal: "SIGKILL", env: childEnvironment(process.env, {}) },
      (error, stdout) => {
        resolve(error ? undefined : parseVersion(program, stdout));
      },
    );
  });
}

/**
 * `blender 3.4.1, ffmpeg 5.1`, without the built-in program; what is missing when none was found.
 */
export function programsText(programs: Programs): string {
  const found = PROGRAMS.flatMap(({ name }) => {
    const program = programs[name];
    return program ? [`${name} ${program.version}`] : [];
  });
  return found.length > 0 ? found.join(", ") : `${PROGRAMS.map(({ title }) => `no ${title}`).join(", ")} found`;
}
