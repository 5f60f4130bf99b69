/**
 * The corpus: scenes that real Blender makes, and what must happen to each on the farm (P12). A scene
 * renders as on the artist's machine, or it is refused by name, or a warning tells what is not sure.
 */

/** A minor version of Blender that the corpus knows. The others count as the next lower one. */
export const VERSIONS = ["3.4", "4.5", "5.0"] as const;
export type Version = (typeof VERSIONS)[number];

/**
 * What must happen.
 *
 * - `same picture`: completed, and the pixels of each frame equal those of `blender -b`, run by hand
 *   where the artist has the scene; with `warns`, a warning says so besides.
 * - `completed`: completed with this warning, whatever the picture is.
 * - `refused`: no frame is called done, and the reason has these words; with `once`, one worker alone has looked
 *   at it, although the task has three tries.
 */
export type Expectation =
  | { kind: "same picture"; warns?: RegExp }
  | { kind: "completed"; warns: RegExp }
  | { kind: "refused"; words: RegExp; once?: true };

export interface Scene {
  /** Also the name of its folder. */
  name: string;
  /** What is special about it, for the table. */
  what: string;
  /** `MODULE.FUNCTION` in `test/scenes/makers`. */
  maker: string;
  /** The file that is submitted, in the scene's folder. */
  file?: string;
  frames?: string;
  /** Frames of a lease; by default all of them. */
  chunk?: number;
  /** Further options of `tablao submit`. */
  options?: readonly string[];
  /** The same for `blender -b`, run by hand, after the file. */
  byHand?: readonly string[];
  /** By hand, the scene is played from its first frame on before the render, as a simulation needs it. */
  fromFirst?: boolean;
  /** Made by a Blender of another version than the worker's: `newer` or `older`. */
  madeBy?: "newer" | "older";
  /** The versions of the worker; by default all. */
  versions?: readonly Version[];
  expect: Expectation;
  /** Where a version differs. */
  on?: Partial<Record<Version, { expect: Expectation }>>;
}

const SAME: Expectation = { kind: "same picture" };
const refused = (words: RegExp): Expectation => ({ kind: "refused", words });
/** What every worker would find: the first one ends it. */
const refusedOnce = (words: RegExp): Expectation => ({ kind: "refused", words, once: true });
const MODERN: readonly Version[] = ["4.5", "5.0"];
const DEFAULT_FILE = "shot.blend";
const DEFAULT_FRAMES = "1";

const BASICS: readonly Scene[] = [
  { name: "plain", what: "not compressed, animated", maker: "basics.plain", frames: "1,5", expect: SAME },
  { name: "zstd", what: "compressed with zstd", maker: "basics.zstd", expect: SAME },
  { name: "gzip", what: "compressed with gzip, as Blender before 3.0 did", maker: "basics.gzip_of_2_9", expect: SAME },
  {
    name: "unicode-name",
    what: "a name with blanks and letters of three scripts",
    maker: "basics.unicode_name",
    file: "Žluťoučký kůň 日本 é.blend",
    expect: SAME,
  },
  {
    name: "truncated",
    what: "a .blend that is cut off",
    maker: "basics.truncated",
    expect: refused(/truncated|cut off|Missing DNA|Failed to read/),
  },
  {
    name: "lfs-blend",
    what: "a Git LFS pointer in the scene's place",
    maker: "basics.lfs_blend",
    expect: refused(/Git LFS/),
  },
  {
    name: "negative-frames",
    what: "frames below 0",
    maker: "basics.negative_frames",
    frames: "-2,3",
    // Blender counts negative numbers from the frame after the last one, 11.
    byHand: ["-f", "-13,3"],
    expect: SAME,
  },
  { name: "frame-step", what: "frames 3 to 9, every third", maker: "basics.frame_step", frames: "3-9:3", expect: SAME },
  {
    name: "named-scene",
    what: "`--scene` names a scene that is not the active one",
    maker: "basics.two_scenes",
    options: ["--scene", "Close-up"],
    byHand: ["-S", "Close-up"],
    expect: SAME,
  },
  { name: "no-camera", what: "no camera", maker: "basics.no_camera", expect: refused(/no camera/i) },
  {
    name: "camera-markers",
    what: "markers that switch the camera",
    maker: "basics.camera_markers",
    frames: "1,3",
    expect: SAME,
  },
  { name: "border-crop", what: "a render border, cropped", maker: "basics.border_crop", expect: SAME },
  {
    name: "stereo-views",
    what: "stereo, one file for each eye",
    maker: "basics.stereo_views",
    expect: refusedOnce(/stereo view/),
  },
  { name: "stereo-3d", what: "stereo, both eyes in one file", maker: "basics.stereo_3d", expect: SAME },
  {
    name: "persistent-data",
    what: "persistent data, two frames in one lease",
    maker: "basics.persistent_data",
    frames: "1,5",
    expect: SAME,
  },
  {
    name: "output-to-nowhere",
    what: "an output path that does not exist, placeholders, no overwriting",
    maker: "basics.output_to_nowhere",
    expect: SAME,
  },
  {
    name: "movie-output",
    what: "the scene's own output is a movie",
    maker: "basics.movie_output",
    frames: "1,5",
    expect: SAME,
  },
  { name: "compositor", what: "compositor nodes", maker: "basics.compositor", expect: SAME },
  { name: "file-output", what: "a File Output node", maker: "basics.file_output", expect: SAME },
  {
    name: "black-frame",
    what: "one frame is black, its neighbours are not",
    maker: "basics.black_frame",
    frames: "2-4",
    expect: { kind: "same picture", warns: /one colou?r|black/i },
  },
  {
    name: "black-frame-strict",
    what: "the same with `--strict`",
    maker: "basics.black_frame",
    frames: "2-4",
    options: ["--strict"],
    expect: refused(/one colou?r/),
  },
];

