/** The programs that plans may name: where they are on this machine, and in which versions. */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readdir, realpath } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { compareVersions, MAX_BLENDERS, minorOf } from "../protocol/blender-version.ts";
import {
  BUILT_IN_PROGRAM,
  PROGRAMS,
  type ProgramFlag,
  type ProgramName,
  type ProgramRow,
} from "../protocol/programs.ts";
import { demoRendererCommand } from "../client/program-file.ts";
import { platformOf } from "./machine.ts";
import { placesOf, type Ground } from "./program-places.ts";
import { childEnvironment } from "./renderer-environment.ts";

/** A program in one version. */
interface Installed {
  /** Executable and leading arguments. */
  command: readonly [string, ...string[]];
  version: string;
}

/** A program that was found: the version that is used where a plan asks for none. */
export interface Program extends Installed {
  /** Its other minor versions, the newest first. Absent: there are none. */
  others?: readonly Installed[];
}

export type Programs = Partial<Record<ProgramName, Program>>;

/**
 * Blender takes seconds from a cold network disk; a program that hangs here must not keep the agent
 * from starting.
 */
const VERSION_TIMEOUT_MS = 30_000;
/** The most copies of a program that are asked for their version: a disk may be full of them. */
const MAX_ASKED = 2 * MAX_BLENDERS;

/** What this machine is to the search. */
function thisMachine(): Ground {
  const list = async (folder: string): Promise<string[]> => await readdir(folder).catch(() => []);
  return { platform: platformOf(), home: homedir(), env: process.env, list };
}

/**
 * Look for the programs. `paths` are those that the user gave, by the program's flag: it is an
 * error when one does not work, and no others are looked for. What is merely not found is left out.
 */
export async function findPrograms(
  paths: Partial<Record<ProgramFlag, readonly string[] | undefined>>,
  agentVersion: string,
  ground: Ground = thisMachine(),
): Promise<Programs> {
  const found: Programs = {};
  const searches = PROGRAMS.map(async (program) => ({
    name: program.name,
    result: await find(program, paths[program.flag], ground),
  }));
  for (const { name, result } of await Promise.all(searches)) if (result) found[name] = result;
  found[BUILT_IN_PROGRAM] = {
    command: demoRendererCommand(),
    version: agentVersion,
  };
  return found;
}

async function find(
  program: ProgramRow,
  given: readonly string[] | undefined,
  ground: Ground,
): Promise<Program | undefined> {
  if (given !== undefined) return byVersion(await Promise.all(given.map((path) => mustRun(program, path))));
  const places = await Promise.all((program.places[ground.platform] ?? []).map((place) => placesOf(place, ground)));
  const candidates = [...onPath(program.name, ground), ...places.flat()];
  if (program.several) return byVersion(await allThatRun(program, candidates));
  for (const path of candidates) {
    if (!(await isExecutable(path))) continue;
    const version = await versionOf(program, path);
    if (version !== undefined) return { command: [path], version };
  }
  return undefined;
}

async function mustRun(program: ProgramRow, given: string): Promise<Installed> {
  const { name, versionArgs } = program;
  const fault = whyNoProgram(given);
  if (fault !== undefined) throw new Error(`${given} cannot be started: ${fault}`);
  const version = await versionOf(program, given);
  if (version === undefined)
    throw new Error(`${given} does not run as ${name}: '${name} ${versionArgs.join(" ")}' must print its version`);
  return { command: [given], version };
}

/** Why a file cannot be started as a program, by its name; undefined when it may be one. */
export function whyNoProgram(file: string, platform: NodeJS.Platform = process.platform): string | undefined {
  // They are run by a shell, which would give a meaning to arguments that come from the network.
  if (platform === "win32" && /\.(cmd|bat)[. ]*$/i.test(file)) return "on Windows name the .exe, not a script";
  return undefined;
}

/** Those that print their version. A program that has several names on this machine is asked once. */
async function allThatRun(program: ProgramRow, candidates: readonly string[]): Promise<Installed[]> {
  const distinct = new Map<string, string>();
  for (const path of candidates) {
    if (distinct.size === MAX_ASKED) break;
    if (!(await isExecutable(path))) continue;
    const real = await realpath(path).catch(() => path);
    if (!distinct.has(real)) distinct.set(real, path);
  }
  const asked = await Promise.all(
    Array.from(distinct.values(), async (path) => ({ path, version: await versionOf(program, path) })),
  );
  return asked.flatMap(({ path, version }) => (version === undefined ? [] : [{ command: [path], version }]));
}

/**
 * One program of each minor version, in its newest patch; of equal ones the first. The newest version is
 * used by default.
 */
function byVersion(installed: readonly Installed[]): Program | undefined {
  const kept = new Map<string, Installed>();
  for (const one of installed.toSorted((a, b) => compareVersions(b.version, a.version))) {
    const minor = minorOf(one.version) ?? one.version;
    if (!kept.has(minor)) kept.set(minor, one);
  }
  const [newest, ...others] = [...kept.values()].slice(0, MAX_BLENDERS);
  return newest && (others.length > 0 ? { ...newest, others } : newest);
}

/** Where the PATH has a program of this name, or would have it. */
export function onPath(name: string, { platform, env }: Pick<Ground, "platform" | "env">): string[] {
  const isWindows = platform === "windows";
  const system = isWindows ? path.win32 : path.posix;
  const file = isWindows ? `${name}.exe` : name;
  const entries = (env["PATH"] ?? "").split(system.delimiter);
  const folders = isWindows ? entries.map((entry) => entry.replaceAll('"', "")) : entries;
  // An empty or relative entry means the current folder, whose content is not ours to trust.
  return folders.filter((folder) => system.isAbsolute(folder)).map((folder) => system.join(folder, file));
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** The version in what a program printed; undefined when it is none. */
export function parseVersion(
  { versionPattern }: Pick<ProgramRow, "versionPattern">,
  output: string,
): string | undefined {
  return versionPattern.exec(output)?.[1];
}

/** The version that a program prints; undefined when it does not start, or prints none. */
export async function versionOf(program: ProgramRow, path: string): Promise<string | undefined> {
  return await new Promise((resolve) => {
    execFile(
      path,
      program.versionArgs,
      { timeout: VERSION_TIMEOUT_MS, killSignal: "SIGKILL", windowsHide: true, env: childEnvironment(process.env, {}) },
      (error, stdout) => {
        resolve(error ? undefined : parseVersion(program, stdout));
      },
    );
  });
}

/** All versions of a program, the one that is used by default first; empty where there is none. */
export function versionsOf(program: Program | undefined): string[] {
  return program ? [program.version, ...(program.others ?? []).map(({ version }) => version)] : [];
}

/**
 * `blender 4.5.15 and 3.4.1, ffmpeg 5.1`, without the built-in program; what is missing when none was
 * found.
 */
export function programsText(programs: Programs): string {
  const found = PROGRAMS.flatMap(({ name }) => {
    const versions = versionsOf(programs[name]);
    return versions.length > 0 ? [`${name} ${versions.join(" and ")}`] : [];
  });
  return found.length > 0 ? found.join(", ") : `${PROGRAMS.map(({ title }) => `no ${title}`).join(", ")} found`;
}
