/** The programs plans may name: where they are on this machine, and in which version. */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROGRAMS } from "../protocol/plan.ts";
import { childEnvironment } from "./process.ts";

export type ProgramName = (typeof PROGRAMS)[number];

export interface Program {
  /** Executable and leading arguments. */
  command: readonly [string, ...string[]];
  version: string;
}

export type Programs = Partial<Record<ProgramName, Program>>;

/** Blender takes seconds from a cold network disk. */
const VERSION_TIMEOUT_MS = 30_000;

/** Where Blender's own installers put it when it is not on the PATH. */
const BLENDER_PLACES: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: ["/Applications/Blender.app/Contents/MacOS/Blender"],
  linux: ["/snap/bin/blender"],
};

/**
 * Look for the programs. A path given by the user must work: it is an error when it does not. What is merely not found
 * is left out.
 */
export async function findPrograms(
  wanted: { blender?: string | undefined; ffmpeg?: string | undefined },
  agentVersion: string,
): Promise<Programs> {
  const [blender, ffmpeg] = await Promise.all([
    find("blender", wanted.blender, ["--version"], BLENDER_PLACES[process.platform] ?? []),
    find("ffmpeg", wanted.ffmpeg, ["-version"], []),
  ]);
  const tool: Program = {
    command: [process.execPath, fileURLToPath(new URL("../demo-renderer/main.ts", import.meta.url))],
    version: agentVersion,
  };
  return { ...(blender && { blender }), ...(ffmpeg && { ffmpeg }), "tablao-tool": tool };
}

async function find(
  name: string,
  given: string | undefined,
  versionArgs: string[],
  places: string[],
): Promise<Program | undefined> {
  if (given !== undefined) {
    const version = await versionOf(given, versionArgs);
    if (version === undefined)
      throw new Error(`${given} does not run as ${name}: '${name} ${versionArgs.join(" ")}' must print its version`);
    return { command: [given], version };
  }
  for (const path of [...(await onPath(name)), ...places]) {
    const version = await versionOf(path, versionArgs);
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

/** `Blender 3.4.1` → `3.4.1`; `ffmpeg version 5.1.6-0+deb12u1 Copyright …` → `5.1.6-0+deb12u1`. */
export function parseVersion(output: string): string | undefined {
  return /^(?:Blender|ffmpeg version) (\S{1,100})/m.exec(output)?.[1];
}

async function versionOf(path: string, args: string[]): Promise<string | undefined> {
  return await new Promise((resolve) => {
    execFile(
      path,
      args,
      { timeout: VERSION_TIMEOUT_MS, killSignal: "SIGKILL", env: childEnvironment(process.env, {}) },
      (error, stdout) => {
        resolve(error ? undefined : parseVersion(stdout));
      },
    );
  });
}
