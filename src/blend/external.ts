/** What a file names outside itself. */
import type { DataBlock } from "./facts.ts";
import { reachable, startOf, surveyOf } from "./survey.ts";
import type { BlendFile, ExternalFile, Roots } from "./types.ts";

/**
 * Everything outside the file that it names, in the order of the file.
 * @throws BlendError if there is no such scene, or the file is damaged.
 */
export async function externalFiles(file: BlendFile, roots: Roots = {}): Promise<ExternalFile[]> {
  const survey = await surveyOf(file);
  const start = startOf(survey, roots);
  const used = reachable(survey, start);
  const addresses = new Map([...survey.byAddress].map(([address, number]) => [number, address]));
  const linked = new Map<number, string[]>();
  for (const { number, code, name, placeholder, library } of survey.blocks) {
    if (!placeholder || library === undefined || (start.length > 0 && !used.has(number))) continue;
    const names = linked.get(library) ?? [];
    names.push(code + name);
    linked.set(library, names);
  }
  return survey.blocks.flatMap((block) =>
    block.files.map(({ unused = false, ...found }) => {
      const range = found.frames ?? survey.sequences.get(addresses.get(block.number) ?? -1);
      const from = block.library === undefined ? undefined : survey.blocks[block.library];
      const base = from && libraryPath(from);
      return {
        ...found,
        owner: block.name,
        ownerCode: block.code,
        used: used.has(block.number) && !unused,
        ...(base !== undefined && { library: base }),
        ...(range && found.kind.endsWith("sequence") && { frames: range }),
        ...(found.kind === "library" && { linked: linked.get(block.number) ?? [] }),
      };
    }),
  );
}

/** Where a library lies, as stored. */
function libraryPath(library: DataBlock): string | undefined {
  return library.files.find(({ kind }) => kind === "library")?.path ?? library.archivePath;
}
