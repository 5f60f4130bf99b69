/** What a person is told of a scene before it is sent. */
import path from "node:path";
import { isAllowed } from "../blend/allow-missing.ts";
import type { Missing } from "../blend/trace.ts";
import { CliError, EXIT } from "./failure.ts";
import type { SceneFile, SceneToSend } from "./scene.ts";
import { bytes, count } from "./text.ts";

/** How many files are listed when not all are asked for: the largest ones. */
const LISTED = 8;
/** How many missing files are named: more would push the first ones off the screen. */
const NAMED = 20;

const sum = (files: readonly SceneFile[]): number => files.reduce((all, { size }) => all + size, 0);

/** The scene in one line, the largest files, and the warnings. */
export function sceneLines(file: string, scene: SceneToSend): string[] {
  const largest = scene.files.toSorted((a, b) => b.size - a.size).slice(0, LISTED);
  const rest = scene.files.length - largest.length;
  const left = sum(scene.files) - sum(largest);
  return [
    headLine(file, scene),
    `${count(scene.files.length, "file")}, ${bytes(sum(scene.files))}:`,
    ...fileLines(largest),
    ...(rest > 0 ? [`${bytes(left).padStart(10)}  ${count(rest, "other file")} (--dry-run lists all)`] : []),
    ...remarks(scene),
  ];
}

/** The same with all files, and with what is missing. */
export function dryRunLines(file: string, scene: SceneToSend): string[] {
  const problems = [...scene.preflight.problems, ...scene.missing.map(missingLine)];
  return [
    headLine(file, scene),
    `${count(scene.files.length, "file")}, ${bytes(sum(scene.files))}:`,
    ...fileLines(scene.files),
    ...remarks(scene),
    ...scene.skipped.map((line) => `left out: ${line}`),
    ...problems.map((line) => `problem: ${line}`),
    problems.length === 0 ? "nothing was sent (--dry-run)" : "nothing was sent, and submit would refuse it",
  ];
}

/** The same as one JSON value. */
export function dryRunValue(scene: SceneToSend): Record<string, unknown> {
  const { summary, preflight, files, missing, unused, excluded, skipped } = scene;
  return {
    blender: summary.versionText,
    scene: preflight.scene?.name ?? null,
    frames: preflight.frames ?? null,
    format: preflight.format ?? null,
    fps: preflight.fps ?? null,
    files: files.map(({ path: place, size, kind }) => ({ path: place, bytes: size, kind })),
    missing: missing.map(({ kind, owner, path: stored, blend, why }) => ({ kind, owner, path: stored, blend, why })),
    unused: unused.map(({ kind, owner, path: stored, bytes: size }) => ({ kind, owner, path: stored, bytes: size })),
    excluded,
    left_out: skipped,
    problems: preflight.problems,
    warnings: preflight.warnings,
  };
}

/**
 * The error for a scene that cannot be rendered rightly; undefined for one that can. `allowed`: what may be missing, as
 * patterns; true for everything.
 */
export function missingError(
  { missing, preflight }: SceneToSend,
  allowed: readonly string[] | true,
): CliError | undefined {
  const [problem, ...others] = preflight.problems;
  if (problem !== undefined)
    return new CliError(EXIT.usage, problem, others.length > 0 ? others.join("\n") : undefined);
  const left = allowed === true ? [] : missing.filter((one) => !isAllowed(one, allowed));
  if (left.length === 0) return undefined;
  const named = left.slice(0, NAMED).map((one) => `  ${missingLine(one)}`);
  if (left.length > NAMED) named.push(`  and ${left.length - NAMED} more (--dry-run names all)`);
  return new CliError(
    EXIT.usage,
    [`the scene needs ${count(left.length, "file")} that cannot be sent:`, ...named].join("\n"),
    "Put them where the scene names them, or relink them in Blender (File > External Data > Find Missing Files); or render without them: --allow-missing PATTERN.",
  );
}

/** What is missing and may be, in a bounded number of lines. */
export function allowedLines({ missing }: SceneToSend): string[] {
  const lines = missing.slice(0, NAMED).map((one) => `warning: ${missingLine(one)}`);
  return missing.length > NAMED
    ? [...lines, `warning: and ${missing.length - NAMED} more (--dry-run names all)`]
    : lines;
}

function missingLine({ kind, owner, path: stored, blend, why }: Missing): string {
  return `${kind} "${owner}" of ${blend}: ${stored} ${why}`;
}

function headLine(file: string, { summary, preflight }: SceneToSend): string {
  const { scene, frames, format } = preflight;
  if (scene === undefined) return `${path.basename(file)}: Blender ${summary.versionText}, no scene`;
  const percent = scene.percentage === 100 ? "" : ` at ${scene.percentage} %`;
  return [
    `${path.basename(file)}: Blender ${summary.versionText}`,
    `scene "${scene.name}"`,
    `frames ${frames}`,
    `${scene.width}×${scene.height}${percent}`,
    scene.engine,
    ...(format === undefined ? [] : [format]),
  ].join(", ");
}

function fileLines(files: readonly SceneFile[]): string[] {
  return files.map(({ path: place, size, kind }) => `${bytes(size).padStart(10)}  ${place} (${kind})`);
}

function remarks({ preflight, unused, excluded }: SceneToSend): string[] {
  const lines: string[] = [];
  if (unused.length > 0) {
    const size = unused.reduce((all, one) => all + one.bytes, 0);
    const names = unused.slice(0, 5).map(({ owner }) => `"${owner}"`);
    const more = unused.length > names.length ? ", …" : "";
    lines.push(`not sent, because no picture depends on them: ${names.join(", ")}${more} (${bytes(size)})`);
  }
  if (excluded.length > 0) lines.push(`not sent, because of --exclude: ${count(excluded.length, "file")}`);
  return [...lines, ...preflight.warnings.map((line) => `warning: ${line}`)];
}
