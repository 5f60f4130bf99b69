/**
 * One look at all data-blocks of a file, in its order: what each of them is called, which others it uses,
 * and what it names outside the file. Summary and list of files are made from it.
 */
import { driverCollectors } from "./collect-drivers.ts";
import { fileCollectors } from "./collect-files.ts";
import { nodeCollectors } from "./collect-nodes.ts";
import { sceneCollectors } from "./collect-scenes.ts";
import { simulationCollectors } from "./collect-simulations.ts";
import type { Collector, DataBlock, Survey } from "./facts.ts";
import { opened } from "./open.ts";
import { type Owner, ownersOf, type PointerPlace, PointerPlaces } from "./owners.ts";
import type { StructView } from "./struct-view.ts";
import { BlendError, type BlendFile, type Roots } from "./types.ts";

/** More than any real file has; a hostile one must not fill the memory. */
const MAX_FACTS = 2_000_000;

/**
 * Pointers that are no use: the list of all data-blocks of a kind, copies in memory, the way back up, and
 * what only editors show.
 */
const NO_USE = new Set([
  "ID.next",
  "ID.prev",
  "ID.newid",
  "ID.orig_id",
  "Library.parent",
  "Library.archive_parent_library",
  "IDOverrideLibrary.hierarchy_root",
  "bNodeTree.owner_id",
  "Collection.owner_id",
  "ImageUser.scene",
  "Scene.clip",
  "LayerCollection.collection",
]);
/** Pointers from a collection, or from a scene of Blender 2.7, to what is in it. */
const MEMBERS = new Set(["CollectionObject.ob", "CollectionChild.collection", "Base.object"]);
/**
 * Structs whose pointers are of use to editors only: backgrounds of cameras, brushes and other tools.
 */
const EDITOR_STRUCTS = new Set([
  "CameraBGImage",
  "ToolSettings",
  "Sculpt",
  "VPaint",
  "UvSculpt",
  "GpPaint",
  "GpVertexPaint",
  "GpSculptPaint",
  "GpWeightPaint",
  "CurvesSculpt",
  "SequencerToolSettings",
  "PaintToolSlot",
  "ToolSystemBrushBindings",
  "CollectionParent",
  "PreviewImage",
]);
/** Data-blocks that are windows, tools and settings of the program. */
const EDITOR_CODES = new Set(["WM", "SR", "SN", "WS"]);

/** What is read of structs beyond their pointers. */
const COLLECTORS = new Map<string, Collector[]>();
for (const [struct, collector] of [
  ...fileCollectors,
  ...nodeCollectors,
  ...simulationCollectors,
  ...sceneCollectors,
  ...driverCollectors,
]) {
  COLLECTORS.set(struct, [...(COLLECTORS.get(struct) ?? []), collector]);
}

const surveys = new WeakMap<BlendFile, Promise<Survey>>();

/** The survey of a file; it is made once. */
export function surveyOf(file: BlendFile): Promise<Survey> {
  let survey = surveys.get(file);
  if (!survey) surveys.set(file, (survey = makeSurvey(file)));
  return survey;
}

async function makeSurvey(blendFile: BlendFile): Promise<Survey> {
  const file = opened(blendFile);
  const owners = ownersOf(file);
  const survey: Survey = { blocks: [], byAddress: new Map(), sequences: new Map() };
  for (const [number, owner] of owners.entries()) {
    survey.blocks.push(emptyBlock(number, owner.code));
    const address = file.index.addresses[owner.block]!;
    if (owner.code !== "GLOB" && !survey.byAddress.has(address)) survey.byAddress.set(address, number);
  }
  const places = new PointerPlaces(file);
  let library: number | undefined;
  let facts = 0;
  for (const [number, owner] of owners.entries()) {
    const block = survey.blocks[number]!;
    if (EDITOR_CODES.has(owner.code)) continue;
    await readId(owner, block, survey);
    if (owner.code === "LI") library = number;
    if (owner.code === "ID") {
      // Places of linked data-blocks stand behind their library.
      block.placeholder = true;
      if (library !== undefined) {
        block.library = library;
        block.uses.add(library);
      }
      continue;
    }
    await readParts(owner, block, survey, places);
    facts +=
      block.uses.size + block.members.size + block.files.length + block.drivers.length + block.nodes.addons.length;
    if (facts > MAX_FACTS) throw new BlendError("The file has more data than can be read here.");
  }
  return survey;
}

