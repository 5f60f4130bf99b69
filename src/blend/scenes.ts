/** What a file says of itself: scenes, scripts, simulations. */
import type { DataBlock, Survey } from "./facts.ts";
import { nodeGroups, simulationsOf } from "./simulations.ts";
import { reachable, startOf, surveyOf } from "./survey.ts";
import type { BlendFile, BlendSummary, Roots, SceneSummary } from "./types.ts";

/** `Object.type` */
const CAMERA = 11;

/**
 * What the file says of itself.
 * @param roots what `used` is about
 * @throws BlendError if the file is damaged.
 */
export async function readScene(file: BlendFile, roots: Roots = {}): Promise<BlendSummary> {
  const survey = await surveyOf(file);
  const used = reachable(survey, startOf(survey, roots));
  const { blocks } = survey;
  const isUsed = (block: DataBlock): boolean => used.has(block.number);
  return {
    version: file.version,
    versionText: file.versionText,
    scenes: blocks.filter(({ code }) => code === "SC").map((block) => summaryOf(survey, block)),
    ...(survey.activeScene !== undefined && { activeScene: blocks[survey.activeScene]!.name }),
    textBlocks: blocks.flatMap(({ name, text }) => (text ? [{ name, register: text.register }] : [])),
    drivers: blocks.flatMap((block) =>
      block.drivers.map((driver) => ({ owner: block.name, ...driver, used: isUsed(block) })),
    ),
    simulations: simulationsOf(survey, used),
    addonNodes: blocks.flatMap((block) =>
      block.nodes.addons.map((idname) => ({ owner: block.name, idname, used: isUsed(block) })),
    ),
  };
}

function summaryOf(survey: Survey, block: DataBlock): SceneSummary {
  const { scene } = block;
  const nameOf = (number: number | undefined): string | undefined =>
    number === undefined ? undefined : survey.blocks[number]!.name;
  if (!scene) {
    const library = block.library === undefined ? undefined : survey.blocks[block.library];
    return { ...NOTHING_KNOWN, name: block.name, library: library?.files[0]?.path ?? library?.name ?? "" };
  }
  const { camera, markers, ...facts } = scene;
  const activeCamera = nameOf(camera);
  return {
    name: block.name,
    ...facts,
    cameras: camerasOf(survey, block),
    ...(activeCamera !== undefined && { activeCamera }),
    cameraMarkers: markers.map((marker) => ({ frame: marker.frame, camera: nameOf(marker.camera) ?? "" })),
    fileOutputNodes: facts.usesCompositor
      ? [...nodeGroups(survey, block.number)].flatMap((number) => {
          const { nodes } = survey.blocks[number]!;
          return nodes.isCopy ? [] : nodes.fileOutputs;
        })
      : [],
  };
}

/** A linked scene: this file has only its name. */
const NOTHING_KNOWN: Omit<SceneSummary, "name"> = {
  start: 0,
  end: 0,
  step: 1,
  fps: 0,
  engine: "",
  width: 0,
  height: 0,
  percentage: 100,
  outputPath: "",
  viewLayers: [],
  cameras: [],
  cameraMarkers: [],
  fileOutputNodes: [],
  hasSequencer: false,
  usesCompositor: false,
  multiview: false,
};

/** Cameras in the collections of the scene. */
function camerasOf(survey: Survey, block: DataBlock): string[] {
  const found = new Set([block.number]);
  for (const number of found) for (const member of survey.blocks[number]!.members) found.add(member);
  const names = [...found]
    .map((number) => survey.blocks[number]!)
    .filter(({ type, code }) => code === "OB" && type === CAMERA);
  return names.map(({ name }) => name).toSorted();
}
