/** Simulations: which there are, whether their frames are stored, and where on disk. */
import { addFile, addText } from "./collect-files.ts";
import type { Collectors, DataBlock, SimulationFact, Survey } from "./facts.ts";
import type { Owner } from "./owners.ts";
import { listFirst, type StructView } from "./struct-view.ts";
import type { SimulationSummary } from "./types.ts";

/** `PointCache.flag` */
const CACHE_BAKED = 1 << 0;
const CACHE_ON_DISK = 1 << 6;
const CACHE_EXTERNAL = 1 << 9;
/** `ModifierData.mode`: on when rendering. */
const MODIFIER_RENDER = 1 << 1;
/** `FluidModifierData.type` */
const FLUID_DOMAIN = 1 << 0;
/** `FluidDomainSettings.cache_flag` */
const FLUID_BAKED_DATA = 1 << 1;
/** `ParticleSystem.flag` */
const HAIR_DYNAMICS = 1 << 2;
/** `DynamicPaintSurface.flags` */
const SURFACE_ACTIVE = 1 << 0;
/** `RigidBodyWorld.flag` */
const RIGID_BODIES_MUTED = 1 << 0;

/**
 * Stands for the name of the .blend file, without `.blend`, in the path of its cache folder. The file does
 * not know its own name.
 */
export const OWN_NAME = "<BLEND>";

const rendered = (view: StructView): boolean => {
  const mode = view.number("modifier.mode");
  return mode === undefined || (mode & MODIFIER_RENDER) !== 0;
};

/** What a point cache says, and its files on disk. */
function addCache(
  view: StructView | undefined,
  block: DataBlock,
  kind: SimulationSummary["kind"],
  more: Partial<SimulationFact> = {},
): void {
  if (!view) return;
  const flag = view.number("flag") ?? 0;
  const external = (flag & CACHE_EXTERNAL) !== 0;
  const onDisk = (flag & CACHE_ON_DISK) !== 0;
  const baked = (flag & CACHE_BAKED) !== 0 || external;
  block.simulations.push({ kind, baked, start: view.number("startframe"), end: view.number("endframe"), ...more });
  const files = { prefixes: [`${cacheName(view, block)}_`], ...(!baked && { optional: true }) };
  if (external) addFile(block, "cache folder", view.text("path"), view.place("path"), files);
  else if (onDisk) addFile(block, "cache folder", `//blendcache_${OWN_NAME}`, undefined, files);
}

/** Files of a cache begin with its name, or with the name of the object in hexadecimal. */
function cacheName(view: StructView, block: DataBlock): string {
  const name = view.text("name");
  if (name) return name;
  return Array.from(new TextEncoder().encode(block.name), (byte) =>
    byte.toString(16).toUpperCase().padStart(2, "0"),
  ).join("");
}

async function cloth(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  if (rendered(view)) addCache(await owner.follow(view.pointer("point_cache")), block, "cloth");
}

async function softBody(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  if (!rendered(view)) return;
  // The modifier is empty; the object has the settings.
  const object = await owner.follow(owner.file.index.addresses[owner.block]);
  const settings = await owner.follow(object?.pointer("soft"));
  const shared = await owner.follow(settings?.pointer("shared"));
  const cache = shared?.pointer("pointcache") ?? settings?.pointer("pointcache");
  addCache(await owner.follow(cache), block, "soft body");
}

async function rigidBodies(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  const off = ((view.number("flag") ?? 0) & RIGID_BODIES_MUTED) !== 0;
  if (off || view.pointer("group") === undefined) return;
  const shared = await owner.follow(view.pointer("shared"));
  addCache(await owner.follow(shared?.pointer("pointcache") ?? view.pointer("pointcache")), block, "rigid body");
}

async function particles(owner: Owner, view: StructView, block: DataBlock, survey: Survey): Promise<void> {
  const system = rendered(view) ? await owner.follow(view.pointer("psys")) : undefined;
  if (!system) return;
  const settings = system.pointer("part");
  const number = settings === undefined ? undefined : survey.byAddress.get(settings);
  addCache(await owner.follow(system.pointer("pointcache")), block, "particles", {
    particles: number,
    hairDynamics: ((system.number("flag") ?? 0) & HAIR_DYNAMICS) !== 0,
  });
}

async function particleSettings(_owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  block.type = view.number("type");
}

async function dynamicPaint(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  const canvas = rendered(view) ? await owner.follow(view.pointer("canvas")) : undefined;
  if (!canvas) return;
  for (const surface of await owner.list(listFirst(canvas, "surfaces"))) {
    const active = ((surface.number("flags") ?? 0) & SURFACE_ACTIVE) !== 0;
    if (active) addCache(await owner.follow(surface.pointer("pointcache")), block, "dynamic paint");
  }
}

async function fluid(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  if (((view.number("type") ?? 0) & FLUID_DOMAIN) === 0) return;
  const domain = await owner.follow(view.pointer("domain"));
  if (!domain) return;
  const baked = ((domain.number("cache_flag") ?? 0) & FLUID_BAKED_DATA) !== 0;
  addFile(block, "cache folder", domain.text("cache_directory"), domain.place("cache_directory"), {
    ...(!baked && { optional: true }),
    ...(!rendered(view) && { unused: true }),
  });
  if (!rendered(view)) return;
  block.simulations.push({
    kind: "fluid",
    baked,
    start: domain.number("cache_frame_start"),
    end: domain.number("cache_frame_end"),
  });
}

async function geometryNodes(owner: Owner, view: StructView, block: DataBlock, survey: Survey): Promise<void> {
  const bakesBlock = owner.find(view.pointer("bakes"));
  const bakes = bakesBlock === undefined ? [] : await owner.structs(bakesBlock);
  // Whether there are files of a bake on disk is not in the file. Its size is, in some versions.
  const more = { optional: true, ...(!rendered(view) && { unused: true }) };
  const folder = view.pointer("simulation_bake_directory") ?? view.pointer("bake_directory");
  await addText(owner, folder, block, "cache folder", more);
  for (const bake of bakes) await addText(owner, bake.pointer("directory"), block, "cache folder", more);
  const group = view.pointer("node_group");
  const number = group === undefined ? undefined : survey.byAddress.get(group);
  if (!rendered(view) || number === undefined) return;
  const baked = bakes.some((bake) => bake.pointer("packed") !== undefined || (bake.number("bake_size") ?? 0) > 0);
  block.simulations.push({ kind: "geometry nodes", baked, nodeGroup: number });
}

export const simulationCollectors: Collectors = [
  ["ClothModifierData", cloth],
  ["SoftbodyModifierData", softBody],
  ["RigidBodyWorld", rigidBodies],
  ["ParticleSystemModifierData", particles],
  ["ParticleSettings", particleSettings],
  ["DynamicPaintModifierData", dynamicPaint],
  ["FluidModifierData", fluid],
  ["NodesModifierData", geometryNodes],
];
