/** Archives that stand in for official builds of Blender, made with the system's tar. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { buildPlatformIn } from "../../src/protocol/blender-build.ts";

/** The platform of this machine, as builds name it. */
export const HERE = buildPlatformIn(`${process.platform}-${process.arch}`)!;

export interface MadeArchive {
  file: string;
  name: string;
  bytes: Buffer;
  sha256: string;
}

/** Pack a folder as `<name>`, one of `.tar.xz`, `.tar.gz` or `.tar.zst`. Its top folder keeps its name. */
export function packed(folder: string, into: string, name: string): MadeArchive {
  mkdirSync(into, { recursive: true });
  const file = path.join(into, name);
  const how = name.endsWith(".xz") ? "-J" : name.endsWith(".zst") ? "--zstd" : "-z";
  execFileSync("tar", ["-c", how, "-f", file, "-C", path.dirname(folder), path.basename(folder)]);
  const bytes = readFileSync(file);
  return { file, name, bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/**
 * A folder like that of an official build, with this script as Blender. `more`: other files by their names, for
 * example to make it large.
 */
export function buildFolder(folder: string, script: string, more: Record<string, Uint8Array | string> = {}): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries({ "copyright.txt": "a stand-in\n", ...more })) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
  writeFileSync(path.join(folder, "blender"), script);
  chmodSync(path.join(folder, "blender"), 0o755);
  return folder;
}

/** A script that says this version, and does nothing else. */
export function saysVersion(version: string): string {
  return `#!/bin/sh\necho 'Blender ${version}'\n`;
}
