/**
 * All files that a .blend needs, found on this machine or in a dropped folder: its libraries, what those
 * need in turn, and each file of sequences and of UDIM textures. What is missing is named, all of it at once.
 */
import { messageOf } from "../lib/errors.ts";
import { OWN_NAME } from "./collect-simulations.ts";
import type { FileTree, TreeEntry } from "./file-tree.ts";
import { isTiled, nameOfNumber, numberedName, rangesText, sequenceIn, tilePath, tilesIn } from "./file-set.ts";
import { folderOf, fullPathOf, inFolder, nameOf, normalFull, splitFull } from "./stored-path.ts";
import {
  BlendError,
  type BlendContents,
  type BlendSummary,
  type ByteSource,
  type ExternalFile,
  type Roots,
} from "./types.ts";

/** Reads a .blend; throws `BlendError` for what is none. */
export type ReadBlend = (source: ByteSource, roots: Roots) => Promise<BlendContents>;

/** A path in a .blend, and the files that it stands for. */
export interface Reference {
  /** Full path of the .blend that holds the path. */
  from: string;
  external: ExternalFile;
  /** The stored path, with the file's own name in it where Blender puts that. */
  stored: string;
  /**
   * The full path that the stored one stands for, as the tree spells it; of a set, that of the named file or
   * pattern in the set's folder.
   */
  place: string;
}

/** A file that is sent. */
export interface TracedFile {
  /** Full path, as the disk spells it. */
  path: string;
  size: number;
  kind: ExternalFile["kind"] | "scene";
  /** The data-block that names it, or the name of the .blend. */
  owner: string;
}

/** A file that the render needs, and that is not there or cannot be right. */
export interface Missing {
  kind: ExternalFile["kind"];
  owner: string;
  /** As stored. */
  path: string;
  /** Name of the .blend that holds the path. */
  blend: string;
  /** A phrase: `is not there`. */
  why: string;
}

/** A file that is there and is named, but that no picture depends on. It is not sent. */
export interface Unused {
  kind: ExternalFile["kind"];
  owner: string;
  path: string;
  bytes: number;
}

export interface Trace {
  /** Full path of the .blend. */
  main: string;
  summary: BlendSummary;
  /** The .blend is first, its libraries among the others. Each path is there once. */
  files: TracedFile[];
  /** All paths of which a file is sent. */
  references: Reference[];
  missing: Missing[];
  unused: Unused[];
  /** Summaries of the libraries, by full path. */
  libraries: Map<string, BlendSummary>;
}

export interface TraceOptions {
  /** The scene that renders; the active one when not given. */
  scene?: string | undefined;
  /** Unused files count as used, because scripts of the scene may use any. */
  takesAll?: boolean;
  /** Full paths of files that a person named: they may lie in hidden folders. */
  allowed?: ReadonlySet<string>;
}

/** A library can be named by hundreds of files in a circle; Blender itself stops at no depth. */
const MAX_BLENDS = 2_000;
/** A folder of a cache can hold folders of its own. */
const MAX_CACHE_DEPTH = 8;
/** More than a task can have, so that the submission says what is too much, not the trace. */
const MAX_FILES = 50_000;

/** A Git LFS pointer is at most so long: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
const MAX_POINTER_BYTES = 1_024;
const POINTER_START = "version https://git-lfs";

/**
 * Trace a .blend. Throws `BlendError` when it cannot be read itself; a library that cannot be read is
 * missing.
 */
export async function traceBlend(
  main: string,
  tree: FileTree,
  read: ReadBlend,
  options: TraceOptions = {},
): Promise<Trace> {
  return await new Tracer(tree, read, options).run(normalFull(main));
}

/**
 * Whether a name on the way to a file begins with a dot, beyond the folders that lead to the scene, too.
 * A scene of somebody else may name `~/.ssh/id_ed25519` as a texture, and no person would see it leave.
 */
function isHidden(path: string, sceneFolder: string): boolean {
  const known = new Set(splitFull(sceneFolder).names);
  return splitFull(path).names.some((name) => name.startsWith(".") && !known.has(name));
}

/** The stored path. A file does not know its own name, by which Blender names the folder of its caches. */
function storedPathOf({ path }: ExternalFile, blend: string): string {
  return path.replace(OWN_NAME, nameOf(blend).replace(/\.blend$/i, ""));
}