const TEXTURES: readonly Scene[] = [
  { name: "texture-below", what: "`//textures/floor.png`", maker: "textures.below", expect: SAME },
  {
    name: "texture-beside",
    what: "`//../textures/floor.png`",
    maker: "textures.beside",
    file: "shots/shot.blend",
    expect: SAME,
  },
  {
    name: "texture-absolute",
    what: "an absolute path to a file below the scene",
    maker: "textures.absolute",
    expect: SAME,
  },
  {
    name: "texture-other-disk",
    what: "an absolute path to another disk",
    maker: "textures.absolute_elsewhere",
    file: "project/shots/shot.blend",
    expect: SAME,
  },
  {
    name: "texture-through-link",
    what: "`textures` is a link to a share",
    maker: "textures.linked_folder",
    file: "project/shot.blend",
    expect: SAME,
  },
  {
    name: "texture-windows",
    what: "a relative path with backslashes",
    maker: "textures.windows_relative",
    expect: SAME,
  },
  {
    name: "texture-windows-disk",
    what: "`C:\\proj\\textures\\floor.png`, sent from Linux",
    maker: "textures.windows_absolute",
    expect: refused(/C:[/\\]proj[/\\]textures[/\\]floor\.png/),
  },
  { name: "texture-missing", what: "a texture that is gone", maker: "textures.missing", expect: refused(/lost\.png/) },
  {
    name: "texture-missing-allowed",
    what: "the same with `--allow-missing lost.png`",
    maker: "textures.missing",
    options: ["--allow-missing", "lost.png"],
    expect: { kind: "same picture", warns: /lost\.png/ },
  },
  {
    name: "texture-lfs",
    what: "a Git LFS pointer in the texture's place",
    maker: "textures.lfs_pointer",
    expect: refused(/floor\.png.*Git LFS|Git LFS.*floor\.png/),
  },
  {
    name: "texture-case-clash",
    what: "two textures whose names differ in case only",
    maker: "textures.case_clash",
    expect: refused(/floor\.png.*are one file on/i),
  },
  {
    name: "texture-reserved-name",
    what: "a texture that is named `aux.png`",
    maker: "textures.reserved_name",
    expect: refused(/aux\.png.*reserved|reserved.*aux\.png/),
  },
  { name: "texture-packed", what: "a packed texture", maker: "textures.packed", expect: SAME },
  { name: "sequence", what: "an image sequence", maker: "textures.sequence", frames: "1,3", expect: SAME },
  {
    name: "sequence-windows",
    what: "an image sequence, its path with backslashes",
    maker: "textures.windows_sequence",
    frames: "1,3",
    expect: SAME,
  },
  {
    name: "sequence-hole",
    what: "an image sequence that lacks a frame",
    maker: "textures.sequence_hole",
    frames: "1-5",
    expect: refused(/img_0003\.png/),
  },
  { name: "udim", what: "UDIM tiles", maker: "textures.udim", expect: SAME },
  {
    name: "udim-hole",
    what: "UDIM tiles, one is gone",
    maker: "textures.udim_hole",
    expect: refused(/wall\.(1002|<UDIM>)\.png/),
  },
  { name: "movie-texture", what: "a movie as a texture", maker: "textures.movie", frames: "1,9", expect: SAME },
  { name: "light-profile", what: "an IES light profile", maker: "textures.ies_light", expect: SAME },
  {
    name: "light-profile-missing",
    what: "an IES light profile that is gone",
    maker: "textures.ies_missing",
    expect: refused(/spot\.ies/),
  },
  {
    name: "reference-on-empty",
    what: "a reference image on an Empty, gone",
    maker: "textures.reference_on_empty",
    expect: SAME,
  },
  {
    name: "camera-background",
    what: "a background image of the camera, gone",
    maker: "textures.camera_background",
    expect: SAME,
  },
  {
    name: "fake-user",
    what: "a material on no object, its texture gone",
    maker: "textures.fake_user",
    expect: SAME,
  },
  {
    name: "other-scene",
    what: "another scene of the file, its texture gone",
    maker: "textures.other_scene",
    expect: SAME,
  },
];

