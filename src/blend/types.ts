/**
 * What the reader of .blend files takes and answers. Everything here is plain data, so that it can be
 * shown, tested and sent as JSON. How files are read is explained in
 * docs/decisions/030-reading-blend-files.md.
 */

/**
 * Random access to the bytes of a file as it is stored (compressed or not). In Node a file handle, in
 * the browser `Blob.slice`.
 */
export interface ByteSource {
  /** Length of the file in bytes. */
  readonly size: number;
  /**
   * The bytes from `offset` on: exactly `length` of them, or fewer only where the file ends. The
   * array is the caller's, who may keep it or give its memory back, so the source must not use it again.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** How the whole file is compressed. */
export type BlendCompression = "none" | "zstd" | "gzip";

/** Blender's version: `{ major: 4, minor: 5 }` for all releases of 4.5. */
export interface BlendVersion {
  major: number;
  minor: number;
}

/** A zstd frame of the stored file. Blender writes one for each MiB of the decompressed file. */
export interface StoredFrame {
  /** Where the frame lies in the stored file, and how long it is there. */
  storedOffset: number;
  storedSize: number;
  /** Where its content lies in the decompressed file, and how long it is there. */
  offset: number;
  size: number;
}

/** A scene of the file. What the file's version does not have, or a linked scene hides, is undefined. */
export interface SceneSummary {
  name: string;
  /** The library that the scene is linked from, as stored. Then only `name` is known of it. */
  library?: string;
  start: number;
  end: number;
  step: number;
  /** Frames per second: `fps / fps_base`. */
  fps: number;
  /** Identifier of the engine: `CYCLES`, `BLENDER_EEVEE`, or that of an add-on. */
  engine: string;
  /** Pixels of the full picture, before `percentage`. */
  width: number;
  height: number;
  percentage: number;
  /** As stored: `//renders/shot_`. */
  outputPath: string;
  /** As in Blender's Python: `PNG`, `OPEN_EXR_MULTILAYER`, `FFMPEG`; undefined for one that is not known. */
  format?: string;
  /** `IMAGE`, `MULTI_LAYER_IMAGE` or `VIDEO`; from the format where the file's version has no such setting. */
  mediaType?: "IMAGE" | "MULTI_LAYER_IMAGE" | "VIDEO";
  viewLayers: { name: string; render: boolean }[];
  /** Names of the camera objects that are in the scene, sorted. */
  cameras: string[];
  activeCamera?: string;
  /** Markers that switch the camera, by frame. */
  cameraMarkers: { frame: number; camera: string }[];
  /** File Output nodes of the compositor, also those in groups; muted ones are left out. */
  fileOutputNodes: { name: string; path: string }[];
  /** The scene has sequencer strips, and renders them. */
  hasSequencer: boolean;
  usesCompositor: boolean;
  /** Stereo or several views. */
  multiview: boolean;
}

export interface DriverSummary {
  /** The data-block with the driver: `Cube`. */
  owner: string;
  /** The property that is driven, as an RNA path: `location`. */
  property: string;
  /** Empty for drivers that have no expression (average, sum, minimum, maximum). */
  expression: string;
  /**
   * `simple`: Blender evaluates it without running scripts. `script`: it is refused or frozen unless
   * scripts are allowed. `unsure`: the rules differ between Blender's versions, or are not known here.
   */
  kind: "simple" | "script" | "unsure";
  /** The data-block is used by the scene that renders. */
  used: boolean;
}

export interface SimulationSummary {
  /** Name of the object, or of the scene for rigid bodies. */
  owner: string;
  kind: "cloth" | "soft body" | "rigid body" | "particles" | "hair" | "dynamic paint" | "fluid" | "geometry nodes";
  /** All its frames are stored, in the file or on disk. */
  baked: boolean;
  /** First and last frame of the simulation, where it has its own. */
  start?: number;
  end?: number;
  used: boolean;
}

/** What a .blend file says of itself. */
export interface BlendSummary {
  version: BlendVersion;
  versionText: string;
  scenes: SceneSummary[];
  /** The scene that `blender -b file` renders; undefined when the file has none (a library of assets). */
  activeScene?: string;
  /** Text blocks; `register`: Blender runs it when the file is opened and scripts are allowed. */
  textBlocks: { name: string; register: boolean }[];
  drivers: DriverSummary[];
  simulations: SimulationSummary[];
  /** Nodes whose type no Blender brings, so an add-on must. */
  addonNodes: { owner: string; idname: string; used: boolean }[];
}

export type ExternalKind =
  | "library"
  | "image"
  | "sequence"
  | "udim"
  | "movie"
  | "font"
  | "sound"
  | "clip"
  | "clip sequence"
  | "cache file"
  | "cache file sequence"
  | "volume"
  | "volume sequence"
  | "mesh cache"
  | "cache folder"
  | "ies"
  | "osl"
  | "text"
  | "strip images"
  | "strip movie"
  | "strip sound"
  | "import";

/** Where a part of a path is stored, in the *decompressed* file: a field of `char[capacity]`. */
export interface PathField {
  offset: number;
  /** Bytes of the field. The text in it ends with a zero byte. */
  capacity: number;
}

/** Something outside the file that the file names. What is packed into the file is not listed. */
export interface ExternalFile {
  kind: ExternalKind;
  /** Name of the data-block that names it, without its two-letter code: `floor.png`, `Cube`. */
  owner: string;
  /** Blender's two-letter code of the owner: `IM`, `OB`, `SC`. */
  ownerCode: string;
  /**
   * As stored: `//../tex/a.png`, `/home/ann/a.png`, `C:\\proj\\a.png`. A sequence is named by one of its
   * frames, a UDIM set by `<UDIM>` or `<UVTILE>`. Never empty. In `//blendcache_<BLEND>`, `<BLEND>` stands for
   * the file's own name without `.blend`, which the file does not know.
   */
  path: string;
  /**
   * What relative paths (`//`) start from, when it is not the folder of this file: the data-block is
   * linked from this library (as stored). Absent for all that this file itself holds.
   */
  library?: string;
  /** First and last file number of a sequence, as far as the file says. */
  frames?: { first: number; last: number };
  /** Tiles of a UDIM set that the file lists. */
  tiles?: number[];
  /**
   * Of a library: the data-blocks that are linked from it and used, with their two letters: `GRCharCol`. All
   * of them when the file has no scene to begin with.
   */
  linked?: string[];
  /** Names of all files in the folder of `path`, for strips of several images. */
  names?: string[];
  /**
   * For a cache folder: the names of the files in it begin with one of these. Without it, the whole
   * folder belongs to the scene.
   */
  prefixes?: string[];
  /**
   * The render of the scene needs it: it can be reached from the scene. Not so are reference images of
   * Empties, backgrounds of cameras, unused data and data with a fake user only.
   */
  used: boolean;
  /**
   * It need not be there: Blender writes it itself while it simulates, and reads it if it is there.
   */
  optional?: boolean;
  /** The scene renders without it, only differently in what is not a picture (sound). */
  silent?: boolean;
  /** Where the path is stored, for a copy in which it is rewritten. Empty when it cannot be rewritten in place. */
  fields: PathField[];
  /** `path`: one field holds it. `folder and name`: the first field is the folder, the others are names. */
  layout: "path" | "folder and name";
}

/**
 * From what rendering begins: a scene (the one that the file was saved with, if none is named), or data-blocks
 * that are linked from this file, named with their two letters (`OBCube`).
 */
export type Roots = { scene?: string | undefined } | { linked: ReadonlySet<string> };

/** Everything that is read of a file. */
export interface BlendContents {
  summary: BlendSummary;
  externals: ExternalFile[];
  /** Linked data-blocks that are asked for, and that the file does not have. */
  missingData: string[];
}

/** An expected failure: the bytes are no .blend file that can be read. The message is one sentence. */
export class BlendError extends Error {
  override readonly name = "BlendError";
}

/** An opened .blend file. It keeps an index of the blocks, and few of the bytes. */
export interface BlendFile {
  readonly compression: BlendCompression;
  readonly version: BlendVersion;
  /** `4.5` */
  readonly versionText: string;
  /** Length of the decompressed file. */
  readonly size: number;
  /** The frames of the stored file, for zstd. */
  readonly frames?: readonly StoredFrame[];
  /** Bytes of the decompressed file. */
  read(offset: number, length: number): Promise<Uint8Array>;
}
