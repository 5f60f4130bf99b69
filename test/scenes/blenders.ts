/**
 * The Blenders that the corpus runs on: the program on the PATH, and the module `bpy` behind the shim.
 *
 * `.ci/bpy` installs the module; `TABLAO_BPY` names another Python that has one.
 */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { versionOf, type Version } from "./corpus.ts";

/** A Blender that can be started. */
export interface Blender {
  program: string;
  /** As it says itself: `4.5.15`. */
  full: string;
  version: Version;
}

const SHIM = path.resolve(import.meta.dirname, "shim/blender.py");
/** Where `.ci/bpy` installs it. */
const BPY = "bpy-4.5.15/bin/python";

/** The Python that has `bpy`; undefined where there is none. */
export function pythonWithBpy(): string | undefined {
  const { TABLAO_BPY, TABLAO_CACHE } = process.env;
  const python = TABLAO_BPY || path.join(TABLAO_CACHE || path.join(homedir(), ".cache/tablao"), BPY);
  return existsSync(python) ? python : undefined;
}

/** Write a program `blender` into this folder that runs the shim; returns its path. */
export function writeShim(folder: string, python: string): string {
  const program = path.join(folder, "blender");
  writeFileSync(program, `#!/bin/sh\nexec '${python}' '${SHIM}' "$@"\n`, { mode: 0o755 });
  return program;
}

/** A path, or a name on the PATH, as an absolute path. An agent takes no other. */
function absolute(program: string): string {
  if (program.includes(path.sep)) return path.resolve(program);
  const places = (process.env["PATH"] ?? "").split(path.delimiter).map((folder) => path.resolve(folder, program));
  return places.find((place) => existsSync(place)) ?? program;
}

/** Ask a program for its version. Throws when it is no Blender. */
export function blenderAt(given: string): Blender {
  const program = absolute(given);
  const output = execFileSync(program, ["--version"], { encoding: "utf8", timeout: 120_000, stdio: "pipe" });
  const full = /^Blender (\d+\.\d+(?:\.\d+)?)/m.exec(output)?.[1];
  if (full === undefined) throw new Error(`${program} does not say which Blender it is`);
  return { program, full, version: versionOf(full) };
}
