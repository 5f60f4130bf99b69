/** Reads all that is wanted of a .blend file with one call. */
import { externalFiles } from "./external.ts";
import { openBlend } from "./open.ts";
import { readScene } from "./scenes.ts";
import { surveyOf } from "./survey.ts";
import type { BlendContents, ByteSource, Roots } from "./types.ts";

/**
 * What a file says of itself, and what it needs.
 * @param roots from what rendering begins: a scene, or data-blocks that are linked from this file
 * @throws BlendError with one sentence, if the bytes are no .blend file that can be read, or it has no such scene.
 */
export async function readContents(source: ByteSource, roots: Roots = {}): Promise<BlendContents> {
  const file = await openBlend(source);
  const { blocks } = await surveyOf(file);
  const names = new Set(blocks.map(({ code, name }) => code + name));
  return {
    summary: await readScene(file, roots),
    externals: await externalFiles(file, roots),
    missingData: "linked" in roots ? [...roots.linked].filter((name) => !names.has(name)) : [],
  };
}
