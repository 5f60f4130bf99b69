/**
 * Builds the manager's Worker for `npm start`: its code in one module, and what `wrangler.toml` says
 * of it. The build is kept in `.tablao` under the hash of its sources, so a start without changes
 * needs neither a bundler nor wrangler.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { V4WorkerOptionsShape } from "miniflare";
import { messageOf } from "../lib/errors.ts";
import { writeFileAtomic } from "../client/private-file.ts";
import { CliError, EXIT } from "../cli/failure.ts";
import { CHECKOUT } from "../cli/manager-record.ts";
import { reportAndExit } from "../cli/stop-signals.ts";
import { hashOfSources } from "./sources.ts";

/** Folders of `src` that run elsewhere; every other folder may be part of the Worker. */
const ELSEWHERE = new Set(["agent", "cli", "client", "dashboard", "demo-renderer", "launcher"]);
const FOLDER = path.join(CHECKOUT, ".tablao");
const FILE = /^worker-[0-9a-f]+\.json$/;

/** What the file of a build holds. */
export interface WorkerBuild {
  name: string;
  script: string;
  /** As Miniflare takes them. */
  options: V4WorkerOptionsShape;
}

/** The file of the build of the sources as they are now, and whether it is there. */
export function workerBuild(): { file: string; built: boolean } {
  const folders = readdirSync(path.join(CHECKOUT, "src")).filter((name) => !ELSEWHERE.has(name));
  const sources = folders.map((name) => path.join("src", name));
  const hash = hashOfSources([
    ...sources,
    "src/launcher/bundle.ts",
    "src/launcher/build-worker.ts",
    "wrangler.toml",
    "package-lock.json",
  ]);
  const file = path.join(FOLDER, `worker-${hash.slice(0, 32)}.json`);
  return { file, built: existsSync(file) };
}

/** Build it where needed. Throws `CliError`. */
async function buildWorker(): Promise<void> {
  const { file, built } = workerBuild();
  if (built) return;
  try {
    // Loaded here: both are large, and most starts do not need them.
    const [{ bundle }, wrangler] = await Promise.all([import("./bundle.ts"), import("wrangler")]);
    const script = await bundle("src/local-entry.ts");
    const config = wrangler.unstable_readConfig({ config: path.join(CHECKOUT, "wrangler.toml") });
    const { workerOptions } = wrangler.unstable_getMiniflareWorkerOptions(config);
    // The rules are for modules that are not bundled, and Miniflare refuses them. The variables of a
    // developer's `.dev.vars` are left out, which that function adds.
    const { modulesRules: _, ...rest } = workerOptions as Record<string, unknown>;
    const options = { ...rest, bindings: config.vars } as V4WorkerOptionsShape;
    const build: WorkerBuild = { name: config.name ?? "tablao", script, options };
    mkdirSync(FOLDER, { recursive: true });
    writeFileAtomic(file, JSON.stringify(build));
    for (const name of readdirSync(FOLDER))
      if (FILE.test(name) && name !== path.basename(file)) rmSync(path.join(FOLDER, name), { force: true });
  } catch (thrown) {
    throw new CliError(EXIT.failed, `the manager cannot be built: ${messageOf(thrown)}`, "Try: npm ci");
  }
}

if (import.meta.main) {
  try {
    await buildWorker();
  } catch (thrown) {
    reportAndExit("building the manager", thrown);
  }
}
