/** `tablao blender add|list|remove`: the builds of Blender that workers fetch from the farm. */
import path from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { hashFile } from "../../client/file-hash.ts";
import { ManagerError, type ManagerClient } from "../../client/manager-client.ts";
import { FileChanged, uploadTo } from "../../client/upload.ts";
import {
  archiveEnding,
  buildPlatformIn,
  buildSchema,
  buildsSchema,
  type BlenderBuild,
} from "../../protocol/blender-build.ts";
import { sha256Schema } from "../../protocol/fields.ts";
import { archiveFault, buildNameOf, fetchArchive, localArchive, urlIn, type BuildName } from "../blender-archive.ts";
import { contextOf, flagsOf } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { COMMAND } from "../own-command.ts";
import { showProgress } from "../progress.ts";
import { ago, bytes, table } from "../text.ts";

/** How long a call is tried: an upload of minutes must survive a short outage. */
const RETRY_FOR_MS = 2 * 60_000;
/** The digits of a hash that a list shows. */
const SHOWN_DIGITS = 12;

interface AddFlags {
  sha256?: string;
  blenderVersion?: string;
  platform?: string;
}

/** Add the commands to the program. */
export function addBlender(program: Command): void {
  const blender = program
    .command("blender")
    .summary("builds of Blender that workers fetch from the farm")
    .description(
      "Keep official builds of Blender in the farm's files. A worker without the version that a task needs fetches it once, unless its owner started it with --no-fetch.",
    );
  blender
    .command("add")
    .summary("keep a build of Blender")
    .description(
      "Keep a build of Blender for one version and platform. Version and platform are read from the official name (blender-4.5.3-linux-x64.tar.xz). " +
        "A URL is fetched by this machine, and needs --sha256. Workers run what is in the archive: take it from blender.org, and compare its hash. (Admins only.)",
    )
    .argument("<archive>", "a file (.tar.xz, .tar.gz, .tar.zst, .zip, .dmg), or its URL")
    .option("--sha256 <hex>", "the SHA-256 that the archive must have; needed for a URL")
    .option("--blender-version <version>", "its version with the patch, such as 4.5.3; by default as its name says")
    .option("--platform <platform>", "what it runs on, such as linux-x64 or macos-arm64; by default as its name says")
    .action(async (given: string, _: unknown, command: Command) => {
      const { blenderVersion, ...flags } = flagsOf<AddFlags>(command);
      const { client, out } = contextOf(command);
      const wanted = wantedHash(flags.sha256);
      const url = urlIn(given);
      const build = buildNameOf(url?.fileName ?? path.basename(given), { ...flags, version: blenderVersion });
      if (url && wanted === undefined)
        throw new CliError(EXIT.usage, "a URL needs --sha256", "blender.org lists the hash of each archive beside it.");
      const before = (await buildsOf(client)).find(isBuild(build.version, build.platform));
      const fetching = showProgress("fetching", { quiet: out.json });
      const archive = url
        ? await fetchArchive(url, wanted!, fetching).finally(() => fetching.end())
        : await localArchive(given);
      try {
        const added = await addArchive(client, archive.file, { build, wanted, quiet: out.json });
        if (out.json) return out.value(added);
        out.line(
          `Blender ${added.version} for ${added.platform} is kept (${bytes(added.bytes)}, SHA-256 ${added.sha256})`,
        );
        if (before && before.sha256 !== added.sha256)
          out.note("it replaces another archive of this version; workers that have fetched that one keep it");
      } finally {
        await archive.dispose();
      }
    });
  blender
    .command("list")
    .description("List the builds that the farm keeps.")
    .action(async (_: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const builds = await buildsOf(client);
      if (out.json) return out.value(builds);
      if (builds.length === 0)
        return out.note(
          `the farm keeps no Blender; add one with: ${COMMAND} blender add blender-4.5.3-linux-x64.tar.xz`,
        );
      const now = client.nowMs();
      const rows = builds.map((build) => [
        build.version,
        build.platform,
        bytes(build.bytes),
        `${ago(build.added_ms, now)} ago`,
        build.added_by,
        `${build.sha256.slice(0, SHOWN_DIGITS)}…`,
        build.file_name,
      ]);
      out.line(table(["VERSION", "PLATFORM", "SIZE", "ADDED", "BY", "SHA-256", "FILE"], rows, out.width));
    });
  blender
    .command("remove")
    .description("Keep a build no more, and delete its archive. Workers that have fetched it keep it. (Admins only.)")
    .argument("<version>", "such as 4.5.3")
    .argument("[platform]", "such as linux-x64; needed where there are builds of the version for several")
    .action(async (version: string, given: string | undefined, _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const { platform } = findBuild(await buildsOf(client), version, given);
      await client.call(z.null(), "DELETE", `/blender-builds/${version}/${platform}`);
      if (out.json) out.value({ version, platform, removed: true });
      else out.line(`Blender ${version} for ${platform} removed`);
    });
}

