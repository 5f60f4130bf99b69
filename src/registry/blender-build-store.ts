/** Rows of the builds of Blender that the farm keeps. The archives are in the bucket (`files/blender-files.ts`). */
import { all, first, run } from "../platform/sql.ts";
import type { BlenderBuild, BuildPlatform } from "../protocol/blender-build.ts";
import { compareVersions, MAX_BLENDERS, minorOf } from "../protocol/blender-version.ts";

type BuildRow = BlenderBuild & Record<string, string | number>;

export class BlenderBuildStore {
  readonly #sql: SqlStorage;
  /** All rows; undefined until they are read. Each assignment of a task asks for them. */
  #builds: BlenderBuild[] | undefined;
  readonly #fetchable = new Map<string, readonly string[]>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The newest version first. */
  list(): readonly BlenderBuild[] {
    const columns = "version, platform, sha256, bytes, file_name, added_by, added_ms";
    this.#builds ??= all<BuildRow>(this.#sql, `SELECT ${columns} FROM blender_builds`)
      .map((row) => ({ ...row }))
      .toSorted((a, b) => compareVersions(b.version, a.version) || (a.platform < b.platform ? -1 : 1));
    return this.#builds;
  }

  /**
   * The versions that a worker of this platform can fetch: of each minor version the newest, because a task names
   * no patch; as many as the header of a claim holds.
   */
  fetchable(platform: BuildPlatform): readonly string[] {
    const known = this.#fetchable.get(platform);
    if (known) return known;
    const byMinor = new Map<string, string>();
    for (const build of this.list()) {
      const minor = minorOf(build.version)!;
      if (build.platform === platform && !byMinor.has(minor)) byMinor.set(minor, build.version);
    }
    const versions = [...byMinor.values()].slice(0, MAX_BLENDERS);
    this.#fetchable.set(platform, versions);
    return versions;
  }

  find(version: string, platform: string): BlenderBuild | undefined {
    return this.list().find((build) => build.version === version && build.platform === platform);
  }

  /** Whether a build is of this archive. */
  names(sha256: string): boolean {
    return first(this.#sql, "SELECT 1 AS found FROM blender_builds WHERE sha256 = ? LIMIT 1", sha256) !== undefined;
  }

  /** A build of the same version and platform is replaced. */
  put({ version, platform, sha256, bytes, file_name, added_by, added_ms }: BlenderBuild): void {
    run(
      this.#sql,
      `INSERT OR REPLACE INTO blender_builds (version, platform, sha256, bytes, file_name, added_by, added_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      version,
      platform,
      sha256,
      bytes,
      file_name,
      added_by,
      added_ms,
    );
    this.forget();
  }

  remove(version: string, platform: string): void {
    run(this.#sql, "DELETE FROM blender_builds WHERE version = ? AND platform = ?", version, platform);
    this.forget();
  }

  /** Discard what was read from rows. */
  forget(): void {
    this.#builds = undefined;
    this.#fetchable.clear();
  }
}
