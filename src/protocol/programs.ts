/**
 * The programs that plans may name. A program needs one row here and nothing else: the agent looks
 * for it, checks its version and reports it; `tablao worker` has an option for its path; the
 * manager knows its name. No schema library here.
 */
import type { Platform } from "./plan.ts";

/** A program that agents look for on their machine. */
export interface ProgramRow {
  /**
   * Its name in plans, reports and requirements, and on the PATH (with `.exe` on Windows). The name
   * is on the wire.
   */
  name: string;
  /** Its name in texts for people. */
  title: string;
  /** The option of `tablao worker` that gives its path: one lowercase word, `--word <path>`. */
  flag: string;
  /** Arguments that make it print its version and exit 0. */
  versionArgs: readonly string[];
  /**
   * Finds the version in the program's output, as the first group. At most 100 characters: the
   * manager limits what a worker reports.
   */
  versionPattern: RegExp;
  /**
   * Where people and the program's own installers put it when it is not on the PATH. `*` stands for any
   * characters of one name; `~` at the start for the home folder; `%NAME%` for that variable of the
   * environment, and on Windows for the usual folder where it is not set.
   */
  places: Partial<Record<Platform, readonly string[]>>;
  /** Several versions of it may be used side by side: tasks ask for one. Of others, the first that works is used. */
  several: boolean;
}

/**
 * The programs that agents look for. A program without a row is never found, so no worker gets the
 * tasks that need it.
 */
export const PROGRAMS = [
  {
    name: "blender",
    title: "Blender",
    flag: "blender",
    versionArgs: ["--version"],
    // Blender 3.4.1
    versionPattern: /^Blender (\S{1,100})/m,
    places: {
      darwin: [
        "/Applications/Blender*.app/Contents/MacOS/Blender",
        "/Applications/Blender*/Blender*.app/Contents/MacOS/Blender",
        "~/Applications/Blender*.app/Contents/MacOS/Blender",
      ],
      linux: [
        "/snap/bin/blender",
        "/opt/blender*/blender",
        "/opt/blender*/*/blender",
        "/usr/local/blender*/blender",
        "/usr/local/blender*/*/blender",
        "~/blender*/blender",
        "~/blender*/*/blender",
      ],
      windows: [
        "%ProgramFiles%/Blender Foundation/Blender*/blender.exe",
        "%LOCALAPPDATA%/Programs/Blender Foundation/Blender*/blender.exe",
        "%ProgramFiles(x86)%/Steam/steamapps/common/Blender/blender.exe",
      ],
    },
    several: true,
  },
  {
    name: "ffmpeg",
    title: "ffmpeg",
    flag: "ffmpeg",
    versionArgs: ["-version"],
    // ffmpeg version 5.1.6-0+deb12u1 Copyright …
    versionPattern: /^ffmpeg version (\S{1,100})/m,
    places: {},
    several: false,
  },
] as const satisfies readonly ProgramRow[];

/**
 * The agent's own helper (print, sleep, demo renderer). It comes with the agent, in the agent's
 * version. Plans name it, so with another name older agents would refuse them.
 */
export const BUILT_IN_PROGRAM = "tablao-tool";

/** A name that plans of all types may use. */
export type ProgramName = (typeof PROGRAMS)[number]["name"] | typeof BUILT_IN_PROGRAM;
/** The option of `tablao worker` that gives a program's path. */
export type ProgramFlag = (typeof PROGRAMS)[number]["flag"];

/** All names, in the order in which reports list them. */
export const PROGRAM_NAMES: readonly ProgramName[] = [...PROGRAMS.map(({ name }) => name), BUILT_IN_PROGRAM];

/**
 * Whether plans of all types may name this program. `exec` may name any other, where the worker
 * allows it.
 */
export function isProgramName(name: string): name is ProgramName {
  return PROGRAM_NAMES.some((known) => known === name);
}