/** What a path stands for. */
interface Found {
  there: TreeEntry[];
  /** What is wrong with it; undefined when nothing is. */
  why: string | undefined;
  /** As in `Reference`. */
  place: string;
}

/** A library that is to be read, and who names it. */
interface Link {
  path: string;
  from: string;
  external: ExternalFile;
}

class Tracer {
  readonly #tree: FileTree;
  readonly #read: ReadBlend;
  readonly #options: TraceOptions;
  /** The folder of the .blend, with all links followed. */
  #folder = "/";
  readonly #files = new Map<string, TracedFile>();
  readonly #references: Reference[] = [];
  readonly #missing: Missing[] = [];
  readonly #unused: Unused[] = [];
  readonly #libraries = new Map<string, BlendSummary>();
  /** What is linked from each library, by full path. */
  readonly #linked = new Map<string, Set<string>>();
  /** Paths of this .blend that were seen already: a library is read again when more is linked from it. */
  readonly #seen = new Map<string, Set<string>>();

  constructor(tree: FileTree, read: ReadBlend, options: TraceOptions) {
    this.#tree = tree;
    this.#read = read;
    this.#options = options;
  }

  async run(main: string): Promise<Trace> {
    const entry = await this.#tree.entry(main);
    if (!entry || entry.isFolder) throw new BlendError(`there is no file ${main}`);
    this.#folder = folderOf(entry.target);
    this.#files.set(entry.path, { path: entry.path, size: entry.size, kind: "scene", owner: nameOf(entry.path) });
    const roots: Roots = { scene: this.#options.scene };
    const { summary, externals } = await this.#tree.withFile(entry.path, (source) => this.#read(source, roots));
    const waiting = await this.#follow(entry.path, externals);
    for (let link = waiting.pop(); link !== undefined; link = waiting.pop())
      waiting.push(...(await this.#library(link)));
    return {
      main: entry.path,
      summary,
      files: [...this.#files.values()],
      references: this.#references,
      missing: this.#missing,
      unused: this.#unused,
      libraries: this.#libraries,
    };
  }

  /** Read a library; answers with the libraries that must be read because of it. */
  async #library({ path, from, external }: Link): Promise<Link[]> {
    if (this.#libraries.size > MAX_BLENDS) throw new BlendError(`the scene has more than ${MAX_BLENDS} libraries`);
    let contents: BlendContents;
    try {
      const linked = new Set(this.#linked.get(path));
      contents = await this.#tree.withFile(path, (source) => this.#read(source, { linked }));
    } catch (thrown) {
      this.#lack(from, external, `cannot be read: ${messageOf(thrown)}`);
      return [];
    }
    this.#libraries.set(path, contents.summary);
    const gone = contents.missingData.filter((name) => external.linked?.includes(name));
    if (gone.length > 0)
      this.#lack(from, external, `no longer has ${gone.map((name) => `"${name.slice(2)}"`).join(", ")}`);
    return await this.#follow(path, contents.externals);
  }

  /** Take what a .blend names; answers with the libraries that are to be read, or read again. */
  async #follow(blend: string, externals: readonly ExternalFile[]): Promise<Link[]> {
    const seen = this.#seen.get(blend) ?? new Set();
    this.#seen.set(blend, seen);
    const links: Link[] = [];
    for (const external of externals) {
      // The library's own reading finds it, at the library's place.
      if (external.library !== undefined) continue;
      const used = external.used || external.kind === "library" || this.#options.takesAll === true;
      const key = JSON.stringify([external.kind, external.path, external.names, used, external.linked]);
      if (external.kind === "library") {
        const path = await this.#linkLibrary(blend, external, seen.has(key));
        if (path !== undefined) links.push({ path, from: blend, external });
      } else if (!seen.has(key)) await this.#take(blend, external, used);
      seen.add(key);
    }
    return links;
  }

  /** The library to read, when there is more to find in it than before. */
  async #linkLibrary(blend: string, external: ExternalFile, wasSeen: boolean): Promise<string | undefined> {
    const wanted = fullPathOf(external.path, folderOf(blend));
    const entry = await this.#tree.entry(wanted);
    if (!wasSeen) {
      const why = await this.#whyWrong(wanted, entry);
      if (why !== undefined) {
        // A library that only unused data come from is no reason to stop; Blender loads without it.
        if (external.used) this.#lack(blend, external, why);
        return undefined;
      }
      this.#add(blend, external, entry!.path, [entry!]);
    }
    if (!entry || entry.isFolder) return undefined;
    const linked = this.#linked.get(entry.path) ?? new Set();
    const before = this.#linked.has(entry.path) ? linked.size : -1;
    for (const name of external.linked ?? []) linked.add(name);
    this.#linked.set(entry.path, linked);
    return linked.size === before ? undefined : entry.path;
  }

  async #take(blend: string, external: ExternalFile, used: boolean): Promise<void> {
    const wanted = fullPathOf(storedPathOf(external, blend), folderOf(blend));
    const { there, why, place } = await this.#find(external, wanted);
    if (!used) {
      if (there.length > 0) {
        const bytes = there.reduce((sum, { size }) => sum + size, 0);
        this.#unused.push({ kind: external.kind, owner: external.owner, path: external.path, bytes });
      }
      return;
    }
    if (why !== undefined && !this.#mayLack(external)) this.#lack(blend, external, why);
    if (there.length > 0) this.#add(blend, external, place, there);
  }

  /** Whether the picture is right without it. An OSL script runs only where scripts may run. */
  #mayLack({ kind, silent, optional }: ExternalFile): boolean {
    return silent === true || optional === true || (kind === "osl" && this.#options.takesAll !== true);
  }

  #lack(blend: string, external: ExternalFile, why: string): void {
    const { kind, owner } = external;
    this.#missing.push({ kind, owner, path: storedPathOf(external, blend), blend: nameOf(blend), why });
  }

  #add(blend: string, external: ExternalFile, place: string, there: readonly TreeEntry[]): void {
    for (const { path, size } of there) {
      if (!this.#files.has(path)) this.#files.set(path, { path, size, kind: external.kind, owner: external.owner });
      if (this.#files.size > MAX_FILES) throw new BlendError(`the scene names more than ${MAX_FILES} files`);
    }
    const stored = storedPathOf(external, blend);
    this.#references.push({ from: blend, external, stored, place });
  }

  /** The files that a path stands for, and what is wrong with them. */
  async #find(external: ExternalFile, wanted: string): Promise<Found> {
    switch (external.kind) {
      case "cache folder":
        return await this.#findCache(external, wanted);
      case "udim":
        return await this.#findTiles(external, wanted);
      case "sequence":
      case "clip sequence":
      case "volume sequence":
      case "cache file sequence":
        return await this.#findSequence(external, wanted);
      case "strip images": {
        const place = await this.#inItsFolder(wanted);
        const names = external.names ?? [nameOf(wanted)];
        const paths = [...new Set(names)].map((name) => inFolder(folderOf(place), name));
        return { ...(await this.#findAll(paths)), place };
      }
      case "library":
      case "image":
      case "movie":
      case "font":
      case "sound":
      case "clip":
      case "cache file":
      case "volume":
      case "mesh cache":
      case "ies":
      case "osl":
      case "text":
      case "strip movie":
      case "strip sound":
      case "import":
        return isTiled(nameOf(wanted)) ? await this.#findTiles(external, wanted) : await this.#findOne(wanted);
    }
  }

  /** A path whose folder is spelled as the tree spells it. */
  async #inItsFolder(wanted: string): Promise<string> {
    const folder = await this.#tree.entry(folderOf(wanted));
    return folder?.isFolder === true ? inFolder(folder.path, nameOf(wanted)) : wanted;
  }

  async #findOne(wanted: string): Promise<Found> {
    const found = await this.#findAll([wanted]);
    return { ...found, place: found.there[0]?.path ?? wanted };
  }

  /** Files that must all be there. */
  async #findAll(paths: readonly string[]): Promise<Omit<Found, "place">> {
    const there: TreeEntry[] = [];
    const wrong: { path: string; why: string }[] = [];
    for (const path of paths) {
      const entry = await this.#tree.entry(path);
      const why = await this.#whyWrong(path, entry);
      if (why === undefined) there.push(entry!);
      else wrong.push({ path, why });
    }
    const first = wrong[0];
    if (first === undefined) return { there, why: undefined };
    if (paths.length === 1) return { there, why: first.why };
    const more = wrong.length > 1 ? ` (and ${wrong.length - 1} more of ${paths.length})` : "";
    return { there, why: `'${nameOf(first.path)}' ${first.why}${more}` };
  }

  async #findSequence(external: ExternalFile, wanted: string): Promise<Found> {
    const numbered = numberedName(nameOf(wanted));
    if (numbered === undefined) return await this.#findOne(wanted);
    const place = await this.#inItsFolder(wanted);
    const folder = folderOf(place);
    const found = sequenceIn(await this.#tree.names(folder), numbered);
    if (found.size === 0) return { there: [], why: await this.#whyNotThere(place), place };
    const numbers = [...found.keys()].toSorted((a, b) => a - b);
    const all = { ...(await this.#findAll(numbers.map((number) => inFolder(folder, found.get(number)!)))), place };
    if (external.frames === undefined || all.why !== undefined) return all;
    const holes: number[] = [];
    const last = Math.min(external.frames.last, external.frames.first + MAX_FILES);
    for (let number = external.frames.first; number <= last; number++) if (!found.has(number)) holes.push(number);
    if (holes.length === 0) return all;
    const name = nameOfNumber(numbered, holes[0]!);
    const what =
      holes.length === 1 ? `'${name}' is not there` : `${holes.length} files are not there (${rangesText(holes)})`;
    return { ...all, why: what };
  }

  async #findTiles(external: ExternalFile, wanted: string): Promise<Found> {
    const place = await this.#inItsFolder(wanted);
    const folder = folderOf(place);
    const name = nameOf(place);
    const there = new Set(tilesIn(await this.#tree.names(folder), name));
    const lacking = (external.tiles ?? []).filter((tile) => !there.has(tilePath(name, tile)));
    if (there.size === 0) return { there: [], why: await this.#whyNotThere(place), place };
    const all = { ...(await this.#findAll([...there].map((one) => inFolder(folder, one)))), place };
    if (all.why !== undefined || lacking.length === 0) return all;
    return { ...all, why: `${lacking.length === 1 ? "tile" : "tiles"} ${lacking.join(", ")} not there` };
  }

  async #findCache(external: ExternalFile, wanted: string): Promise<Found> {
    const found: TreeEntry[] = [];
    const walk = async (folder: string, prefixes: readonly string[] | undefined, depth: number): Promise<void> => {
      for (const name of await this.#tree.names(folder)) {
        if (prefixes && !prefixes.some((prefix) => name.startsWith(prefix))) continue;
        const entry = await this.#tree.entry(inFolder(folder, name));
        if (!entry) continue;
        if (!entry.isFolder) found.push(entry);
        else if (depth < MAX_CACHE_DEPTH) await walk(entry.path, undefined, depth + 1);
      }
    };
    const folder = await this.#tree.entry(wanted);
    const place = folder?.isFolder === true ? folder.path : wanted;
    await walk(place, external.prefixes, 0);
    return { there: found, why: found.length > 0 ? undefined : "is an empty folder, or not there", place };
  }

  /** A phrase for a file that cannot be right; undefined when nothing speaks against it. */
  async #whyWrong(path: string, entry: TreeEntry | undefined): Promise<string | undefined> {
    if (entry === undefined) return await this.#whyNotThere(path);
    if (entry.isFolder) return "is a folder, not a file";
    if (isHidden(entry.target, this.#folder) && this.#options.allowed?.has(entry.path) !== true)
      return "lies in a hidden folder: only --include sends it";
    if (entry.size === 0) return "is empty";
    if (entry.unreadable !== undefined) return `cannot be read: ${entry.unreadable}`;
    if (entry.size > MAX_POINTER_BYTES) return undefined;
    try {
      const start = await this.#tree.withFile(entry.path, (source) => source.read(0, Math.min(entry.size, 64)));
      const isPointer = new TextDecoder("latin1").decode(start).startsWith(POINTER_START);
      return isPointer ? "is a pointer of Git LFS, not the file itself: 'git lfs pull' fetches it" : undefined;
    } catch (thrown) {
      return `cannot be read: ${messageOf(thrown)}`;
    }
  }

  async #whyNotThere(path: string): Promise<string> {
    const name = nameOf(path).toLowerCase();
    const other = (await this.#tree.names(folderOf(path))).find((one) => one.toLowerCase() === name);
    return other === undefined ? "is not there" : `is not there; '${other}' is, and differs in upper and lower case`;
  }
}