const LIBRARIES: readonly Scene[] = [
  { name: "library-below", what: "a library below the scene", maker: "libraries.below", expect: SAME },
  {
    name: "library-beside",
    what: "`//../lib/char.blend`, with `//../textures` of its own",
    maker: "libraries.beside",
    file: "shots/shot.blend",
    expect: SAME,
  },
  { name: "library-nested", what: "a library that links a library", maker: "libraries.nested", expect: SAME },
  {
    name: "library-other-disk",
    what: "a library on another disk, with a texture beside it",
    maker: "libraries.absolute",
    file: "project/shot.blend",
    expect: SAME,
  },
  {
    name: "library-windows",
    what: "a library, its path with backslashes",
    maker: "libraries.windows_path",
    expect: SAME,
  },
  { name: "library-override", what: "a library override", maker: "libraries.override", expect: SAME },
  {
    name: "library-missing",
    what: "a library that is gone",
    maker: "libraries.missing",
    expect: refused(/libs\/char\.blend/),
  },
  {
    name: "library-texture-missing",
    what: "a library whose texture is gone",
    maker: "libraries.missing_texture",
    expect: refused(/skin\.png/),
  },
  {
    name: "library-data-gone",
    what: "linked data that is gone from its library",
    maker: "libraries.data_gone",
    expect: refused(/Cast/),
  },
  {
    name: "library-packed",
    what: "packed linked data, its library gone",
    maker: "libraries.packed_linked",
    versions: ["5.0"],
    expect: SAME,
  },
];

const CACHES: readonly Scene[] = [
  { name: "font", what: "a font", maker: "caches.font", expect: SAME },
  { name: "font-missing", what: "a font that is gone", maker: "caches.font_missing", expect: refused(/fonts\/DejaVu/) },
  {
    name: "alembic",
    what: "an Alembic cache (Debian's Blender lacks Alembic)",
    maker: "caches.alembic",
    frames: "1,5",
    versions: MODERN,
    expect: SAME,
  },
  {
    name: "alembic-missing",
    what: "an Alembic cache that is gone",
    maker: "caches.alembic_missing",
    versions: MODERN,
    expect: refused(/anim\.abc/),
  },
  { name: "volume", what: "an OpenVDB volume", maker: "caches.volume", expect: SAME },
  {
    name: "volume-missing",
    what: "an OpenVDB volume that is gone",
    maker: "caches.volume_missing",
    expect: refused(/smoke\.vdb/),
  },
  { name: "mesh-cache", what: "a mesh cache (PC2)", maker: "caches.mesh_cache", frames: "1,5", expect: SAME },
  {
    name: "mesh-cache-missing",
    what: "a mesh cache that is gone",
    maker: "caches.mesh_cache_missing",
    frames: "5",
    expect: refused(/cube\.pc2/),
  },
];

