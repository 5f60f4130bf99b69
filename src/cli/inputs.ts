/**
 * The files of a submission: the .blend, and the folders of `--include`. Paths are relative to the
 * folder of the .blend, so that `//textures/x.png` inside it is found on a worker as it is here.
 */
import { open, readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { isInside } from "../client/paths.ts";
import { whyNoInputPath } from "../protocol/path-rules.ts";
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

/** The files of a submission. */
export interface Collected {
  /** The .blend is first. */
  inputs: LocalInput[];
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
 * The .blend, and all files of the included folders. What is odd inside a folder is left out, and
 * named. What was named itself must be there: throws `CliError`.
 */
export async function collectInputs(blend: string, includes: readonly string[]): Promise<Collected> {
  const file = await resolved(blend);
  if (!(await stat(file)).isFile()) throw new CliError(EXIT.usage, `${blend} is not a file`);
  // The folder of the given name, not of its target: a link to a .blend elsewhere has the
  // neighbours of the link.
  const base = await realpath(path.dirname(path.resolve(blend)));
  const walk = new Walk(base, blend);
  const main = walk.take(path.join(base, path.basename(blend)), file);
  for (const include of includes) {
    const real = await resolved(include);
    const lexical = path.join(
      await realpath(path.dirname(path.resolve(include))),
      path.basename(path.resolve(include)),
    );
    // Whether given through a link or not: the folder must lie in the folder of the .blend, and so
    // must the target of a link.
    const named = isInside(base, lexical) ? lexical : real;
    if (!isInside(base, named)) {
      throw new CliError(
        EXIT.usage,
        `${include} lies outside ${shown(base)}, the folder of ${path.basename(blend)}, so the scene could not find it by a relative path`,
        "Move it there, or pack it into the .blend (File > External Data > Pack Resources).",
      );
    }
    await walk.visit(named, real, []);
  }
  return { inputs: [main, ...walk.found.filter((input) => input !== main)], skipped: walk.skipped };
}

/**
 * How a .blend begins: plain, compressed with zstd (Blender 3.0 and newer), or with gzip (older).
 */
const BLEND_STARTS = [Buffer.from("BLENDER"), Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.from([0x1f, 0x8b])];

/** Throws `CliError` for a file that Blender cannot open, before it is sent. */
export async function mustBeBlend(file: string): Promise<void> {
  const handle = await open(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(8), 0, 8, 0);
    if (BLEND_STARTS.some((start) => buffer.subarray(0, start.length).equals(start))) return;
  } finally {
    await handle.close();
  }
  throw new CliError(EXIT.usage, `${shown(file)} is not a .blend`);
}

class Walk {
  readonly found: LocalInput[] = [];
  readonly skipped: string[] = [];
  readonly #base: string;
  readonly #blend: string;
  readonly #paths = new Map<string, LocalInput>();

  constructor(base: string, blend: string) {
    this.#base = base;
    this.#blend = blend;
  }

  take(named: string, file: string): LocalInput {
    const relative = path.relative(this.#base, named).split(path.sep).join("/");
    const bad = whyNoInputPath(relative);
    if (bad)
      throw new CliError(
        EXIT.usage,
        `${shown(named)} cannot be sent: its path ${bad}`,
        "Rename it, here and in the scene.",
      );
    const present = this.#paths.get(relative);
    if (present) return present;
    const input = { path: relative, file };
    this.#paths.set(relative, input);
    this.found.push(input);
    return input;
  }

  /**
   * Collect a file, or all files of a folder. `named` is the path as it was given, `real` its
   * target; `above` are the real folders on the way, to find circles of links.
   */
  async visit(named: string, real: string, above: readonly string[]): Promise<void> {
    if (!isInside(this.#base, real)) {
      throw new CliError(
        EXIT.usage,
        `${shown(named)} is a link to ${real}, outside the folder of ${path.basename(this.#blend)}`,
        "Copy what it points to in its place.",
      );
    }
    const kind = await stat(real).catch((thrown: unknown) => unreadable(named, thrown));
    if (kind.isFile()) {
      await mayRead(named, real);
      this.take(named, real);
    } else if (kind.isDirectory()) {
      if (above.includes(real)) throw new CliError(EXIT.usage, `${shown(named)} is a link to a folder that holds it`);
      for (const name of await namesIn(named, real)) {
        try {
          await this.visit(path.join(named, name), await resolved(path.join(real, name)), [...above, real]);
        } catch (thrown) {
          if (!(thrown instanceof CliError)) throw thrown;
          this.skipped.push(thrown.message);
        }
      }
    } else {
      throw new CliError(EXIT.usage, `${shown(named)} is neither a file nor a folder`);
    }
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