function emptyBlock(number: number, code: string): DataBlock {
  return {
    number,
    code,
    name: "",
    placeholder: false,
    uses: new Set(),
    members: new Set(),
    hidden: false,
    files: [],
    drivers: [],
    simulations: [],
    nodes: { fileOutputs: [], addons: [], simulates: false },
  };
}

/** Name and library of a data-block. */
async function readId(owner: Owner, block: DataBlock, survey: Survey): Promise<void> {
  const id = await owner.follow(owner.file.index.addresses[owner.block], "ID");
  if (!id || owner.code === "GLOB") return;
  const name = id.text("name") ?? "";
  block.name = name.slice(2);
  if (owner.code === "ID") block.code = name.slice(0, 2);
  const library = id.pointer("lib");
  const number = library === undefined ? undefined : survey.byAddress.get(library);
  if (number !== undefined) block.library = number;
}

/** Reads all structs of a data-block that may point to others, or say something that is wanted. */
async function readParts(owner: Owner, block: DataBlock, survey: Survey, places: PointerPlaces): Promise<void> {
  const arrays: number[] = [];
  for (let at = owner.block; at < owner.end; at++) {
    const struct = owner.structOf(at);
    // Raw data has the number of the first struct.
    if (!struct || (struct.index === 0 && at !== owner.block)) continue;
    const pointers = EDITOR_STRUCTS.has(struct.name) ? [] : places.of(struct);
    const collectors = COLLECTORS.get(struct.name) ?? [];
    if (pointers.length === 0 && collectors.length === 0) continue;
    for (const view of await owner.structs(at)) {
      for (const collect of collectors) await collect(owner, view, block, survey);
      for (const place of pointers) addUse(view, place, block, survey, arrays);
    }
  }
  for (const array of arrays) {
    for (const address of await owner.pointers(array)) {
      const number = survey.byAddress.get(address);
      if (number !== undefined) block.uses.add(number);
    }
  }
  block.uses.delete(block.number);
}

function addUse(view: StructView, place: PointerPlace, block: DataBlock, survey: Survey, arrays: number[]): void {
  const address = view.addressAt(place.offset);
  if (address === 0 || NO_USE.has(place.field)) return;
  // Strips of a scene that does not render them.
  if (place.field.startsWith("Sequence.") && block.scene?.hasSequencer === false) return;
  if (place.level === 2) {
    arrays.push(address);
    return;
  }
  const number = survey.byAddress.get(address);
  if (number === undefined) return;
  if (MEMBERS.has(place.field)) block.members.add(number);
  // The picture of an Empty is a reference for the artist, and is not rendered.
  else if (place.field !== "Object.data" || view.number("type") !== 0) block.uses.add(number);
}

/** Numbers of all data-blocks that are needed to render these. */
export function reachable(survey: Survey, start: Iterable<number>): Set<number> {
  const found = new Set(start);
  // The loop goes on with what it adds.
  for (const number of found) {
    const { uses, members } = survey.blocks[number]!;
    for (const used of uses) found.add(used);
    for (const member of members) if (!survey.blocks[member]!.hidden) found.add(member);
  }
  if ([...found].some((number) => survey.blocks[number]!.usesClipOfScene)) {
    for (const number of found) {
      const { clip } = survey.blocks[number]!;
      if (clip !== undefined) found.add(clip);
    }
  }
  return found;
}

/**
 * Numbers of the data-blocks from which rendering begins.
 * @throws BlendError if the file has no such scene.
 */
export function startOf(survey: Survey, roots: Roots): number[] {
  if ("linked" in roots) {
    const { linked } = roots;
    return survey.blocks.filter(({ code, name }) => linked.has(code + name)).map(({ number }) => number);
  }
  if (roots.scene === undefined) return survey.activeScene === undefined ? [] : [survey.activeScene];
  const scene = survey.blocks.find(({ code, name }) => code === "SC" && name === roots.scene);
  if (!scene) throw new BlendError(`The file has no scene "${roots.scene}".`);
  return [scene.number];
}
