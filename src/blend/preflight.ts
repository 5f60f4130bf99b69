/** What a submission takes from the scene, and what is known to go wrong before a worker has it. Pure. */
import type { BlendSummary, SceneSummary } from "./types.ts";

/** What the person said; what is undefined comes from the scene. */
export interface PreflightOptions {
  scene?: string | undefined;
  camera?: string | undefined;
  engine?: string | undefined;
  format?: string | undefined;
  /** A render preset of the farm may say the format, so that of the scene is no problem. */
  hasPreset?: boolean;
  autoexec: boolean;
  /** The formats in which frames can be written. */
  formats: readonly string[];
}

export interface Preflight {
  /** The scene that renders. */
  scene: SceneSummary | undefined;
  /** The frames of the scene: `1-250`, `1-250:5`. */
  frames: string | undefined;
  format: string | undefined;
  fps: number | undefined;
  /** Each a sentence: the task would fail, or its picture would be wrong. */
  problems: string[];
  /** Each a sentence: the picture may be wrong. */
  warnings: string[];
}

/** Engines that Blender itself has, in any version from 2.8. */
const OWN_ENGINES: readonly string[] = ["CYCLES", "BLENDER_EEVEE", "BLENDER_EEVEE_NEXT", "BLENDER_WORKBENCH"];
/** How many of a kind are named. */
const NAMED = 5;

/** Look at the summary of a .blend before it is sent. `file` is its name, for the sentences. */
export function preflight(file: string, summary: BlendSummary, options: PreflightOptions): Preflight {
  const wanted = options.scene ?? summary.activeScene;
  const scene = summary.scenes.find(({ name, library }) => name === wanted && library === undefined);
  if (scene === undefined) {
    const names = summary.scenes.map(({ name }) => name);
    const problem =
      names.length === 0
        ? `${file} has no scene, so there is nothing to render`
        : `${file} has no scene "${wanted ?? ""}" of its own (it has: ${listed(names)})`;
    return { scene, frames: undefined, format: undefined, fps: undefined, problems: [problem], warnings: [] };
  }
  const step = scene.step > 1 ? `:${scene.step}` : "";
  const { format, problem: formatProblem } = formatOf(scene, options);
  return {
    scene,
    frames: scene.end > scene.start ? `${scene.start}-${scene.end}${step}` : String(scene.start),
    format,
    fps: scene.fps,
    problems: [...cameraProblems(scene, options), ...(formatProblem === undefined ? [] : [formatProblem])],
    warnings: warningsOf(summary, scene, options),
  };
}

function listed(names: readonly string[]): string {
  const unique = [...new Set(names)];
  const shown = unique.slice(0, NAMED).map((name) => `"${name}"`);
  return unique.length > NAMED ? `${shown.join(", ")} and ${unique.length - NAMED} more` : shown.join(", ");
}

function cameraProblems(scene: SceneSummary, { camera }: PreflightOptions): string[] {
  const needsOne = !scene.hasSequencer && !scene.usesCompositor;
  if (!needsOne || camera !== undefined || scene.activeCamera !== undefined || scene.cameraMarkers.length > 0)
    return [];
  return [`scene "${scene.name}" has no camera: set one in Blender, or name one with --camera`];
}

function formatOf(
  scene: SceneSummary,
  { format, formats, hasPreset }: PreflightOptions,
): { format?: string; problem?: string } {
  if (format !== undefined) return { format };
  if (scene.format !== undefined && formats.includes(scene.format)) return { format: scene.format };
  // The frames of a movie are pictures, which --video joins.
  if (scene.mediaType === "VIDEO" && formats.includes("PNG")) return { format: "PNG" };
  if (hasPreset) return {};
  const all = formats.join(", ");
  const writes = scene.format ?? "a format that is not known here";
  return {
    problem: `scene "${scene.name}" writes ${writes}, which the farm does not: choose one with --format (${all})`,
  };
}

function warningsOf(summary: BlendSummary, scene: SceneSummary, options: PreflightOptions): string[] {
  const warnings: string[] = [];
  if (!options.autoexec) {
    const drivers = summary.drivers.filter(({ kind, used }) => used && kind === "script");
    if (drivers.length > 0) {
      const names = drivers.map(({ owner, property }) => `${owner}.${property}`);
      warnings.push(
        `drivers run scripts, and scripts are off, so the render is refused without --autoexec: ${listed(names)}`,
      );
    }
    const texts = summary.textBlocks.filter(({ register }) => register);
    if (texts.length > 0)
      warnings.push(
        `scripts run when the file is opened, and are off without --autoexec: ${listed(texts.map(({ name }) => name))}`,
      );
  }
  const { camera } = options;
  // Of a linked object only the name is known here, not whether it is a camera. Blender itself decides.
  if (camera !== undefined && !scene.cameras.includes(camera)) {
    const has = scene.cameras.length === 0 ? "none" : listed(scene.cameras);
    warnings.push(
      `scene "${scene.name}" has no camera "${camera}" of its own (it has: ${has}): is it linked from a library?`,
    );
  }
  const engine = options.engine ?? scene.engine;
  if (!OWN_ENGINES.includes(engine))
    warnings.push(`the render engine ${engine} comes from an add-on: workers without it refuse the scene`);
  const nodes = summary.addonNodes.filter(({ used }) => used);
  if (nodes.length > 0)
    warnings.push(`nodes come from add-ons, which the workers need, too: ${listed(nodes.map(({ idname }) => idname))}`);
  const simulations = summary.simulations.filter(({ used, baked }) => used && !baked);
  if (simulations.length > 0) {
    const names = simulations.map(({ owner, kind }) => `${owner} (${kind})`);
    warnings.push(`simulations are not baked, so each lease computes them from their first frame: ${listed(names)}`);
  }
  if (scene.fileOutputNodes.length > 0)
    warnings.push(`File Output nodes are left out: ${listed(scene.fileOutputNodes.map(({ name }) => name))}`);
  if (options.format === undefined && scene.mediaType === "VIDEO")
    warnings.push(`scene "${scene.name}" writes a movie: its frames are PNG files, and --video joins them`);
  return warnings;
}
