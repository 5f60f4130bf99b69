/** Versions of Blender in words, for the manager, the command line and the page. Pure. */
import type { BlenderWhy } from "./why.ts";

/** What a task needs: `Blender 4.5`, `Blender 4.5 or newer`. */
export function needText(need: string): string {
  return need.endsWith("+") ? `Blender ${need.slice(0, -1)} or newer` : `Blender ${need}`;
}

/** `the farm has Blender 5.0 (1 worker) and 3.4 (2 workers)`. */
export function farmBlendersText(farm: BlenderWhy["farm"]): string {
  const each = farm.map(({ version, workers }) => `${version} (${workers} ${workers === 1 ? "worker" : "workers"})`);
  if (each.length === 0) return "no worker of the farm has told of a Blender";
  const last = each.pop()!;
  return `the farm has Blender ${each.length > 0 ? `${each.join(", ")} and ${last}` : last}`;
}

/** The builds that the farm keeps of a version, where no worker would fetch one of them. */
export function buildsText(builds: NonNullable<BlenderWhy["builds"]>): string {
  const each = builds.slice(0, 10).map(({ version, platform }) => `${version} for ${platform}`);
  return `The farm keeps a build (${each.join(", ")}${builds.length > each.length ? ", …" : ""}), but no worker of that platform fetches builds.`;
}
