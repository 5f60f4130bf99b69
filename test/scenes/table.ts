/** The table of `docs/blender.md`: what the tests assert of each scene on each Blender. */
import { onVersion, SUBJECTS, VERSIONS, type Scene, type Version } from "./corpus.ts";
import { expectationText } from "./judge.ts";

/** The file below `docs/`, and the name of its block. */
export const TABLE_FILE = "blender.md";
export const TABLE_NAME = "blender-table";

function cell(scene: Scene, version: Version): string {
  const here = onVersion(scene, version);
  if (!here) return "";
  return expectationText(here.expect);
}

/** The table, subject by subject. */
export function blenderTable(): string[] {
  return [
    `| scene | what is special | ${VERSIONS.join(" | ")} |`,
    `|---|---|${VERSIONS.map(() => "---").join("|")}|`,
    ...SUBJECTS.flatMap(({ title, scenes }) => [
      `| **${title}** | |${VERSIONS.map(() => " |").join("")}`,
      ...scenes.map(
        (scene) => `| ${scene.name} | ${scene.what} | ${VERSIONS.map((version) => cell(scene, version)).join(" | ")} |`,
      ),
    ]),
  ];
}