const SEQUENCER: readonly Scene[] = [
  { name: "strip-images", what: "an image strip", maker: "sequencer.images", frames: "1,3", expect: SAME },
  {
    name: "strip-images-hole",
    what: "an image strip that lacks a frame",
    maker: "sequencer.images_hole",
    frames: "1-5",
    expect: refused(/img_0003\.png/),
  },
  { name: "strip-movie", what: "a movie strip", maker: "sequencer.movie", frames: "1,9", expect: SAME },
  {
    name: "strip-movie-missing",
    what: "a movie strip whose file is gone",
    maker: "sequencer.movie_missing",
    expect: refused(/clip\.mp4/),
  },
  {
    name: "strip-scene",
    what: "a scene strip with an offset",
    maker: "sequencer.scene_strip",
    frames: "1,3",
    expect: SAME,
  },
  {
    name: "strip-sound-missing",
    what: "a sound strip whose file is gone",
    maker: "sequencer.sound_missing",
    expect: SAME,
  },
];

const SCRIPTS: readonly Scene[] = [
  {
    name: "driver-bpy",
    what: "a driver that needs Python: `bpy.context…`",
    maker: "scripts.driver_bpy",
    frames: "1,2",
    expect: refusedOnce(/--autoexec/),
  },
  {
    name: "driver-self",
    what: "a driver that needs Python: `self.location…`",
    maker: "scripts.driver_self",
    frames: "1,2",
    expect: refusedOnce(/--autoexec/),
  },
  {
    name: "driver-namespace",
    what: "a driver with a function of a text block",
    maker: "scripts.driver_namespace",
    frames: "1,2",
    expect: refusedOnce(/--autoexec/),
  },
  {
    name: "driver-allowed",
    what: "the same with `--autoexec`",
    maker: "scripts.driver_namespace",
    frames: "1,2",
    options: ["--autoexec"],
    byHand: ["-y"],
    expect: SAME,
  },
  {
    name: "driver-simple",
    what: "drivers that Blender computes without scripts",
    maker: "scripts.driver_simple",
    frames: "1,2",
    expect: SAME,
  },
  {
    name: "interface-script",
    what: "a text block that only draws buttons",
    maker: "scripts.interface_script",
    expect: { kind: "same picture", warns: /rig_ui\.py/ },
  },
  {
    name: "handler-error",
    what: "a script that fails in each frame, with `--autoexec`",
    maker: "scripts.handler_error",
    options: ["--autoexec"],
    expect: refused(/left_elbow/),
  },
  {
    name: "osl-off",
    what: "an OSL node whose script is gone, OSL off",
    maker: "scripts.osl_off",
    expect: SAME,
  },
  {
    name: "osl-on",
    what: "an OSL node, OSL on",
    maker: "scripts.osl_on",
    expect: refusedOnce(/paint\.osl.*--autoexec/),
  },
  {
    name: "addon-engine",
    what: "a render engine of an add-on that the worker lacks",
    maker: "scripts.addon_engine",
    expect: refused(/FOO_ENGINE/),
  },
  {
    name: "addon-node",
    what: "a shader node of an add-on that the worker lacks",
    maker: "scripts.addon_node",
    expect: refused(/material "Material" uses the node "Foo" of an add-on/),
  },
];

/** The farm plays it from the first frame on in each lease, and says so. */
const NOT_BAKED: Expectation = { kind: "same picture", warns: /simulated anew in each lease/ };

