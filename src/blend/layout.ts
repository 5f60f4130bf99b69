/**
 * Where each file of a traced scene lies in the folder of a lease, and which stored paths must be rewritten
 * for it. Pure. Why copies are rewritten: docs/decisions/032-scenes-of-any-layout.md.
 *
 * The files keep their places to each other: everything below the deepest folder that holds them all. So a
 * relative path is as true there as here. Paths that are absolute, or spelled in another case than the disk
 * spells them, are rewritten to relative ones in a copy of the .blend.
 */
import { foldedPath, whyNoInputPath } from "../protocol/path-rules.ts";
import { folderOf, isRelativeStored, normalStored, splitFull, storedFrom } from "./stored-path.ts";
import type { PathField } from "./types.ts";
import type { Reference, Trace } from "./trace.ts";

/** New content of a field of the decompressed .blend. */
export interface Patch extends PathField {
  text: string;
}

export interface PlacedFile {
  /** Full path here. */
  file: string;
  /** Path in the lease's folder: relative, with `/`. */
  path: string;
  /** For a .blend: what a copy of it must hold elsewhere. */
  patches: Patch[];
}

export interface Layout {
  /** The .blend is first. */
  files: PlacedFile[];
  /** What cannot be sent, each as a sentence with its cure. */
  wrong: string[];
  /** The same for files that only go along: they are left out. */
  leftOut: string[];
}

const RELATIVE_CURE = "In Blender, File > External Data > Make Paths Relative helps.";

/**
 * Lay out a traced scene, together with other files that go along (full paths). The names of folders above
 * the deepest common one are not used, so no worker sees them.
 */
export function layOut(trace: Trace, others: readonly string[] = []): Layout {
  const traced = trace.files.map(({ path }) => path);
  const placeOf = placesOf([...traced, ...others]);
  const wrong: string[] = [];
  const leftOut: string[] = [];
  const known = new Set(traced);
  const along = [...new Set(others)].filter((file) => {
    const why = known.has(file) ? undefined : whyNoInputPath(placeOf(file).join("/"));
    if (why !== undefined) leftOut.push(`${file} cannot be sent: its path ${why}`);
    return why === undefined && !known.has(file);
  });
  const paths = [...traced, ...along];
  const patches = new Map<string, Patch[]>();
  for (const reference of trace.references) {
    const patch = patchOf(reference, placeOf, wrong);
    if (patch) patches.set(reference.from, [...(patches.get(reference.from) ?? []), ...patch]);
  }
  const files = paths.map((file): PlacedFile => ({
    file,
    path: placeOf(file).join("/"),
    patches: distinct(patches.get(file) ?? []),
  }));
  wrong.push(...wrongNames(files));
  return { files, wrong: [...new Set(wrong)], leftOut };
}

/** The names of the folders of a full path: a drive or share counts as one. */
function allNames(path: string): string[] {
  const { root, names } = splitFull(path);
  const drive = root === "/" ? [] : root.split("/").filter((part) => part !== "");
  return [...drive.map((part) => part.replace(":", "")), ...names];
}

/** The place of each full path, as names below the deepest folder that holds all `paths`. */
function placesOf(paths: readonly string[]): (path: string) => string[] {
  const folders = paths.map((path) => allNames(folderOf(path)));
  const first = folders[0] ?? [];
  let common = first.length;
  for (const names of folders) {
    let same = 0;
    while (same < common && names[same] === first[same]) same++;
    common = same;
  }
  return (path) => allNames(path).slice(common);
}

/** The patches that make a reference true in the lease's folder; undefined when it is true already. */
function patchOf(
  { from, external, stored, place }: Reference,
  placeOf: (path: string) => string[],
  wrong: string[],
): Patch[] | undefined {
  const text = storedFrom(placeOf(from).slice(0, -1), placeOf(place));
  if (isRelativeStored(stored) && normalStored(stored) === text) return undefined;
  const what = `${external.kind} "${external.owner}" is stored as '${stored}'`;
  const [first] = external.fields;
  if (first === undefined) {
    wrong.push(`${what}, which no worker can find. ${RELATIVE_CURE}`);
    return undefined;
  }
  const [fields, content] =
    external.layout === "path" ? [external.fields, text] : [[first], `${text.slice(0, text.lastIndexOf("/"))}/`];
  const bytes = new TextEncoder().encode(content).length;
  const most = Math.min(...fields.map(({ capacity }) => capacity)) - 1;
  if (bytes > most) {
    wrong.push(
      `${what}; '${content}' has ${bytes} bytes, and Blender keeps ${most}. Move the file nearer to the scene.`,
    );
    return undefined;
  }
  return fields.map((field) => ({ ...field, text: content }));
}

/** One patch for each field: two data-blocks may share one. */
function distinct(patches: readonly Patch[]): Patch[] {
  return [...new Map(patches.map((patch) => [patch.offset, patch])).values()].toSorted((a, b) => a.offset - b.offset);
}

/** Names that some system cannot have, and names that are one file on some systems. */
function wrongNames(files: readonly PlacedFile[]): string[] {
  const wrong: string[] = [];
  const seen = new Map<string, string>();
  for (const { path } of files) {
    const why = whyNoInputPath(path);
    if (why !== undefined) wrong.push(`'${path}' cannot be sent: its path ${why}. Rename it, here and in the scene.`);
    const form = foldedPath(path);
    const other = seen.get(form);
    if (other !== undefined)
      wrong.push(
        `'${other}' and '${path}' are one file on Windows and macOS. Rename one of them, here and in the scene.`,
      );
    seen.set(form, path);
  }
  return wrong;
}
