/**
 * The files of a .blend for a submission: what the scene needs, found on this machine, placed so that every
 * worker finds it, with copies of those .blend files whose paths must be different there.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { layOut, type Patch } from "../blend/layout.ts";
import { preflight, type Preflight } from "../blend/preflight.ts";
import { openBlend } from "../blend/open.ts";
import { readContents } from "../blend/read-contents.ts";
import { patchedContent, segmentsOf, type Segment } from "../blend/rewrite.ts";
import { traceBlend, type Missing, type Trace, type Unused } from "../blend/trace.ts";
import { BlendError, type BlendSummary } from "../blend/types.ts";
import { PICTURE_EXTENSIONS } from "../compilers/frame-name.ts";
import { messageOf } from "../lib/errors.ts";
import { fitsPattern } from "../lib/wildcard.ts";
import { DiskTree, fullOf } from "./disk-tree.ts";
import { CliError, EXIT } from "./failure.ts";
import { collectIncluded, type LocalInput } from "./inputs.ts";

export interface SceneFlags {
  include: readonly string[];
  exclude: readonly string[];
  scene?: string | undefined;
  camera?: string | undefined;
  engine?: string | undefined;
  format?: string | undefined;
  hasPreset?: boolean;
  autoexec: boolean;
}

/** A file of the submission. */
export interface SceneFile extends LocalInput {
  /** Bytes. */
  size: number;
  /** What it is to the scene: `image`, `library`, `scene`; `included` for one of --include. */
  kind: string;
}

/** A scene that can be sent. */
export interface SceneToSend {
  /** The .blend is first. */
  files: SceneFile[];
  summary: BlendSummary;
  preflight: Preflight;
  missing: Missing[];
  unused: Unused[];
  /** What is not sent of the included folders, each as a sentence. */
  skipped: string[];
  /** Paths of files that --exclude left out. */
  excluded: string[];
}

/**
 * Read and trace the scene, and call `use` with it; the copies are gone afterwards. Throws `CliError` for what
 * cannot be read or placed. What is missing is in the answer: the caller decides.
 */
export async function withScene<T>(
  blend: string,
  flags: SceneFlags,
  use: (scene: SceneToSend) => Promise<T>,
): Promise<T> {
  const tree = new DiskTree();
  const included = await collectIncluded(blend, flags.include);
  const others = included.files.map(fullOf);
  const trace = await traced(blend, tree, flags, new Set(others));
  const layout = layOut(trace, others);
  if (layout.wrong.length > 0) {
    const [first, ...more] = layout.wrong;
    throw new CliError(EXIT.usage, first!, more.length > 0 ? more.slice(0, 20).join("\n") : undefined);
  }
  const kinds = new Map(trace.files.map((file) => [file.path, file.kind]));
  const excluded: string[] = [];
  const kept = layout.files.filter(({ path: place, file }) => {
    const isOut = file !== trace.main && flags.exclude.some((pattern) => fitsPattern(pattern, place));
    if (isOut) excluded.push(place);
    return !isOut;
  });
  const copies = new Copies();
  try {
    const files: SceneFile[] = [];
    for (const { file, path: place, patches } of kept) {
      const sent = patches.length > 0 ? await copies.write(file, patches, tree) : file;
      files.push({ path: place, file: sent, size: (await stat(sent)).size, kind: kinds.get(file) ?? "included" });
    }
    const name = path.basename(blend);
    const found = preflight(name, trace.summary, { ...flags, formats: Object.keys(PICTURE_EXTENSIONS) });
    const skipped = [...included.skipped, ...layout.leftOut];
    const { summary, missing, unused } = trace;
    return await use({ files, summary, preflight: found, missing, unused, skipped, excluded });
  } finally {
    await copies.remove();
  }
}

async function traced(
  blend: string,
  tree: DiskTree,
  { scene, autoexec }: SceneFlags,
  allowed: ReadonlySet<string>,
): Promise<Trace> {
  const main = fullOf(path.resolve(blend));
  try {
    return await traceBlend(main, tree, readContents, { scene, takesAll: autoexec, allowed });
  } catch (thrown) {
    if (!(thrown instanceof BlendError)) throw thrown;
    throw new CliError(EXIT.usage, `${blend}: ${thrown.message}`);
  }
}

/** Copies of .blend files with rewritten paths, in a folder that only this account can read. */
class Copies {
  #folder: string | undefined;
  #count = 0;

  async write(file: string, patches: readonly Patch[], tree: DiskTree): Promise<string> {
    this.#folder ??= await mkdtemp(path.join(tmpdir(), "scene-copies-"));
    const copy = path.join(this.#folder, `${this.#count++}.blend`);
    try {
      await tree.withFile(file, async (source) => {
        const opened = await openBlend(source);
        const segments = await segmentsOf(opened, source.size, patches);
        const content = segments ? contentOf(file, segments) : patchedContent(opened, patches);
        await pipeline(Readable.from(content), createWriteStream(copy, { mode: 0o600, flags: "wx" }));
      });
    } catch (thrown) {
      throw new CliError(
        EXIT.failed,
        `a copy of ${file} with relative paths cannot be written to ${this.#folder}: ${messageOf(thrown)}`,
        "Make room there, set TMPDIR to another folder, or make the paths relative in Blender (File > External Data).",
      );
    }
    return copy;
  }

  async remove(): Promise<void> {
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function* contentOf(file: string, segments: readonly Segment[]): AsyncGenerator<Uint8Array> {
  for (const segment of segments) {
    if ("bytes" in segment) yield segment.bytes;
    else if (segment.to > segment.from) yield* createReadStream(file, { start: segment.from, end: segment.to - 1 });
  }
}