const SIMULATIONS: readonly Scene[] = [
  {
    name: "cloth-unbaked",
    what: "cloth that is not baked, frame 20 alone",
    maker: "simulations.cloth_unbaked",
    frames: "20",
    fromFirst: true,
    expect: NOT_BAKED,
  },
  {
    name: "cloth-baked",
    what: "cloth, baked into the file",
    maker: "simulations.cloth_baked",
    frames: "20",
    fromFirst: true,
    expect: SAME,
  },
  {
    name: "cloth-disk-cache",
    what: "cloth, baked to `blendcache_shot` beside the file",
    maker: "simulations.cloth_disk_cache",
    frames: "20",
    fromFirst: true,
    expect: SAME,
  },
  {
    name: "cloth-disk-cache-missing",
    what: "the same, `blendcache_shot` is gone",
    maker: "simulations.cloth_disk_cache_missing",
    frames: "20",
    expect: refused(/blendcache_shot/),
  },
  {
    name: "rigid-body-unbaked",
    what: "rigid bodies that are not baked",
    maker: "simulations.rigid_unbaked",
    frames: "20",
    fromFirst: true,
    expect: NOT_BAKED,
  },
  {
    name: "rigid-body-baked",
    what: "rigid bodies, baked into the file",
    maker: "simulations.rigid_baked",
    frames: "20",
    fromFirst: true,
    expect: SAME,
  },
  {
    name: "geometry-unbaked",
    what: "a simulation zone that is not baked",
    maker: "simulations.geometry_unbaked",
    frames: "20",
    versions: MODERN,
    fromFirst: true,
    expect: NOT_BAKED,
  },
  {
    name: "geometry-baked",
    what: "a simulation zone, baked to a folder beside the file",
    maker: "simulations.geometry_baked",
    frames: "20",
    versions: MODERN,
    fromFirst: true,
    expect: SAME,
  },
  {
    name: "geometry-packed",
    what: "a simulation zone, baked into the file",
    maker: "simulations.geometry_packed",
    frames: "18-20",
    chunk: 1,
    versions: MODERN,
    expect: SAME,
  },
];

const ROUTING: readonly Scene[] = [
  {
    name: "newer-file",
    what: "saved by a newer Blender than any worker has",
    maker: "basics.plain",
    madeBy: "newer",
    versions: ["3.4"],
    expect: refused(/4\.5.*3\.4/),
  },
  {
    name: "newer-look",
    what: "the same with AgX, which the worker's Blender lacks",
    maker: "basics.metaball",
    madeBy: "newer",
    versions: ["3.4"],
    expect: refused(/4\.5.*3\.4/),
  },
  {
    name: "older-file",
    what: "saved by an older Blender than any worker has",
    maker: "basics.plain",
    madeBy: "older",
    versions: MODERN,
    expect: refused(/3\.4/),
  },
  {
    name: "older-file-any",
    what: "the same with `--blender any`",
    maker: "basics.plain",
    madeBy: "older",
    versions: MODERN,
    options: ["--blender", "any"],
    expect: SAME,
  },
];

/** All scenes, by subject. */
export const SUBJECTS: readonly { title: string; scenes: readonly Scene[] }[] = [
  { title: "The file, its frames and cameras", scenes: BASICS },
  { title: "Images", scenes: TEXTURES },
  { title: "Linked libraries", scenes: LIBRARIES },
  { title: "Fonts, caches and volumes", scenes: CACHES },
  { title: "Sequencer", scenes: SEQUENCER },
  { title: "Scripts and add-ons", scenes: SCRIPTS },
  { title: "Simulations", scenes: SIMULATIONS },
  { title: "Another Blender", scenes: ROUTING },
];

/** A scene as it is on a worker with one version of Blender. */
export interface VersionedScene {
  name: string;
  maker: string;
  madeBy: "newer" | "older" | undefined;
  file: string;
  frames: string;
  chunk: number | undefined;
  options: readonly string[];
  byHand: readonly string[];
  fromFirst: boolean;
  expect: Expectation;
}

/** The version of the corpus for a Blender: `4.2.23` counts as 3.4's successor 4.5, `5.1` as 5.0. */
export function versionOf(blender: string): Version {
  const major = Number(blender.split(".")[0]);
  return major >= 5 ? "5.0" : major === 4 ? "4.5" : "3.4";
}

/** The scene on this version; undefined where it is not made. */
export function onVersion(scene: Scene, version: Version): VersionedScene | undefined {
  if (scene.versions && !scene.versions.includes(version)) return undefined;
  const { expect } = scene.on?.[version] ?? scene;
  return {
    name: scene.name,
    maker: scene.maker,
    madeBy: scene.madeBy,
    file: scene.file ?? DEFAULT_FILE,
    frames: scene.frames ?? DEFAULT_FRAMES,
    chunk: scene.chunk,
    options: scene.options ?? [],
    byHand: scene.byHand ?? [],
    fromFirst: scene.fromFirst === true,
    expect,
  };
}

/** All scenes of a version. */
export function scenesOf(version: Version): VersionedScene[] {
  return SUBJECTS.flatMap(({ scenes }) => scenes.flatMap((scene) => onVersion(scene, version) ?? []));
}
