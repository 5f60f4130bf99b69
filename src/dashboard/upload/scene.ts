/**
 * A scene among the chosen files: what it needs, what is missing, and what is sent. The page loads this module, and
 * the reader of .blend files with it, when a .blend is chosen.
 */
import { layOut, type Patch } from "../../blend/layout.ts";
import { preflight, type Preflight, type PreflightOptions } from "../../blend/preflight.ts";
import { openBlend } from "../../blend/open.ts";
import { readContents } from "../../blend/read-contents.ts";
import { patchedContent, segmentsOf } from "../../blend/rewrite.ts";
import { traceBlend, type Missing, type Unused } from "../../blend/trace.ts";
import type { BlendSummary } from "../../blend/types.ts";
import { isJunk } from "../../protocol/path-rules.ts";
import { DroppedTree, fullOf } from "./dropped-tree.ts";
import type { Chosen } from "./files.ts";

/** A scene that was read. */
export interface FoundScene {
  summary: BlendSummary;
  preflight: Preflight;
  /** What the scene needs, the .blend first; paths as the workers have them. */
  files: Chosen[];
  /** The path of the .blend among them. */
  file: string;
  /** Chosen files that no path in the scene names, other .blend files left out. */
  others: Chosen[];
  missing: Missing[];
  unused: Unused[];
  /** What cannot be sent, each as a sentence with its cure. */
  wrong: string[];
}

/**
 * Read a scene and find what it needs among the chosen files. `others`: those are laid out, too. Throws `BlendError` for
 * what is no .blend.
 */
export async function findScene(
  chosen: readonly Chosen[],
  scene: string,
  options: PreflightOptions,
  takesOthers: boolean,
): Promise<FoundScene> {
  const tree = new DroppedTree(chosen);
  const trace = await traceBlend(fullOf(scene), tree, readContents, {
    scene: options.scene,
    takesAll: options.autoexec,
  });
  const named = new Set(trace.files.map(({ path }) => path));
  const unnamed = chosen.filter(({ path }) => !named.has(fullOf(path)) && !/\.blend$/i.test(path) && !isJunk(path));
  const layout = layOut(trace, takesOthers ? unnamed.map(({ path }) => fullOf(path)) : []);
  const byPath = new Map(chosen.map((one) => [fullOf(one.path), one.file]));
  const files: Chosen[] = [];
  for (const { file, path, patches } of layout.files) {
    const original = byPath.get(file)!;
    files.push({ path, file: patches.length > 0 ? await copyOf(original, file, patches, tree) : original });
  }
  return {
    summary: trace.summary,
    preflight: preflight(scene.split("/").at(-1)!, trace.summary, options),
    files,
    file: files[0]!.path,
    others: unnamed,
    missing: trace.missing,
    unused: trace.unused,
    wrong: [...layout.wrong, ...layout.leftOut],
  };
}

/** A copy with rewritten paths. Where it can be, it is put together of parts of the file, and takes no memory. */
async function copyOf(original: File, path: string, patches: readonly Patch[], tree: DroppedTree): Promise<File> {
  const parts = await tree.withFile(path, async (source) => {
    const opened = await openBlend(source);
    const segments = await segmentsOf(opened, source.size, patches);
    const parts: BlobPart[] = [];
    if (segments === undefined)
      for await (const chunk of patchedContent(opened, patches))
        parts.push(new Blob([chunk as Uint8Array<ArrayBuffer>]));
    for (const segment of segments ?? []) {
      const isNew = "bytes" in segment;
      parts.push(isNew ? (segment.bytes as Uint8Array<ArrayBuffer>) : original.slice(segment.from, segment.to));
    }
    return parts;
  });
  return new File(parts, original.name, { lastModified: original.lastModified });
}
