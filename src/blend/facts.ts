/** What the survey of a file notes of each data-block. */
import type { Owner } from "./owners.ts";
import type { StructView } from "./struct-view.ts";
import type { DriverSummary, ExternalFile, SceneSummary, SimulationSummary } from "./types.ts";

/** A data-block, and what it says. */
export interface DataBlock {
  /** Its place in the list of data-blocks. */
  number: number;
  /** Two letters; for a linked one those of its own kind: `OB`. */
  code: string;
  /** Without the letters. */
  name: string;
  /** It is only a place for a data-block that is linked from `library`. */
  placeholder: boolean;
  /** Number of the library that it comes from. */
  library?: number;
  /** Numbers of the data-blocks that it needs when it is rendered. */
  uses: Set<number>;
  /** Numbers of the objects and collections that are in it. Hidden ones are not rendered. */
  members: Set<number>;
  /** It is not rendered as a member of a collection, and nothing can change that. */
  hidden: boolean;
  files: FoundFile[];
  drivers: Omit<DriverSummary, "owner" | "used">[];
  simulations: SimulationFact[];
  nodes: NodeFacts;
  scene?: SceneFacts;
  text?: { register: boolean };
  /** Type of an object (`OB_CAMERA` is 11), or of particle settings. */
  type?: number;
  /** Number of the clip of a scene. Only constraints that ask for it use it. */
  clip?: number;
  /** A constraint follows the clip of the scene. */
  usesClipOfScene?: boolean;
  /** The library is of Blender 5's packed kind: its data lies in this file. */
  archive?: boolean;
  /** Where a packed library came from, as stored. */
  archivePath?: string;
}

/** A file before it is known whether the scene uses its data-block. */
export type FoundFile = Omit<ExternalFile, "owner" | "ownerCode" | "used" | "library"> & {
  /** The render never needs it, or it does not as the data-block is set. */
  unused?: boolean;
};

/** All data-blocks of a file. */
export interface Survey {
  blocks: DataBlock[];
  /** Number of the scene that the file was saved with. */
  activeScene?: number;
  /** The number of a data-block by the address of its block. */
  byAddress: Map<number, number>;
  /** Files of a sequence that are shown, by the address of the picture or clip. */
  sequences: Map<number, { first: number; last: number }>;
}

/** What the nodes of a data-block say. */
export interface NodeFacts {
  /** Identifier of the node tree that is read at present, or was read last. */
  tree?: string;
  fileOutputs: { name: string; path: string }[];
  addons: string[];
  /** It has the end of a simulation zone. */
  simulates: boolean;
  /** The nodes are a copy of those of a node group. */
  isCopy?: boolean;
}

/** A simulation before it is known whether it can change a picture. */
export interface SimulationFact extends Omit<SimulationSummary, "owner" | "used"> {
  /** Number of the particle settings, which say whether it is hair. */
  particles?: number;
  /** Hair that moves. */
  hairDynamics?: boolean;
  /** Number of the node group that a modifier runs. Without a simulation in it there is none. */
  nodeGroup?: number;
}

/** What a scene says of itself; the rest is found by what it uses. */
export interface SceneFacts extends Omit<
  SceneSummary,
  "name" | "library" | "cameras" | "activeCamera" | "cameraMarkers" | "fileOutputNodes"
> {
  camera?: number;
  markers: { frame: number; camera: number }[];
}

/** Reads a struct further than its pointers. */
export type Collector = (owner: Owner, view: StructView, block: DataBlock, survey: Survey) => Promise<void>;
/** Collectors by the names of their structs. */
export type Collectors = [string, Collector][];
