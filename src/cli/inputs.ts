/**
 * The files that `--include` adds to a submission: files and folders that no path in the scene names.
 */
import { open, readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { isInside } from "../client/paths.ts";
import { isJunk, whyNoInputPath } from "../protocol/path-rules.ts";
import { CliError, EXIT } from "./failure.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { count } from "./text.ts";

/** A file to upload. */
export interface LocalInput {
  /** Path on the worker: relative, with `/`. */
  path: string;
  /** Path on this machine, links resolved. */
  file: string;
}

/** The files of `--include`. */
export interface Included {
  /** Absolute paths, as they were named: links are not resolved. */
  files: string[];
  /** What in the included folders cannot be sent: each as a sentence that says why. */
  skipped: string[];
}

/** How many of the files that are left out are named: more would push everything else off the screen. */
const SKIPPED_NAMED = 10;

/** What is told of files that are left out, in a bounded number of lines. */
export function skippedText(skipped: readonly string[]): string[] {
  if (skipped.length === 0) return [];
  const lines = skipped.slice(0, SKIPPED_NAMED).map((line) => `left out: ${line}`);
  if (skipped.length > lines.length) lines.push(`left out: and ${skipped.length - lines.length} more`);
  const [are, them] = skipped.length === 1 ? ["is", "it"] : ["are", "them"];
  const files = count(skipped.length, "file");
  return [...lines, `${files} of the included folders ${are} not sent; a scene that needs ${them} fails, and says so`];
}

/**
 * All files of the included files and folders, those without use left out. What is odd inside a folder is
 * left out, and named. What was named itself must be there: throws `CliError`. A link inside a folder may
 * lead to a place in that folder or in the folder of the .blend; one that was named may lead anywhere.
 */
export async function collectIncluded(blend: string, includes: readonly string[]): Promise<Included> {
  const beside = await resolved(path.dirname(path.resolve(blend)));
  const found = new Set<string>();
  const skipped: string[] = [];
  for (const include of includes) {
    const named = path.resolve(include);
    const real = await resolved(named);
    const walk = new Walk(path.dirname(named), [real, beside], skipped);
    await walk.visit(named, real, []);
    for (const file of walk.found) found.add(file);
  }
  return { files: [...found], skipped };
}

class Walk {
  readonly found: string[] = [];
  readonly #skipped: string[];
  readonly #base: string;
  readonly #allowed: readonly string[];

  /** `base`: the folder from which names are checked. `allowed`: the real folders in which links may end. */
  constructor(base: string, allowed: readonly string[], skipped: string[]) {
    this.#base = base;
    this.#allowed = allowed;
    this.#skipped = skipped;
  }

  /**
   * Collect a file, or all files of a folder. `named` is the path as it was given, `real` its
   * target; `above` are the real folders on the way, to find circles of links.
   */
  async visit(named: string, real: string, above: readonly string[]): Promise<void> {
    if (!this.#allowed.some((folder) => isInside(folder, real))) {
      throw new CliError(
        EXIT.usage,
        `${shown(named)} is a link to ${real}, outside of the included folder`,
        "Include what it points to, or copy that in its place.",
      );
    }
    const kind = await stat(real).catch((thrown: unknown) => unreadable(named, thrown));
    if (kind.isFile()) {
      await mayRead(named, real);
      this.#take(named);
    } else if (kind.isDirectory()) {
      if (above.includes(real)) throw new CliError(EXIT.usage, `${shown(named)} is a link to a folder that holds it`);
      for (const name of await namesIn(named, real)) {
        try {
          await this.visit(path.join(named, name), await resolved(path.join(real, name)), [...above, real]);
        } catch (thrown) {
          if (!(thrown instanceof CliError)) throw thrown;
          this.#skipped.push(thrown.message);
        }
      }
    } else {
      throw new CliError(EXIT.usage, `${shown(named)} is neither a file nor a folder`);
    }
  }

  #take(named: string): void {
    const relative = path.relative(this.#base, named).split(path.sep).join("/");
    if (isJunk(relative)) return;
    const bad = whyNoInputPath(relative);
    if (bad)
      throw new CliError(
        EXIT.usage,
        `${shown(named)} cannot be sent: its path ${bad}`,
        "Rename it, here and in the scene.",
      );
    this.found.push(named);
  }
}

async function resolved(file: string): Promise<string> {
  return await realpath(file).catch((thrown: unknown) => unreadable(file, thrown));
}

async function namesIn(named: string, real: string): Promise<string[]> {
  return (await readdir(real).catch((thrown: unknown) => unreadable(named, thrown))).toSorted();
}

/** Only to open a file tells for sure whether it can be read. */
async function mayRead(named: string, real: string): Promise<void> {
  const handle = await open(real).catch((thrown: unknown) => unreadable(named, thrown));
  await handle.close();
}

function unreadable(file: string, thrown: unknown): never {
  if (systemCode(thrown) === "ENOENT") throw new CliError(EXIT.usage, `there is no file ${shown(file)}`);
  throw new CliError(EXIT.usage, `${shown(file)} cannot be read: ${messageOf(thrown)}`);
}

function shown(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative === "" ? "." : relative.startsWith("..") ? file : relative;
}