/** Send the archive, and name it as a build. Throws `CliError` and `ManagerError`. */
async function addArchive(
  client: ManagerClient,
  file: string,
  { build, wanted, quiet }: { build: BuildName; wanted: string | undefined; quiet: boolean },
): Promise<BlenderBuild> {
  const { version, platform, fileName } = build;
  const fault = await archiveFault(file, archiveEnding(fileName)!);
  if (fault !== null) throw new CliError(EXIT.usage, `${fileName} is not sent: ${fault}`);
  const { sha256, size } = await hashFile(file);
  if (wanted !== undefined && sha256 !== wanted)
    throw new CliError(EXIT.failed, `${fileName} has the SHA-256 ${sha256} and not ${wanted}: nothing was sent`);
  // The same archive may be there already, under another version or from an earlier time.
  const isThere = (await buildsOf(client)).some((kept) => kept.sha256 === sha256);
  if (!isThere) await send(client, file, { sha256, size, quiet });
  const json = { sha256, bytes: size, file_name: fileName };
  return await client.call(buildSchema, "PUT", `/blender-builds/${version}/${platform}`, { json });
}

async function send(
  client: ManagerClient,
  file: string,
  { sha256, size, quiet }: { sha256: string; size: number; quiet: boolean },
): Promise<void> {
  const progress = showProgress("uploading", { quiet });
  const onProgress = (done: number): void => progress.update(done, size, `${bytes(done)} of ${bytes(size)}`);
  const to = { path: `/blender-files/${sha256}`, headers: {}, pieces: true };
  try {
    await uploadTo(client, { file, sha256 }, to, { onProgress, retryForMs: RETRY_FOR_MS });
  } catch (error) {
    if (!(error instanceof FileChanged)) throw error;
    throw new CliError(EXIT.failed, `${path.basename(file)} changed while it was being sent`, "Add it again.");
  } finally {
    progress.end();
  }
}

function wantedHash(text: string | undefined): string | undefined {
  const hash = text?.trim().toLowerCase();
  if (hash === undefined || sha256Schema.safeParse(hash).success) return hash;
  throw new CliError(EXIT.usage, "--sha256 is no SHA-256: it must be 64 hexadecimal digits");
}

const isBuild = (version: string, platform: string) => (build: BlenderBuild) =>
  build.version === version && build.platform === platform;

/** The build of this version, for this platform where it is named. Throws `CliError`. */
export function findBuild(
  builds: readonly BlenderBuild[],
  version: string,
  platform: string | undefined,
): BlenderBuild {
  const wanted = platform === undefined ? undefined : (buildPlatformIn(platform) ?? platform);
  const found = builds.filter(
    (build) => build.version === version && (wanted === undefined || build.platform === wanted),
  );
  if (found.length === 1) return found[0]!;
  if (found.length === 0)
    throw new CliError(
      EXIT.notFound,
      `the farm keeps no Blender ${version}${wanted === undefined ? "" : ` for ${wanted}`}`,
      `List what it keeps with: ${COMMAND} blender list`,
    );
  throw new CliError(
    EXIT.usage,
    `the farm keeps Blender ${version} for ${found.length} platforms`,
    `Say which: ${found.map((build) => build.platform).join(", ")}.`,
  );
}

async function buildsOf(client: ManagerClient): Promise<BlenderBuild[]> {
  try {
    return (await client.call(buildsSchema, "GET", "/blender-builds")).builds;
  } catch (error) {
    if (error instanceof ManagerError && error.status === 404)
      throw new CliError(EXIT.failed, "this manager is older than 0.2.0: it keeps no builds of Blender");
    throw error;
  }
}
