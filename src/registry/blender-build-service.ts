/** The builds of Blender that the farm keeps: which there are, and who learns of it. */
import { ok, type Result } from "../lib/result.ts";
import { MAX_BUILDS, type BlenderBuild, type BuildPlatform } from "../protocol/blender-build.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { BuildArchives } from "../rpc/registry.ts";
import type { RegistryContext } from "./context.ts";

const NO_BUILD = refuse("not_found", "The farm keeps no such build of Blender.");

export class BlenderBuildService {
  readonly #registry: RegistryContext;

  constructor(registry: RegistryContext) {
    this.#registry = registry;
  }

  /**
   * Keep a build; one of the same version and platform is replaced. Answers with the archive that no build is of
   * any more. Refusal: `conflict` when there are too many.
   */
  put(build: BlenderBuild): Result<BuildArchives, Refusal> {
    const { builds } = this.#registry;
    const before = builds.find(build.version, build.platform);
    if (!before && builds.list().length >= MAX_BUILDS)
      return refuse("conflict", `The farm keeps ${MAX_BUILDS} builds of Blender, and no more fit: remove one first.`);
    if (before?.sha256 === build.sha256 && before.file_name === build.file_name) return ok({ unused: null });
    this.#change(() => builds.put(build));
    return ok({ unused: this.#unused(before) });
  }

  /** Refusal: `not_found`. */
  remove(version: string, platform: BuildPlatform): Result<BuildArchives, Refusal> {
    const { builds } = this.#registry;
    const before = builds.find(version, platform);
    if (!before) return NO_BUILD;
    this.#change(() => builds.remove(version, platform));
    return ok({ unused: this.#unused(before) });
  }

  #unused(before: BlenderBuild | undefined): string | null {
    return before && !this.#registry.builds.names(before.sha256) ? before.sha256 : null;
  }

  /** Workers that fetch can do other tasks now: the idle ones are woken for them. */
  #change(work: () => void): void {
    const { fleet, dispatcher } = this.#registry;
    this.#registry.inTransaction(work);
    fleet.buildsChanged();
    dispatcher.rescan(Date.now());
  }
}
